"""Muon (Jordan et al., 2024): momentum whose matrices are made orthogonal, so that no direction outgrows the others."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_QUINTIC = 3.4445, -4.7750, 2.0315  # a polynomial that draws singular values near 1, by five applications


def newton_schulz(matrices: Tensor, *, steps: int = 5) -> Tensor:
    """(..., M, N) -> about the nearest matrices with orthonormal rows or columns, by iterations in bfloat16."""
    a, b, c = _QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    near: Tensor = (matrices.mT if tall else matrices).bfloat16()
    near = near / (torch.linalg.vector_norm(near, dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = near @ near.mT
        near = a * near + (b * gram + c * gram @ gram) @ near
    return (near.mT if tall else near).to(matrices.dtype)


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
            moving = [weight for weight in group["params"] if weight.grad is not None]
            for weights in split_alike(moving):
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                updates = self._muon_updates if _is_matrix(weights[0]) else self._adam_updates
                torch._foreach_add_(weights, updates(weights, group), alpha=-group["lr"])

    def _muon_updates(self, weights: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Momentum, Nesterov's or plain, made orthogonal; of weights whose matrices have one shape."""
        momentum = group["momentum"]
        gradients, (means,) = self._gradients(weights), self._states(weights, "momentum")
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        updates = torch._foreach_lerp(gradients, means, momentum) if group["nesterov"] else means
        rows = [update.flatten(1) for update in updates]
        turned = newton_schulz(torch.stack(rows)).unbind() if len(rows) > 1 else [newton_schulz(rows[0])]
        size: float = 0.2 * max(rows[0].shape) ** 0.5
        return [(one * size).view_as(weight) for one, weight in zip(turned, weights, strict=True)]

    def _adam_updates(self, weights: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Adam's steps (Kingma and Ba, 2015), the second beta 0.999."""
        momentum: float = group["momentum"]
        gradients, (means, squares) = self._gradients(weights), self._states(weights, "mean", "square")
        steps = [self.state[weight].setdefault("step", torch.zeros(())) for weight in weights]
        torch._foreach_add_(steps, 1)  # they stay on the processor, so that reading them waits for no device
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - 0.999)
        roots = torch._foreach_sqrt(torch._foreach_div(squares, _bias_corrections(0.999, steps)))
        torch._foreach_add_(roots, 1e-8)
        updates = torch._foreach_div(means, _bias_corrections(momentum, steps))
        return list(torch._foreach_div(updates, roots))

    def _gradients(self, weights: list[Tensor]) -> list[Tensor]:
        return [weight.grad for weight in weights if weight.grad is not None]

    def _states(self, weights: list[Tensor], *names: str) -> list[list[Tensor]]:
        """For each name, what is remembered of each weight: at first zeros."""
        for weight in weights:
            for name in names:
                if name not in self.state[weight]:
                    self.state[weight][name] = torch.zeros_like(weight)
        return [[self.state[weight][name] for weight in weights] for name in names]


def _bias_corrections(beta: float, steps: list[Tensor]) -> list[float]:
    """Return 1 - beta^step for each weight; most have taken as many steps, so that it is computed once."""
    known: dict[float, float] = {}
    numbers = [step.item() for step in steps]
    for number, step in zip(numbers, steps, strict=True):
        if number not in known:
            known[number] = (1 - beta**step).item()
    return [known[number] for number in numbers]


def split_alike(weights: list[Tensor]) -> list[list[Tensor]]:
    """Split weights into those that are moved together: all vectors, and on a GPU the matrices of one shape.

    Few launches are what counts there. A processor moves each matrix by itself, since it stays in the caches then.
    """
    alike: dict[object, list[Tensor]] = {}
    for number, weight in enumerate(weights):
        shape = tuple(weight.flatten(1).shape) if _is_matrix(weight) else ()
        alike.setdefault(number if shape and weight.device.type == "cpu" else shape, []).append(weight)
    return list(alike.values())


def _is_matrix(weight: Tensor) -> bool:
    return weight.ndim > 1 and min(weight.flatten(1).shape) > 1
