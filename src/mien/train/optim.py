"""How the weights move: the optimiser, the learning rate over time, and the moving average that becomes the model."""

import math
from collections.abc import Callable

import torch
from torch import nn

from mien.train.recipe import Optim

# The learning rate's factor in [0, 1] at a share (0 to 1) of the training after the warm-up.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),
    "linear": lambda share: 1 - share,
    "constant": lambda _share: 1.0,
}


def learning_rate(how: Optim, share: float) -> float:
    """The learning rate at a share (0 to 1) of the whole training: a linear warm-up, then the schedule."""
    if share < how.warmup:
        return how.lr * share / how.warmup
    return how.lr * SCHEDULES[how.schedule]((share - how.warmup) / (1 - how.warmup))


def make_optimiser(net: nn.Module, how: Optim) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; weight decay only on the weights of convolutions and linear layers."""
    decayed = [weight for weight in net.parameters() if weight.ndim > 1]
    others = [weight for weight in net.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": how.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=how.lr, momentum=how.momentum, nesterov=how.momentum > 0)


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
