"""The learning rate and the faces' side over a training, and when training stops early."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mien.train.optim.settings import Optim


@dataclass(frozen=True)
class Position:
    """Progress at the start of a step: steps done and total steps, both after warm-up.

    epochs: done, with a fraction, the warm-up's included. accuracies: on the validation faces, of each finished epoch.
    """

    step: float
    steps: float
    epochs: float
    accuracies: Sequence[float]

    @property
    def share(self) -> float:
        """The share of the steps after warm-up that are done, from 0 to 1."""
        return self.step / self.steps


def _cosine(share: float) -> float:
    """From 1 to 0 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * share))


def _one_cycle(optim: Optim, at: Position) -> float:
    """Up from a 25th to the whole, then down to a 10,000th of the start, by cosines (Smith and Topin, 2018)."""
    start, end = 1 / 25, 1 / 250_000
    top, last = (optim.warmup or 0.3) * at.steps - 1, at.steps - 1
    if at.step < top:
        return 1 - (1 - start) * _cosine(at.step / top)
    return end + (1 - end) * _cosine((at.step - top) / (last - top))


def _plateau(optim: Optim, accuracies: Sequence[float]) -> float:
    """Fall each time that `plateau_patience` epochs have brought no better accuracy; then the wait begins anew."""
    falls, best, waited = 0, -1.0, 0
    for accuracy in accuracies:
        waited = 0 if accuracy > best else waited + 1
        best = max(best, accuracy)
        if waited == optim.plateau_patience:
            falls, waited = falls + 1, 0
    return optim.gamma**falls


# What the recipe's learning rate is multiplied by in a step.
SCHEDULES: dict[str, Callable[[Optim, Position], float]] = {
    "constant": lambda _optim, _at: 1.0,
    "linear": lambda _optim, at: 1 - at.share,
    "cosine": lambda _optim, at: _cosine(at.share),
    "step": lambda optim, at: optim.gamma ** (int(at.epochs) // optim.step_epochs),
    "restarts": lambda optim, at: _cosine(at.epochs % optim.restart_epochs / optim.restart_epochs),
    "one-cycle": _one_cycle,
    "plateau": lambda optim, at: _plateau(optim, at.accuracies),
}


def learning_rate(optim: Optim, step: int, *, steps: int, accuracies: Sequence[float] = ()) -> float:
    """The learning rate of a step: a linear warm-up, then the schedule.

    Parameters
    ----------
    optim
        The recipe's [optim].
    step
        Counted from 0 over the whole training.
    steps
        How many steps an epoch has.
    accuracies
        On the validation faces, of each finished epoch; only `plateau` looks at them.
    """
    total = optim.epochs * steps
    warm = 0.0 if optim.schedule == "one-cycle" else optim.warmup * total  # one-cycle climbs by itself
    if step < warm:
        return optim.lr * min(1.0, (step + 1) / warm)
    at = Position(step - warm, total - warm, step / steps, accuracies)
    return optim.lr * SCHEDULES[optim.schedule](optim, at)


def stops_early(optim: Optim, accuracies: Sequence[float]) -> bool:
    """Say whether the last `early_stop_patience` epochs have all brought no better accuracy than one before them."""
    patience = optim.early_stop_patience
    if not patience or len(accuracies) <= patience:
        return False
    return max(accuracies[-patience:]) <= max(accuracies[:-patience])


def side_at(optim: Optim, epoch: int) -> int:
    """The side in pixels that faces have in an epoch, counted from 0."""
    reached = 0.0
    for side, share in optim.image_sizes:
        reached += share * optim.epochs
        if epoch + 0.5 < reached:
            return side
    return optim.image_sizes[-1][0]
