"""How the weights move: the optimiser, the learning rate over time, and the moving average that becomes the model."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mien.train.optim.muon import Muon
from mien.train.recipe import Optim


@dataclass(frozen=True)
class Moment:
    """Where a training stands before a step: of its steps behind the warm-up how many are done, and of how many.

    epochs: done, with a fraction, the warm-up's included. accuracies: on the validation faces, of each finished epoch.
    """

    step: float
    steps: float
    epochs: float
    accuracies: Sequence[float]

    @property
    def share(self) -> float:
        """Done of the steps behind the warm-up, from 0 to 1."""
        return self.step / self.steps


def _cosine(share: float) -> float:
    """From 1 to 0 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * share))


def _one_cycle(how: Optim, at: Moment) -> float:
    """Up from a 25th to the whole, then down to a 10,000th of the start, by cosines (Smith and Topin, 2018)."""
    start, end = 1 / 25, 1 / 250_000
    top, last = (how.warmup or 0.3) * at.steps - 1, at.steps - 1
    if at.step < top:
        return 1 - (1 - start) * _cosine(at.step / top)
    return end + (1 - end) * _cosine((at.step - top) / (last - top))


def _plateau(how: Optim, accuracies: Sequence[float]) -> float:
    """A fall each time that `every` epochs have brought no better accuracy; the wait begins anew after a fall."""
    falls, best, waited = 0, -1.0, 0
    for accuracy in accuracies:
        waited = 0 if accuracy > best else waited + 1
        best = max(best, accuracy)
        if waited == how.every:
            falls, waited = falls + 1, 0
    return how.factor**falls


# The factor of the learning rate in a step.
SCHEDULES: dict[str, Callable[[Optim, Moment], float]] = {
    "constant": lambda _how, _at: 1.0,
    "linear": lambda _how, at: 1 - at.share,
    "cosine": lambda _how, at: _cosine(at.share),
    "step": lambda how, at: how.factor ** (int(at.epochs) // how.every),
    "restarts": lambda how, at: _cosine(at.epochs % how.every / how.every),
    "one-cycle": _one_cycle,
    "plateau": lambda how, at: _plateau(how, at.accuracies),
}


def learning_rate(how: Optim, step: int, *, steps: int, accuracies: Sequence[float] = ()) -> float:
    """The learning rate of a step, counted from 0: a linear warm-up, then the schedule.

    steps: in each epoch. accuracies: on the validation faces, of each finished epoch; only `plateau` looks at them.
    """
    total = how.epochs * steps
    warm = 0.0 if how.schedule == "one-cycle" else how.warmup * total  # one-cycle climbs by itself
    if step < warm:
        return how.lr * min(1.0, (step + 1) / warm)
    return how.lr * SCHEDULES[how.schedule](how, Moment(step - warm, total - warm, step / steps, accuracies))


def out_of_patience(how: Optim, accuracies: Sequence[float]) -> bool:
    """Whether the last `patience` epochs have all brought no better validation accuracy than one before them."""
    if not how.patience or len(accuracies) <= how.patience:
        return False
    before, since = accuracies[: -how.patience], accuracies[-how.patience :]
    return max(since) <= max(before)


OPTIMISERS: dict[str, Callable[[list[dict[str, object]], Optim], torch.optim.Optimizer]] = {
    "sgd": lambda groups, how: torch.optim.SGD(
        groups, lr=how.lr, momentum=how.momentum, nesterov=how.nesterov and how.momentum > 0
    ),
    "adam": lambda groups, how: torch.optim.Adam(groups, lr=how.lr, betas=(how.momentum, 0.999)),
    "adamw": lambda groups, how: torch.optim.AdamW(groups, lr=how.lr, betas=(how.momentum, 0.999)),
    "muon": lambda groups, how: Muon(groups, lr=how.lr, momentum=how.momentum, nesterov=how.nesterov),
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


@contextmanager
def uphill(net: nn.Module, distance: float) -> Iterator[None]:
    """The net with its weights moved so far along their gradient, and put back to the bit afterwards.

    Where the gradient is beyond all numbers, as 16-mixed lets it be until it has found its scale, they stay.
    """
    pairs = [(weight, weight.grad) for weight in net.parameters() if weight.grad is not None]
    before = [weight.detach().clone() for weight, _ in pairs]
    length = nn.utils.get_total_norm([gradient for _, gradient in pairs]).item()
    with torch.no_grad():
        for weight, gradient in pairs if math.isfinite(length) else ():
            weight.add_(gradient, alpha=distance / (length + 1e-12))
    try:
        yield
    finally:
        with torch.no_grad():
            for (weight, _), saved in zip(pairs, before, strict=True):
                weight.copy_(saved)


def averaging(how: Optim, step: int, *, total: int) -> float:
    """The decay of `update_average` after a step, counted from 0 of a total.

    At the beginning the moving average follows faster than `ema`; in the tail it becomes the plain mean of the weights
    since the tail began (stochastic weight averaging, Izmailov et al., 2018).
    """
    since = step - round((1 - how.tail) * total)
    if how.tail and since >= 0:
        return since / (since + 1)
    return min(how.ema, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move every number of `average` towards the net's: average = decay x average + (1 - decay) x net."""
    pairs = list(zip(average.state_dict().values(), net.state_dict().values(), strict=True))
    floating = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([mean for mean, _ in floating], [now for _, now in floating], 1 - decay)
    for mean, now in pairs:
        if not mean.is_floating_point():
            mean.copy_(now)


def memory_of(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser has gathered for each weight (momentum, Adam's moments and steps), by number and name."""
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }


def restore_memory(optimiser: torch.optim.Optimizer, memory: Mapping[str, Tensor]) -> None:
    """Give an optimiser back what `memory_of` said of it, in the weights' layout, so that it steps to the same bits."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in memory.items():
        number, _, name = key.partition(".")
        weight = weights[int(number)]
        laid_out = torch.empty_like(weight).copy_(value) if value.shape == weight.shape and value.ndim else value
        state.setdefault(int(number), {})[name] = laid_out
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
