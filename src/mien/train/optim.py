"""How the weights move: the optimiser, the learning rate over time, and the moving average that becomes the model."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from mien.train.recipe import Optim

# Each schedule's factor of the learning rate: of the recipe, the share (0 to 1) of the training after the warm-up, the
# epochs done (with a fraction), and the validation accuracy of each finished epoch.
Schedule = Callable[[Optim, float, float, Sequence[float]], float]


def _cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


def _one_cycle(how: Optim, share: float) -> float:
    """Up from a 25th to the whole, then down to a 10,000th of the start, by cosines (Smith and Topin, 2018)."""
    climb = how.warmup or 0.3
    if share < climb:
        return 1 - (1 - 1 / 25) * _cosine(share / climb)
    return max(_cosine((share - climb) / (1 - climb)), 1 / 250_000)


def _plateau(how: Optim, accuracies: Sequence[float]) -> float:
    """A fall each time that `every` epochs have brought no better accuracy; the wait begins anew after a fall."""
    falls, best, waited = 0, -1.0, 0
    for accuracy in accuracies:
        waited = 0 if accuracy > best else waited + 1
        best = max(best, accuracy)
        if waited == how.every:
            falls, waited = falls + 1, 0
    return how.factor**falls


SCHEDULES: dict[str, Schedule] = {
    "constant": lambda _how, _share, _epochs, _accuracies: 1.0,
    "linear": lambda _how, share, _epochs, _accuracies: 1 - share,
    "cosine": lambda _how, share, _epochs, _accuracies: _cosine(share),
    "step": lambda how, _share, epochs, _accuracies: how.factor ** (int(epochs) // how.every),
    "restarts": lambda how, _share, epochs, _accuracies: _cosine(epochs % how.every / how.every),
    "one-cycle": lambda how, share, _epochs, _accuracies: _one_cycle(how, share),
    "plateau": lambda how, _share, _epochs, accuracies: _plateau(how, accuracies),
}


def learning_rate(how: Optim, share: float, accuracies: Sequence[float] = ()) -> float:
    """The learning rate of the step at a share (0 to 1) of the whole training: a linear warm-up, then the schedule.

    accuracies: on the validation faces, of each epoch that is finished; only `plateau` looks at them.
    """
    epochs = share * how.epochs
    if how.schedule == "one-cycle":  # climbs by itself
        return how.lr * SCHEDULES[how.schedule](how, share, epochs, accuracies)
    if share < how.warmup:
        return how.lr * share / how.warmup
    after = (share - how.warmup) / (1 - how.warmup)
    return how.lr * SCHEDULES[how.schedule](how, after, epochs, accuracies)


OPTIMISERS: dict[str, Callable[[list[dict[str, object]], Optim], torch.optim.Optimizer]] = {
    "sgd": lambda groups, how: torch.optim.SGD(
        groups, lr=how.lr, momentum=how.momentum, nesterov=how.nesterov and how.momentum > 0
    ),
    "adam": lambda groups, how: torch.optim.Adam(groups, lr=how.lr, betas=(how.momentum, 0.999)),
    "adamw": lambda groups, how: torch.optim.AdamW(groups, lr=how.lr, betas=(how.momentum, 0.999)),
}


def make_optimiser(net: nn.Module, how: Optim) -> torch.optim.Optimizer:
    """The recipe's optimiser; unless it says otherwise, weight decay spares norms and biases."""
    decayed = [weight for weight in net.parameters() if weight.ndim > 1 or how.decay_all]
    spared = [weight for weight in net.parameters() if weight.ndim <= 1 and not how.decay_all]
    groups: list[dict[str, object]] = [{"params": decayed, "weight_decay": how.weight_decay}]
    if spared:
        groups.append({"params": spared, "weight_decay": 0.0})
    return OPTIMISERS[how.name](groups, how)


def side_at(how: Optim, epoch: int) -> int:
    """The side in pixels that faces have in an epoch, counted from 0."""
    reached = 0.0
    for side, share in how.sizes:
        reached += share * how.epochs
        if epoch + 0.5 < reached:
            return side
    return how.sizes[-1][0]


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move every number of `average` towards the net's: average = decay x average + (1 - decay) x net."""
    pairs = list(zip(average.state_dict().values(), net.state_dict().values(), strict=True))
    floating = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([mean for mean, _ in floating], [now for _, now in floating], 1 - decay)
    for mean, now in pairs:
        if not mean.is_floating_point():
            mean.copy_(now)
