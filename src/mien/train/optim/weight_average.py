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
    means, now = ([pair[side] for pair in pairs if pair[0].is_floating_point()] for side in (0, 1))
    torch._foreach_lerp_(means, now, 1 - decay)
    counts, now = ([pair[side] for pair in pairs if not pair[0].is_floating_point()] for side in (0, 1))
    if counts:
        torch._foreach_copy_(counts, now)  # how many batches a norm has seen
