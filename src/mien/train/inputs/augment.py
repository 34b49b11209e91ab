"""What training does to faces: batched, every face on its own, random numbers from a generator that is passed in."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from mien.train.recipe import Augment
from mien.types import FACE_SIDE


def augment(images: Tensor, how: Augment, *, side: int, generator: torch.Generator) -> Tensor:
    """(B, 48, 48) uint8 -> (B, 1, side, side) float32 in 0 to 255: mirrored, moved, re-lit and partly erased.

    Mirror, rotation, scale, shift, pad-and-crop and the change of size are one bilinear resampling, in this order. What
    a motion leaves empty repeats the edge; padding is black.
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
    if not how.pad_crop:
        grid = functional.affine_grid(matrix, [count, 1, side, side], align_corners=False)
        return functional.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)
    down_at, across_at = _places_cut_out(count, how, side, generator)
    grid = _grid(down_at, across_at, matrix)
    moved = functional.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved * (_within(down_at)[:, :, None] * _within(across_at)[:, None, :]).unsqueeze(1)


def _places_cut_out(count: int, how: Augment, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two of (B, side) float32: where each row, and each column, of what is cut out lies, in pixels of the face.

    Below 0 and above 47 is the padding. A face that is not chosen is cut out whole.
    """
    chosen = torch.rand(count, 1, generator=generator) < how.pad_crop
    cut = torch.where(chosen, how.crop, FACE_SIDE)
    line = (torch.arange(side) + 0.5) * (cut / side) - 0.5
    line = line.clamp(min=torch.zeros(()), max=cut - 1)  # enlarging never looks beyond what was cut out
    starts = [
        torch.randint(0, FACE_SIDE + 2 * how.pad - how.crop + 1, (count, 1), generator=generator) - how.pad
        for _ in range(2)
    ]
    down, across = (line + torch.where(chosen, start, 0) for start in starts)
    return down, across


def _grid(down: Tensor, across: Tensor, matrix: Tensor) -> Tensor:
    """(B, side, side, 2) float32 for `grid_sample`: the rows and columns at these pixels, moved by (B, 2, 3)."""
    count, side = down.shape
    down, across = (((place + 0.5) * (2 / FACE_SIDE) - 1) for place in (down, across))
    across, down = across[:, None, :].expand(-1, side, -1), down[:, :, None].expand(-1, -1, side)
    places = torch.stack((across, down, torch.ones_like(down)), dim=3).reshape(count, side * side, 3)
    return (places @ matrix.mT).reshape(count, side, side, 2)


def _within(places: Tensor) -> Tensor:
    """How much of a sample at these pixels is of the face and not of the black around it, in [0, 1]."""
    return (places + 1).clamp(0, 1) * (FACE_SIDE - places).clamp(0, 1)


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
