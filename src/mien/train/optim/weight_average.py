"""The moving average of the weights, which becomes the model (Polyak and Juditsky, 1992)."""

import torch
from torch import nn

from mien.train.optim.settings import Optim


def average_decay(optim: Optim, step: int) -> float:
    """The decay of `update_average` after a step, counted from 0; in the first steps the average follows faster."""
    return min(optim.ema, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move every number of `average` towards the net's: average = decay x average + (1 - decay) x net."""
    pairs = list(zip(average.state_dict().values(), net.state_dict().values(), strict=True))
    floating = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([mean for mean, _ in floating], [now for _, now in floating], 1 - decay)
    for mean, now in pairs:
        if not mean.is_floating_point():
            mean.copy_(now)
