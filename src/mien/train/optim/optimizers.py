"""The optimizers, and their state as tensors by name."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from mien.train.optim.muon import Muon
from mien.train.optim.settings import Optim

OPTIMIZERS: dict[str, Callable[[list[dict[str, object]], Optim], torch.optim.Optimizer]] = {
    "sgd": lambda groups, optim: torch.optim.SGD(
        groups, lr=optim.lr, momentum=optim.momentum, nesterov=optim.nesterov and optim.momentum > 0
    ),
    "adam": lambda groups, optim: torch.optim.Adam(groups, lr=optim.lr, betas=(optim.momentum, 0.999)),
    "adamw": lambda groups, optim: torch.optim.AdamW(groups, lr=optim.lr, betas=(optim.momentum, 0.999)),
    "muon": lambda groups, optim: Muon(groups, lr=optim.lr, momentum=optim.momentum, nesterov=optim.nesterov),
}


def make_optimizer(net: nn.Module, optim: Optim) -> torch.optim.Optimizer:
    """Make the recipe's optimizer; unless it says otherwise, weight decay spares norms and biases."""
    decayed = [weight for weight in net.parameters() if weight.ndim > 1 or optim.decay_all]
    spared = [weight for weight in net.parameters() if weight.ndim <= 1 and not optim.decay_all]
    groups: list[dict[str, object]] = [{"params": decayed, "weight_decay": optim.weight_decay}]
    if spared:
        groups.append({"params": spared, "weight_decay": 0.0})
    return OPTIMIZERS[optim.name](groups, optim)


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what an optimizer remembers of each weight (momentum, Adam's moments and steps), by number and name."""
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }


def restore_optimizer_state(optimizer: torch.optim.Optimizer, saved: Mapping[str, Tensor]) -> None:
    """Give an optimizer its `optimizer_state` back, in the weights' memory layout: it then steps to the same bits."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in saved.items():
        number, _, name = key.partition(".")
        weight = weights[int(number)]
        laid_out = torch.empty_like(weight).copy_(value) if value.shape == weight.shape and value.ndim else value
        state.setdefault(int(number), {})[name] = laid_out
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
