"""The moving average of the weights, which becomes the model (Polyak and Juditsky, 1992)."""

import torch
from torch import nn

from mien.train.optim.settings import Optim


def average_decay(optim: Optim, step: int) -> float:
    """The decay of `WeightAverage` after a step, counted from 0; in the first steps the average follows faster."""
    return min(optim.ema, (1 + step) / (10 + step))


class WeightAverage:
    """Moves one module's numbers after another's. Their tensors are listed once, since a step has no time for that."""

    def __init__(self, average: nn.Module, net: nn.Module) -> None:
        pairs = list(zip(average.state_dict().values(), net.state_dict().values(), strict=True))
        numbers = [pair for pair in pairs if pair[0].is_floating_point()]
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._means, self._now = ([pair[which] for pair in numbers] for which in (0, 1))
        self._counts, self._seen = ([pair[which] for pair in counts] for which in (0, 1))

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move every number of the average towards the net's: average = decay x average + (1 - decay) x net."""
        torch._foreach_lerp_(self._means, self._now, 1 - decay)
        if self._counts:
            torch._foreach_copy_(self._counts, self._seen)  # how many batches a norm has seen
