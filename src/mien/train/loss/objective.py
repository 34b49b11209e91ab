"""The objective of a step: any faces and their cross entropy, or an episode and its prototypes."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.train.inputs.batch import Batch
from mien.train.loss.losses import Targets, compute_loss, soften
from mien.train.loss.prototypes import check_episodes, draw_episodes, episode_logits, prototype_layer, take_queries
from mien.train.loss.settings import Loss
from mien.train.nets import FaceNet


class Objective:
    """The objective of a recipe: it draws the faces of each step and computes their loss.

    Parameters
    ----------
    loss
        The recipe's [loss].
    labels
        (N,) int64, of the train faces.
    targets
        Those of the train faces.
    batch
        The recipe's optim.batch.
    class_names
        In the order of the labels.
    view_probs
        (V, N, classes), a teacher's answers to the views of each face; None where the targets hold what it says.

    Raises
    ------
    RunError
        Where a class has fewer faces than an episode needs.
    """

    def __init__(
        self,
        loss: Loss,
        *,
        labels: Tensor,
        targets: Targets,
        batch: int,
        class_names: tuple[str, ...],
        view_probs: NDArray[np.float16] | None = None,
    ) -> None:
        self.settings, self.labels, self.targets, self.class_names = loss, labels, targets, class_names
        self.view_probs = view_probs
        self.size = faces_per_step(loss, batch=batch, classes=len(class_names))
        if loss.kind == "prototypical":
            check_episodes(labels, loss, class_names=class_names)

    def to(self, device: torch.device) -> "Objective":
        """Move the targets to a device; return the objective itself."""
        self.targets = self.targets.to(device)
        return self

    def choose_view(self, epoch: int) -> int | None:
        """Let the teacher's answers to the view of an epoch, counted from 0, be taught; return which view it is."""
        if self.view_probs is None:
            return None
        view = epoch % len(self.view_probs)
        probs = soften(torch.from_numpy(self.view_probs[view].astype(np.float32)), self.settings.distill_temperature)
        self.targets = replace(self.targets, teacher_probs=probs.to(self.targets.class_target.device))
        return view

    def draw_order(self, generator: torch.Generator) -> Tensor:
        """(steps, size) int64: the train faces of each step of an epoch."""
        if self.settings.kind == "prototypical":
            return draw_episodes(self.labels, self.settings, classes=len(self.class_names), generator=generator)
        order = torch.randperm(len(self.labels), generator=generator)
        return order[: len(order) // self.size * self.size].reshape(-1, self.size)  # the rest: another time

    def batch_targets(self, batch: Batch) -> Targets:
        """Return the targets of a batch, mixed as its faces are."""
        targets = self.targets[batch.rows]
        if batch.mix is not None:
            targets = targets.mix(batch.mix.partners, batch.mix.lam)
        if batch.teacher_probs is not None:
            targets = replace(targets, teacher_probs=soften(batch.teacher_probs, self.settings.distill_temperature))
        return targets

    def loss(self, outputs: Tensor, targets: Targets, net: FaceNet) -> Tensor:
        """The loss of what the net says of a whole batch, in nats."""
        if self.settings.kind == "prototypical":
            queries = take_queries(torch.arange(len(outputs), device=outputs.device), self.settings)
            return compute_loss(episode_logits(outputs, prototype_layer(net), self.settings), targets[queries])
        return compute_loss(outputs, targets)


def faces_per_step(loss: Loss, *, batch: int, classes: int) -> int:
    """Return how many faces a step takes."""
    return classes * (loss.support + loss.queries) if loss.kind == "prototypical" else batch
