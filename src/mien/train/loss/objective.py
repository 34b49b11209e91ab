"""What each step takes and minimises: any faces and their cross entropy, or an episode and its prototypes."""

import torch
from torch import Tensor

from mien.train.inputs.batch import Batch
from mien.train.loss.losses import Targets, loss_of
from mien.train.loss.prototypes import check_episodes, episode_logits, episode_order, prototypes_of, queries_of
from mien.train.nets import FaceNet
from mien.train.recipe import Recipe


class Objective:
    """A recipe's, for train faces with these labels, (N,) int64, and targets; names: of the classes.

    Raises RunError where a class has fewer faces than an episode needs.
    """

    def __init__(self, recipe: Recipe, *, labels: Tensor, targets: Targets, names: tuple[str, ...]) -> None:
        self.how, self.labels, self.targets, self.names = recipe.loss, labels, targets, names
        self.size = step_size(recipe, classes=len(names))
        if self.how.kind == "prototypical":
            check_episodes(labels, self.how, names=names)

    def order(self, generator: torch.Generator) -> Tensor:
        """(steps, size) int64: the train faces of each step of an epoch."""
        if self.how.kind == "prototypical":
            return episode_order(self.labels, self.how, classes=len(self.names), generator=generator)
        order = torch.randperm(len(self.labels), generator=generator)
        return order[: len(order) // self.size * self.size].reshape(-1, self.size)  # the rest: another time

    def loss(self, outputs: Tensor, batch: Batch, net: FaceNet) -> Tensor:
        """Of what the net says of a whole batch, in nats."""
        targets = batch.targets(self.targets)
        if self.how.kind == "prototypical":
            queries = queries_of(torch.arange(len(outputs)), self.how)
            return loss_of(episode_logits(outputs, prototypes_of(net), self.how), targets[queries])
        return loss_of(outputs, targets)


def step_size(recipe: Recipe, *, classes: int) -> int:
    """How many faces a step takes, before any are repeated."""
    how = recipe.loss
    return classes * (how.support + how.queries) if how.kind == "prototypical" else recipe.optim.batch
