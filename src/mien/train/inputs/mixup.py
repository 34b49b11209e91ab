"""Faces mixed in pairs, and their targets with them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mien.train.recipe import Augment


@dataclass(frozen=True)
class Mix:
    """How the B faces of a batch are mixed.

    partners: (B,) int64, with which face each is mixed.
    shares:   (B,) float32, how much of each is its own.
    own:      (B, 1, S, S) or (B, 1, 1, 1) float32, how much of each pixel is its own.
    """

    partners: Tensor
    shares: Tensor
    own: Tensor

    def of(self, faces: Tensor) -> Tensor:
        """(B, 1, S, S) float32 -> the same, mixed; of any side S."""
        own = self.own if self.own.shape[-1] == 1 else functional.interpolate(self.own, size=faces.shape[-2:])
        return torch.lerp(faces[self.partners], faces, own)


def draw_mix(count: int, how: Augment, *, side: int, generator: torch.Generator) -> Mix | None:
    """How to mix a batch of `count` faces of a side in pixels; None where it is left as it is.

    mixup: Zhang et al. (2018), equation 1. CutMix: Yun et al. (2019), algorithm 1. Each face has a share of its own.
    """
    if how.mix == "none" or torch.rand((), generator=generator) >= how.mix_probability:
        return None
    partners = torch.randperm(count, generator=generator)
    seed = int(torch.randint(2**62, (), generator=generator))  # torch's own Beta takes no generator
    shares = torch.from_numpy(np.random.default_rng(seed).beta(how.mix_alpha, how.mix_alpha, count).astype(np.float32))
    if how.mix == "mixup":
        return Mix(partners, shares, shares.reshape(count, 1, 1, 1))
    own = 1 - _rectangles(1 - shares, side, generator)
    return Mix(partners, own.mean(dim=(1, 2, 3)), own)


def _rectangles(areas: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """(B,) shares of the area -> (B, 1, side, side) float32: 1 in a square of that area, its centre drawn evenly.

    What would lie beyond the face is cut off, so that the area may be smaller.
    """
    half = areas.sqrt()[:, None] * (side / 2)
    rows, columns = (_between(torch.rand(len(areas), 1, generator=generator) * side, half, side) for _ in range(2))
    return (rows[:, :, None] * columns[:, None, :]).unsqueeze(1)


def _between(centre: Tensor, half: Tensor, side: int) -> Tensor:
    """(B, side) float32: 1 where a pixel's middle is within `half` of the centre."""
    return ((torch.arange(side) + 0.5 - centre).abs() < half).float()
