"""The target of every train face, made once, and the loss of a batch against its targets."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mien.errors import RunError
from mien.labels import CLASS_SETS, VOTES
from mien.train.loss.settings import Loss
from mien.train.loss.soft_labels import label_posterior
from mien.train.loss.vote_targets import vote_targets
from mien.train.nets import answer_columns
from mien.types import FaceSet


@dataclass(frozen=True)
class Targets:
    """The targets of N faces: what a net should say of them.

    They are linear: the target of two mixed faces is the mixture of their targets.

    Parameters
    ----------
    loss
        The recipe's [loss].
    class_target
        (N, classes) float32, a distribution, smoothed, times the weights of its classes.
    sample_weight
        (N,) float32, the weight of each face in the mean: its class's, without smoothing.
    teacher_probs
        (N, classes) float32, the teacher's softened distribution; (N, 0) where there is no teacher.
    vote_target
        (N, 10) float32, the distribution of all FER+ votes times the face's weight, zeros for a face without any;
        (N, 0) where the recipe has no second output.
    """

    loss: Loss
    class_target: Tensor
    sample_weight: Tensor
    teacher_probs: Tensor
    vote_target: Tensor

    def __getitem__(self, rows: Tensor) -> "Targets":
        """The targets of some faces."""
        return self.map(lambda part: part[rows])

    def to(self, device: torch.device) -> "Targets":
        """The same targets on a device."""
        return self.map(lambda part: part.to(device))

    def mix(self, partners: Tensor, lam: Tensor) -> "Targets":
        """Mix each face's target, by its weight lam, (N,) float32, with that of its partner, (N,) int64."""
        return self.map(lambda part: torch.lerp(part[partners], part, lam.reshape(-1, *[1] * (part.ndim - 1))))

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Their tensors, in the order of the fields."""
        return self.class_target, self.sample_weight, self.teacher_probs, self.vote_target

    def map(self, change: Callable[[Tensor], Tensor]) -> "Targets":
        """The targets with each tensor replaced by what a function makes of it."""
        return Targets(self.loss, *map(change, self.parts))


def make_targets(
    loss: Loss, faces: FaceSet, *, classes: int, teacher_probs: NDArray[np.float32] | None = None
) -> Targets:
    """Make the targets of labelled faces, as a recipe's [loss] describes them.

    Parameters
    ----------
    loss
        The recipe's [loss].
    faces
        The train faces, all labelled.
    classes
        How many classes there are.
    teacher_probs
        (N, classes), the probabilities that a teacher gives to each face.

    Raises
    ------
    RunError
        Where the recipe needs votes that the faces do not have, or has another number of class weights.
    """
    spread = functional.one_hot(torch.from_numpy(faces.labels.copy()), classes).float()
    vote_target = torch.zeros(len(faces), 0)
    if loss.ferplus_weight or loss.aux_ferplus_weight:
        key = "ferplus_weight" if loss.ferplus_weight else "aux_ferplus_weight"
        votes = torch.from_numpy(_require_votes(faces, key=key).copy())
        by_votes = _normalised(votes[:, :classes], instead=spread)
        spread = (1 - loss.ferplus_weight) * spread + loss.ferplus_weight * by_votes
        if loss.aux_ferplus_weight:
            min_votes, rare = loss.aux_ferplus_min_votes, loss.aux_ferplus_rare
            shares, weight = vote_targets(votes, min_votes=min_votes, rare_power=rare)
            vote_target = shares * weight[:, None]
    if loss.smoothing_over == "all":
        smooth = (1 - loss.smoothing) * spread + loss.smoothing / classes
    else:
        smooth = (1 - loss.smoothing) * spread + loss.smoothing * (1 - spread) / (classes - 1)
    if loss.label_posterior:
        known = _require_votes(faces, key="label_posterior")
        teacher_probs = label_posterior(faces, votes=known, teacher_probs=teacher_probs, classes=classes)
    weights = class_weights(loss, faces, classes=classes)
    taught = torch.zeros(len(faces), 0)
    if teacher_probs is not None:
        taught = soften(torch.from_numpy(teacher_probs.copy()), loss.distill_temperature)
    return Targets(
        loss,
        class_target=smooth * weights,
        sample_weight=spread @ weights,
        teacher_probs=taught,
        vote_target=vote_target,
    )


def class_weights(loss: Loss, faces: FaceSet, *, classes: int) -> Tensor:
    """(classes,) float32: the recipe's list; or the inverse of each class's count, or its square root, then mean 1.

    A class without a face has weight 0 there: it could only be pushed away from.
    """
    if loss.class_weights == "none":
        return torch.ones(classes)
    if isinstance(loss.class_weights, tuple):
        if len(loss.class_weights) != classes:
            raise RunError(f"loss.class_weights must be {classes} numbers, one a class, got {len(loss.class_weights)}")
        return torch.tensor(loss.class_weights)
    counts = torch.from_numpy(np.bincount(faces.labels, minlength=classes)).float()
    inverse = torch.where(counts > 0, 1 / counts.clamp(min=1), 0)
    if loss.class_weights == "sqrt":
        inverse = inverse.sqrt()
    return inverse / inverse.mean()


def compute_loss(outputs: Tensor, targets: Targets) -> Tensor:
    """(N, outputs) float32 logits -> the loss, in nats: the mean over the faces by their weight.

    The outputs behind those of the classes are judged by the FER+ votes, over the faces that have some. With a teacher,
    the loss of the output that answers the recipe's question is the mixture with the cross entropy against what the
    teacher says, both softened, times the temperature's square, so that the gradients keep their size (Hinton et al.,
    2015).
    """
    settings, classes = targets.loss, targets.class_target.shape[1]
    loss = _mean(_cross_entropy(outputs[:, :classes], targets.class_target), targets.sample_weight)
    votes = targets.vote_target
    by_votes = _mean(_cross_entropy(outputs[:, classes:], votes), votes) if votes.shape[1] else None
    if targets.teacher_probs.shape[1]:
        temperature, weight = settings.distill_temperature, settings.distill_weight
        logits = outputs[:, answer_columns(settings.question, classes=classes)]
        taught = temperature**2 * _cross_entropy(logits / temperature, targets.teacher_probs) / len(logits)
        if settings.question == "ferplus" and by_votes is not None:
            by_votes = (1 - weight) * by_votes + weight * taught
        else:
            loss = (1 - weight) * loss + weight * taught
    return loss if by_votes is None else loss + settings.aux_ferplus_weight * by_votes


def _mean(total: Tensor, weights: Tensor) -> Tensor:
    """A total over the sum of the weights; 0 where none weighs anything, as faces of a class that does not count."""
    weight = weights.sum()
    return total / torch.where(weight > 0, weight, torch.inf)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """The sum over all faces."""
    return -(target * functional.log_softmax(logits, dim=1)).sum()


def _require_votes(faces: FaceSet, *, key: str) -> NDArray[np.float32]:
    """(N, 10) votes, for the setting that needs them."""
    if faces.votes is None or not faces.votes.any():
        off = "false" if key == "label_posterior" else "0"
        raise RunError(
            f"loss.{key} needs faces with FER+ votes (mien data import ... --votes fer2013new.csv); without them, train"
            f" with --set loss.{key}={off}"
        )
    if faces.class_names != VOTES[: len(faces.class_names)]:
        raise RunError(
            f"loss.{key} needs the classes that FER+ votes are for ({', '.join(CLASS_SETS['ferplus8'])}, or the first "
            f"seven), got {', '.join(faces.class_names)}"
        )
    return faces.votes


def _normalised(votes: Tensor, *, instead: Tensor) -> Tensor:
    """(N, K): the distribution of each face's votes; `instead` where there are none."""
    total = votes.sum(dim=1, keepdim=True)
    return torch.where(total > 0, votes / torch.where(total > 0, total, 1), instead)


def soften(probs: Tensor, temperature: float) -> Tensor:
    """(N, K) -> (N, K): the softmax of the logits behind these probabilities, each logit divided by the temperature."""
    return torch.softmax(probs.clamp(min=1e-12).log() / temperature, dim=1)
