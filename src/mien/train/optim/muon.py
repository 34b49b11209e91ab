"""Muon (Jordan et al., 2024): momentum whose matrices are made orthogonal, so that no direction outgrows the others."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_QUINTIC = 3.4445, -4.7750, 2.0315  # a polynomial that draws singular values near 1, by five applications


def newton_schulz(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """(M, N) -> about the nearest matrix with orthonormal rows or columns, by Newton-Schulz iterations in bfloat16."""
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    near: Tensor = (matrix.T if tall else matrix).bfloat16()
    near = near / (near.norm() + 1e-7)
    for _ in range(steps):
        gram = near @ near.T
        near = a * near + (b * gram + c * gram @ gram) @ near
    return (near.T if tall else near).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Muon for matrices and convolutions (each filter a row), AdamW for all else, with one learning rate.

    The root mean square of a matrix's step is 0.2, about what AdamW's is (Liu et al., 2025), so that learning rates and
    weight decay carry over from it.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float, nesterov: bool = True) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # torch overloads it
        """Move all weights that have a gradient."""
        if closure is not None:
            raise NotImplementedError("Muon takes no closure")
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    move = _muon_update if weight.ndim > 1 and min(weight.flatten(1).shape) > 1 else _adam_update
                    weight.add_(move(weight.grad, self.state[weight], group), alpha=-group["lr"])


def _muon_update(gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> Tensor:
    """Momentum, Nesterov's or plain, made orthogonal."""
    momentum = group["momentum"]
    if not state:
        state["momentum"] = torch.zeros_like(gradient)
    mean = state["momentum"].lerp_(gradient, 1 - momentum)
    rows = (gradient.lerp(mean, momentum) if group["nesterov"] else mean).flatten(1)
    size: float = 0.2 * max(rows.shape) ** 0.5
    return (newton_schulz(rows) * size).view_as(gradient)


def _adam_update(gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> Tensor:
    """Adam's step (Kingma and Ba, 2015), its second beta 0.999."""
    momentum: float = group["momentum"]
    if not state:
        state.update(step=torch.zeros(()), mean=torch.zeros_like(gradient), square=torch.zeros_like(gradient))
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - momentum)
    state["square"].lerp_(gradient.square(), 1 - 0.999)
    mean = state["mean"] / (1 - momentum ** state["step"])
    return mean / ((state["square"] / (1 - 0.999 ** state["step"])).sqrt() + 1e-8)
