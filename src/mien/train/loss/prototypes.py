"""Prototypes, the mean feature of each class's faces: learned from by episodes, or put into a net that is trained.

Snell et al. (2017), Prototypical networks for few-shot learning.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mien.errors import RunError
from mien.evaluation.calibration import fit_temperature
from mien.train.inputs.augment import resize
from mien.train.loss.settings import Loss
from mien.train.nets import FaceNet
from mien.train.nets.heads import Prototypes
from mien.types import FaceSet, batches

Kind = Literal["euclidean", "cosine"]


def check_episodes(labels: Tensor, loss: Loss, *, class_names: Sequence[str]) -> None:
    """Raise RunError where a class has fewer faces than an episode needs. labels: (N,) int64, the train faces'."""
    need = loss.support + loss.queries
    counts = torch.bincount(labels, minlength=len(class_names)).tolist()
    for name, count in zip(class_names, counts, strict=True):
        if count < need:
            most = f"the {count} train faces of {name}"
            raise RunError(f"loss.support + loss.queries must be at most {most}, got {need}")


def draw_episodes(labels: Tensor, loss: Loss, *, classes: int, generator: torch.Generator) -> Tensor:
    """Draw an epoch's episodes: (steps, classes x (support + queries)) int64, rows of `labels` (N,).

    An episode has the classes one after the other, of each first the support, then the queries, all different faces.
    There are as many episodes as faces fill; each class goes through its own faces in a new order, round after round,
    so that a rare class is seen as often as the others. `check_episodes` says whether there are enough.
    """
    need = loss.support + loss.queries
    steps = len(labels) // (need * classes)
    columns = []
    for label in range(classes):
        rows = torch.nonzero(labels == label).flatten()
        each = len(rows) // need  # episodes that one round through the class's faces fills
        rounds = [rows[torch.randperm(len(rows), generator=generator)[: each * need]] for _ in range(-(-steps // each))]
        columns.append(torch.cat(rounds).reshape(-1, need)[:steps])
    return torch.cat(columns, dim=1)


def take_queries(episode: Tensor, loss: Loss) -> Tensor:
    """Take from an episode, (classes x (support + queries), ...), the part of its queries, in order."""
    return _by_class(episode, loss)[:, loss.support :].flatten(0, 1)


def episode_logits(features: Tensor, prototypes: Prototypes, loss: Loss) -> Tensor:
    """An episode's features, (classes x (support + queries), D) -> (classes x queries, classes) logits of its queries.

    The prototypes are the means of the support's features (Snell et al., equation 1).
    """
    centres = _by_class(features, loss)[:, : loss.support].mean(dim=1)
    return prototypes.nearness(take_queries(features, loss), centres)


def prototype_layer(net: FaceNet) -> Prototypes:
    """The last layer of a net that classifies by prototypes. Raises RunError where it is another."""
    if not isinstance(net.head.classifier, Prototypes):
        raise RunError("the net must classify by prototypes: head.classifier = euclidean or cosine")
    return net.head.classifier


@torch.no_grad()
def set_centres(net: FaceNet, images: Tensor, labels: Tensor, *, side: int, class_names: Sequence[str]) -> None:
    """Make each class's prototype in a net the mean feature of its faces: (N, 48, 48) uint8 and (N,) int64.

    The prototypes are brought to half precision, in which a model file keeps them, and its range, which a net's
    features leave only in its first steps. side: the faces' side in pixels when the net sees them.

    Raises
    ------
    RunError
        Where a class has no face.
    """
    prototypes = prototype_layer(net)
    counts = torch.bincount(labels, minlength=len(class_names))
    for name, count in zip(class_names, counts, strict=True):
        if not count:
            raise RunError(f"a class's prototype needs 1 or more train faces of it, got none of {name}")
    sums = torch.zeros(prototypes.centres.shape, dtype=torch.float64)
    for part in batches(len(images), 256):
        features = net.features(_inputs(net, images[part], side=side))
        sums.index_add_(0, labels[part], features.double().cpu())
    most = torch.finfo(torch.half).max
    prototypes.centres.copy_((sums / counts[:, None]).clamp(-most, most).half())


@torch.no_grad()
def use_prototypes(net: FaceNet, kind: Kind, faces: FaceSet, *, side: int, class_names: Sequence[str]) -> Prototypes:
    """Put prototypes in the place of a trained net's last layer: the centres of the labelled train faces' features.

    The scale is the one at which the labelled valid faces are likeliest: plain distances would claim far too much.

    Raises
    ------
    RunError
        Where there are no labelled valid faces, or no train faces of a class.
    """
    labelled = faces[faces.labels >= 0]
    train, valid = labelled[labelled.splits == "train"], labelled[labelled.splits == "valid"]
    if not len(valid):
        raise RunError("prototypes need labelled valid faces, to choose their scale by, got none")
    head = net.head
    width = head.classifier.centres.shape[1] if isinstance(head.classifier, Prototypes) else head.classifier.in_features
    head.classifier = Prototypes(kind, features=width, classes=len(class_names), scale=1.0)
    net.eval()
    set_centres(net, torch.tensor(train.images), torch.tensor(train.labels), side=side, class_names=class_names)
    images = torch.tensor(valid.images)
    logits = torch.cat([net(_inputs(net, images[part], side=side)).cpu() for part in batches(len(images), 256)])
    head.classifier.scale = float(f"{1 / fit_temperature(logits.numpy(), valid.labels):.4g}")
    return head.classifier


def _by_class(episode: Tensor, loss: Loss) -> Tensor:
    return episode.reshape(-1, loss.support + loss.queries, *episode.shape[1:])


def _inputs(net: FaceNet, images: Tensor, *, side: int) -> Tensor:
    device = next(net.parameters()).device
    return resize(images, side=side).to(device).contiguous(memory_format=torch.channels_last)
