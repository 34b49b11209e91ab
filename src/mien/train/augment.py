"""What training does to faces: batched, every face on its own, random numbers from a generator that is passed in."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from mien.train.recipe import Augment
from mien.types import FACE_SIDE


def augment(images: Tensor, how: Augment, *, side: int, generator: torch.Generator) -> Tensor:
    """(B, 48, 48) uint8 -> (B, 1, side, side) float32 in 0 to 255: mirrored, moved, re-lit and partly erased.

    Mirror, rotation, scale, shift and the change of size are one bilinear resampling; the edge is repeated beyond it.
    """
    faces = _moved(images.unsqueeze(1).float(), how, side, generator)
    if how.contrast or how.brightness:
        mean = faces.mean(dim=(1, 2, 3), keepdim=True)
        contrast = 1 + how.contrast * _even(len(faces), generator)[:, None, None, None]
        brightness = 1 + how.brightness * _even(len(faces), generator)[:, None, None, None]
        faces = ((faces - mean) * contrast + mean) * brightness
        faces = faces.clamp_(0, 255)
    if how.erase:
        faces = _erased(faces, how, generator)
    return faces


def resized(images: Tensor, *, side: int) -> Tensor:
    """(B, 48, 48) uint8 -> (B, 1, side, side) float32 in 0 to 255: what validation and inference see."""
    faces = images.unsqueeze(1).float()
    if side == FACE_SIDE:
        return faces
    return functional.interpolate(faces, size=(side, side), mode="bilinear", align_corners=False)


def _even(count: int, generator: torch.Generator) -> Tensor:
    """(count,) float32, drawn evenly from -1 to 1."""
    return torch.rand(count, generator=generator) * 2 - 1


def _moved(faces: Tensor, how: Augment, side: int, generator: torch.Generator) -> Tensor:
    count = len(faces)
    angle = _even(count, generator) * math.radians(how.rotate_degrees)
    scale = 1 + how.scale * _even(count, generator)
    flip = torch.where(torch.rand(count, generator=generator) < how.mirror, -1.0, 1.0)
    across, down = (_even(count, generator) * (2 * how.shift_pixels / FACE_SIDE) for _ in range(2))
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    matrix = torch.stack((cosine * flip, -sine, across, sine * flip, cosine, down), dim=1).reshape(count, 2, 3)
    grid = functional.affine_grid(matrix, [count, 1, side, side], align_corners=False)
    return functional.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _erased(faces: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    count, side = len(faces), faces.shape[-1]
    hole = max(1, round(how.erase_side * side))
    chosen = torch.rand(count, generator=generator) < how.erase
    top, left = (torch.randint(0, side - hole + 1, (count, 1), generator=generator) for _ in range(2))
    line = torch.arange(side)
    rows = (line >= top) & (line < top + hole) & chosen[:, None]
    columns = (line >= left) & (line < left + hole)
    mask = (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
    return torch.where(mask, faces.mean(dim=(1, 2, 3), keepdim=True), faces)
