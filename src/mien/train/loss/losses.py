"""What is minimised: the target of every train face, made once, and the loss of a batch against them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mien.errors import RunError
from mien.train.loss.soft_labels import label_posterior
from mien.train.recipe import Loss
from mien.types import FaceSet


@dataclass(frozen=True)
class Targets:
    """What a net should say of N faces. Linear: the targets of two mixed faces are the mixture of theirs.

    how:    the recipe's [loss].
    labels: (N, classes) float32, a distribution times the weights of its classes, smoothing included.
    mass:   (N,) float32, how much each face counts: its weight without smoothing.
    taught: (N, classes) float32, the teacher's softened distribution; (N, 0) where there is no teacher.
    votes:  (N, 10) float32, the distribution of all FER+ votes, zeros for a face without any; (N, 0) where the recipe
            has no auxiliary output.
    """

    how: Loss
    labels: Tensor
    mass: Tensor
    taught: Tensor
    votes: Tensor

    def __getitem__(self, rows: Tensor) -> "Targets":
        """Those of some faces."""
        return self._each(lambda part: part[rows])

    def mixed(self, partners: Tensor, shares: Tensor) -> "Targets":
        """Of each face its share, (N,) float32, and the rest of its partner's, (N,) int64."""
        return self._each(lambda part: torch.lerp(part[partners], part, shares.reshape(-1, *[1] * (part.ndim - 1))))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Targets":
        parts = (change(part) for part in (self.labels, self.mass, self.taught, self.votes))
        return Targets(self.how, *parts)


def make_targets(how: Loss, faces: FaceSet, *, classes: int, taught: NDArray[np.float32] | None = None) -> Targets:
    """The targets of labelled faces, as a recipe's [loss] describes them.

    taught: (N, classes), what a teacher says of each face.
    Raises RunError where the recipe needs votes that the faces do not have, or has another number of class weights.
    """
    spread = functional.one_hot(torch.from_numpy(faces.labels.copy()), classes).float()
    votes = torch.zeros(len(faces), 0)
    if how.votes or how.auxiliary:
        cast = torch.from_numpy(_cast_votes(faces, key="votes" if how.votes else "auxiliary").copy())
        spread = (1 - how.votes) * spread + how.votes * _shares(cast[:, :classes], instead=spread)
        votes = _shares(cast, instead=torch.zeros(())) if how.auxiliary else votes
    if how.smoothing_over == "all":
        smooth = (1 - how.smoothing) * spread + how.smoothing / classes
    else:
        smooth = (1 - how.smoothing) * spread + how.smoothing * (1 - spread) / (classes - 1)
    if how.teacher_votes:
        taught = label_posterior(faces, votes=_cast_votes(faces, key="teacher_votes"), taught=taught, classes=classes)
    weights = class_weights(how, faces, classes=classes)
    return Targets(
        how,
        labels=smooth * weights,
        mass=spread @ weights,
        taught=torch.zeros(len(faces), 0) if taught is None else softened(taught, how.teacher_temperature),
        votes=votes,
    )


def class_weights(how: Loss, faces: FaceSet, *, classes: int) -> Tensor:
    """(classes,) float32: the recipe's list; or the inverse of each class's count, or its square root, then mean 1.

    A class without a face has weight 0 there: it could only be pushed away from.
    """
    if how.class_weights == "none":
        return torch.ones(classes)
    if isinstance(how.class_weights, tuple):
        if len(how.class_weights) != classes:
            raise RunError(f"loss.class_weights must be {classes} numbers, one a class, got {len(how.class_weights)}")
        return torch.tensor(how.class_weights)
    counts = torch.from_numpy(np.bincount(faces.labels, minlength=classes)).float()
    inverse = torch.where(counts > 0, 1 / counts.clamp(min=1), 0)
    if how.class_weights == "sqrt":
        inverse = inverse.sqrt()
    return inverse / inverse.mean()


def loss_of(outputs: Tensor, targets: Targets) -> Tensor:
    """(N, outputs) float32 logits -> the loss, in nats: the mean over the faces by their mass.

    With a teacher it is the mixture with the cross entropy against what the teacher says, both softened, times the
    temperature's square, so that the gradients keep their size (Hinton et al., 2015). The outputs behind those of the
    classes are judged by the FER+ votes, over the faces that have some.
    """
    how, classes = targets.how, targets.labels.shape[1]
    logits = outputs[:, :classes]
    loss = _mean(_cross_entropy(logits, targets.labels), targets.mass)
    if targets.taught.shape[1]:
        heat = how.teacher_temperature
        against = heat**2 * _cross_entropy(logits / heat, targets.taught) / len(logits)
        loss = (1 - how.teacher_share) * loss + how.teacher_share * against
    if targets.votes.shape[1]:
        loss = loss + how.auxiliary * _mean(_cross_entropy(outputs[:, classes:], targets.votes), targets.votes)
    return loss


def _mean(total: Tensor, masses: Tensor) -> Tensor:
    """A total by what all faces of a batch weigh; 0 where none weighs anything, as of a class that does not count."""
    mass = masses.sum()
    return total / torch.where(mass > 0, mass, torch.inf)


def _cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Over all faces together."""
    return -(wanted * functional.log_softmax(logits, dim=1)).sum()


def _cast_votes(faces: FaceSet, *, key: str) -> NDArray[np.float32]:
    """(N, 10), for the setting that needs them."""
    if faces.votes is None or not faces.votes.any():
        off = "false" if key == "teacher_votes" else "0"
        raise RunError(
            f"loss.{key} needs faces with FER+ votes (mien data import ... --votes fer2013new.csv); without them, train"
            f" with --set loss.{key}={off}"
        )
    return faces.votes


def _shares(votes: Tensor, *, instead: Tensor) -> Tensor:
    """(N, K): what each has of a face's votes; `instead` where there are none."""
    total = votes.sum(dim=1, keepdim=True)
    return torch.where(total > 0, votes / torch.where(total > 0, total, 1), instead)


def softened(probs: NDArray[np.float32], temperature: float) -> Tensor:
    """(N, K) -> (N, K): the softmax of the logits behind these probabilities, each logit divided by the temperature."""
    return torch.softmax(torch.from_numpy(probs.copy()).clamp(min=1e-12).log() / temperature, dim=1)
