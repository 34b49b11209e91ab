"""Prototypes, the mean feature of each class's faces: learned from by episodes, or put into a net that is trained.

Snell et al. (2017), Prototypical networks for few-shot learning.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mien.errors import RunError
from mien.train.inputs.augment import resized
from mien.train.nets import FaceNet
from mien.train.nets.heads import Prototypes
from mien.train.recipe import Loss
from mien.types import FaceSet, batches

Kind = Literal["euclidean", "cosine"]


def check_episodes(labels: Tensor, how: Loss, *, names: Sequence[str]) -> None:
    """Raise RunError where a class has fewer faces than an episode needs. labels: (N,) int64, the train faces'."""
    need = how.support + how.queries
    counts = torch.bincount(labels, minlength=len(names)).tolist()
    for name, count in zip(names, counts, strict=True):
        if count < need:
            most = f"the {count} train faces of {name}"
            raise RunError(f"loss.support + loss.queries must be at most {most}, got {need}")


def episode_order(labels: Tensor, how: Loss, *, classes: int, generator: torch.Generator) -> Tensor:
    """Which faces an epoch's episodes are of: (steps, classes x (support + queries)) int64, rows of `labels` (N,).

    In an episode stand the classes one after the other, of each first the support, then the queries, all different
    faces. There are as many episodes as faces fill; each class goes through its own faces in a new order, round after
    round, so that a rare class is seen as often as the others. `check_episodes` says whether there are enough.
    """
    need = how.support + how.queries
    steps = len(labels) // (need * classes)
    columns = []
    for label in range(classes):
        rows = torch.nonzero(labels == label).flatten()
        each = len(rows) // need  # episodes that one round through the class's faces fills
        rounds = [rows[torch.randperm(len(rows), generator=generator)[: each * need]] for _ in range(-(-steps // each))]
        columns.append(torch.cat(rounds).reshape(-1, need)[:steps])
    return torch.cat(columns, dim=1)


def queries_of(episode: Tensor, how: Loss) -> Tensor:
    """Of an episode's faces, (classes x (support + queries), ...), those that are classified, in order."""
    return _by_class(episode, how)[:, how.support :].flatten(0, 1)


def episode_logits(features: Tensor, prototypes: Prototypes, how: Loss) -> Tensor:
    """An episode's features, (classes x (support + queries), D) -> (classes x queries, classes) logits of its queries.

    The prototypes are the means of the support's features (Snell et al., equation 1).
    """
    centres = _by_class(features, how)[:, : how.support].mean(dim=1)
    return prototypes.nearness(queries_of(features, how), centres)


def prototypes_of(net: FaceNet) -> Prototypes:
    """The last layer of a net that classifies by prototypes. Raises RunError where it is another."""
    if not isinstance(net.head.classify, Prototypes):
        raise RunError("the net must classify by prototypes: head.classify = euclidean or cosine")
    return net.head.classify


@torch.no_grad()
def set_centres(net: FaceNet, images: Tensor, labels: Tensor, *, side: int, names: Sequence[str]) -> None:
    """Make each class's prototype in a net the mean feature of its faces: (N, 48, 48) uint8 and (N,) int64.

    side: the faces', in pixels, when the net sees them. The prototypes are brought to half precision, in which a model
    file keeps them, and its range, which a net's features leave only in its first steps. Raises RunError where a class
    has no face.
    """
    prototypes = prototypes_of(net)
    counts = torch.bincount(labels, minlength=len(names))
    for name, count in zip(names, counts, strict=True):
        if not count:
            raise RunError(f"a class's prototype needs 1 or more train faces of it, got none of {name}")
    sums = torch.zeros(prototypes.centres.shape, dtype=torch.float64)
    for part in batches(len(images), 256):
        features = net.features(_seen(net, images[part], side=side))
        sums.index_add_(0, labels[part], features.double().cpu())
    most = torch.finfo(torch.half).max
    prototypes.centres.copy_((sums / counts[:, None]).clamp(-most, most).half())


@torch.no_grad()
def use_prototypes(net: FaceNet, kind: Kind, faces: FaceSet, *, side: int, names: Sequence[str]) -> Prototypes:
    """Put prototypes in the place of a trained net's last layer: the centres of the labelled train faces' features.

    The scale is the one at which the labelled valid faces are likeliest: plain distances would claim far too much.
    Raises RunError where there are no such valid faces, or no train faces of a class.
    """
    labelled = faces[faces.labels >= 0]
    train, valid = labelled[labelled.splits == "train"], labelled[labelled.splits == "valid"]
    if not len(valid):
        raise RunError("prototypes need labelled valid faces, to choose their scale by, got none")
    head = net.head
    width = head.classify.centres.shape[1] if isinstance(head.classify, Prototypes) else head.classify.in_features
    head.classify = Prototypes(kind, features=width, classes=len(names), scale=1.0)
    net.eval()
    set_centres(net, torch.tensor(train.images), torch.tensor(train.labels), side=side, names=names)
    images = torch.tensor(valid.images)
    nearness = torch.cat([net(_seen(net, images[part], side=side)).cpu() for part in batches(len(images), 256)])
    head.classify.scale = likeliest_scale(nearness, torch.tensor(valid.labels))
    return head.classify


def likeliest_scale(logits: Tensor, labels: Tensor) -> float:
    """The factor of (N, K) logits at which (N,) labels are likeliest, to 4 digits; at most 1000 over their spread.

    Their negative logarithm is convex in the factor, so that halving finds where its slope changes its sign.
    """
    scores = logits.double()
    right = scores.gather(1, labels[:, None]).mean()
    spread = scores.std(dim=1).mean().item() or 1.0
    low, high = 1e-3 / spread, 1e3 / spread
    while high / low > 1 + 1e-6:
        middle = math.sqrt(low * high)
        slope = (torch.softmax(middle * scores, dim=1) * scores).sum(dim=1).mean() - right
        low, high = (middle, high) if slope < 0 else (low, middle)
    return float(f"{middle:.4g}")


def _by_class(episode: Tensor, how: Loss) -> Tensor:
    return episode.reshape(-1, how.support + how.queries, *episode.shape[1:])


def _seen(net: FaceNet, images: Tensor, *, side: int) -> Tensor:
    device = next(net.parameters()).device
    return resized(images, side=side).to(device).contiguous(memory_format=torch.channels_last)
