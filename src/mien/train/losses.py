"""What is minimised: the target of every train face, made once, and the loss of a batch against them."""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mien.errors import RunError
from mien.train.recipe import Loss
from mien.types import FaceSet


@dataclass(frozen=True)
class Targets:
    """What a net should say of N faces. Linear, so that the targets of two mixed faces are the mixture of theirs.

    labels: (N, classes) float32, a distribution times the weights of its classes, smoothing included.
    mass:   (N,) float32, how much each face counts.
    """

    labels: Tensor
    mass: Tensor

    def __getitem__(self, rows: Tensor) -> "Targets":
        """Those of some faces."""
        return replace(self, **{part.name: getattr(self, part.name)[rows] for part in fields(self)})


def make_targets(how: Loss, faces: FaceSet, *, classes: int) -> Targets:
    """The targets of labelled faces, as a recipe's [loss] describes them.

    Raises RunError where the recipe needs votes that the faces do not have, or has another number of class weights.
    """
    labels = torch.from_numpy(faces.labels.copy())
    hard = functional.one_hot(labels, classes).float()
    spread = hard
    if how.votes:
        spread = (1 - how.votes) * hard + how.votes * _vote_shares(faces, classes, instead=hard)
    if how.smoothing_over == "all":
        smooth = (1 - how.smoothing) * spread + how.smoothing / classes
    else:
        smooth = (1 - how.smoothing) * spread + how.smoothing * (1 - spread) / (classes - 1)
    weights = class_weights(how, faces, classes=classes)
    return Targets(smooth * weights, hard @ weights)


def class_weights(how: Loss, faces: FaceSet, *, classes: int) -> Tensor:
    """(classes,) float32: by the recipe's list, or by the inverse of the counts, or its square root; then mean 1."""
    if how.class_weights == "none":
        return torch.ones(classes)
    if isinstance(how.class_weights, tuple):
        if len(how.class_weights) != classes:
            raise RunError(f"loss.class_weights must have {classes} numbers, got {len(how.class_weights)}")
        return torch.tensor(how.class_weights)
    counts = np.maximum(np.bincount(faces.labels, minlength=classes), 1)
    inverse = torch.from_numpy(1 / counts).float()
    if how.class_weights == "sqrt":
        inverse = inverse.sqrt()
    return inverse / inverse.mean()


def _vote_shares(faces: FaceSet, classes: int, *, instead: Tensor) -> Tensor:
    """(N, classes): each annotator's vote for one of the classes counts alike; `instead` where there is none."""
    if faces.votes is None:
        raise RunError("loss.votes needs faces with FER+ votes: mien data import ... --votes fer2013new.csv")
    votes = torch.from_numpy(faces.votes[:, :classes].copy())
    total = votes.sum(dim=1, keepdim=True)
    return torch.where(total > 0, votes / total.clamp(min=1), instead)


def loss_of(outputs: Tensor, targets: Targets) -> Tensor:
    """(N, outputs) float32 logits -> the loss, in nats: the mean over the faces by their mass."""
    return -(targets.labels * functional.log_softmax(outputs, dim=1)).sum() / targets.mass.sum()
