"""Faces mixed in pairs: mixup and CutMix."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mien.train.inputs.augment import Augment


@dataclass(frozen=True)
class Mix:
    """The mixture of the B faces of a batch, each with a partner.

    Parameters
    ----------
    partners
        (B,) int64, the row of each face's partner.
    lam
        (B,) float32, the papers' lambda: the weight of the face, beside 1 - lambda for its partner.
    mask
        (B, 1, S, S) or (B, 1, 1, 1) float32, the weight of the face in each pixel.
    """

    partners: Tensor
    lam: Tensor
    mask: Tensor

    def apply(self, faces: Tensor) -> Tensor:
        """Mix faces, (B, 1, S, S) float32, of any side S."""
        mask = self.mask if self.mask.shape[-1] == 1 else functional.interpolate(self.mask, size=faces.shape[-2:])
        return torch.lerp(faces[self.partners], faces, mask)


def draw_mix(count: int, augment: Augment, *, side: int, generator: torch.Generator) -> Mix | None:
    """Draw how a batch of `count` faces of a side in pixels is mixed; None: it stays as it is.

    mixup: Zhang et al. (2018), equation 1. CutMix: Yun et al. (2019), algorithm 1. Each face has a lambda of its own.
    On a GPU a batch that stays as it is has lambdas of 1 instead, so that nothing waits for the drawn number.
    """
    if augment.mix == "none":
        return None
    device = generator.device
    mixed = torch.rand((), generator=generator, device=device) < augment.mix_prob
    if device.type == "cpu" and not mixed:
        return None
    partners = torch.randperm(count, generator=generator, device=device)
    draw_beta = draw_beta_by_numpy if device.type == "cpu" else draw_beta_by_torch
    lam = torch.where(mixed, draw_beta(augment.mix_alpha, count, generator), 1.0)
    if augment.mix == "mixup":
        return Mix(partners, lam, lam.reshape(count, 1, 1, 1))
    mask = 1 - _draw_squares(1 - lam, side, generator)
    return Mix(partners, mask.mean(dim=(1, 2, 3)), mask)


def draw_beta_by_numpy(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """(count,) float32 on the CPU, drawn from Beta(alpha, alpha)."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count).astype(np.float32))


def draw_beta_by_torch(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """(count,) float32 on the generator's device, drawn from Beta(alpha, alpha)."""
    pairs = torch.full((count, 2), alpha, device=generator.device)
    return torch._sample_dirichlet(pairs, generator)[:, 0]  # noqa: SLF001  # torch's public Beta takes no generator


def _draw_squares(areas: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """(B,) shares of the area -> (B, 1, side, side) float32: 1 in a square of that area, its centre drawn evenly.

    What would lie beyond the face is cut off, so that the area may be smaller.
    """
    half = areas.sqrt()[:, None] * (side / 2)
    rows, columns = (
        _near(torch.rand(len(areas), 1, generator=generator, device=generator.device) * side, half, side)
        for _ in range(2)
    )
    return (rows[:, :, None] * columns[:, None, :]).unsqueeze(1)


def _near(centre: Tensor, half: Tensor, side: int) -> Tensor:
    """(B, side) float32: 1 where a pixel's middle is within `half` of the centre."""
    return ((torch.arange(side, device=centre.device) + 0.5 - centre).abs() < half).float()
