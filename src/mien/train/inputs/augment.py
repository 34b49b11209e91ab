"""Augmentation: batched, each face by random numbers of its own, from a generator that is passed in."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional

from mien.train.settings import Interval, Probability, Settings, require
from mien.types import FACE_SIDE

Factor = Annotated[float, Interval("[0, 1)")]  # a factor is drawn evenly from 1 - this to 1 + this


@dataclass(frozen=True)
class Augment(Settings, section="augment"):
    """The changes that each training face goes through, anew in each epoch; with all zero, none."""

    pad_crop_prob: Probability = 0.0  # that a face is padded and a square cut out of it at a place drawn evenly
    pad: Annotated[int, Interval("[0, 48]")] = 2  # pixels of black around a 48-pixel face
    crop: int = 48  # side in pixels of what is cut out, then brought back to the face's size
    flip_prob: Probability = 0.5  # that a face is mirrored, left for right
    rotate_degrees: Annotated[float, Interval("[0, 180]")] = 15.0  # drawn evenly from -this to +this
    scale: Factor = 0.15
    shift_pixels: Annotated[float, Interval("[0, 48]")] = 3.0  # across and down, of a 48-pixel face
    stretch: Factor = 0.0  # across alone: a head turned a little aside
    shear: Annotated[float, Interval("[0, 1]")] = 0.0  # pixels across for each pixel down, from -this to this
    contrast: Factor = 0.4  # about the face's mean
    brightness: Factor = 0.0
    erase_prob: Probability = 0.5  # that a square is replaced by the face's mean (Zhong et al., 2020)
    erase_side: Probability = 0.35  # side of that square, as a share of the face's
    mix: Literal["none", "mixup", "cutmix"] = "none"  # faces in pairs, and their targets (Zhang 2018; Yun 2019)
    mix_prob: Probability = 0.5  # that a batch is mixed
    mix_alpha: Annotated[float, Interval("(0, 100]")] = 0.2  # the share is drawn from Beta(this, this)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(16 <= self.crop <= FACE_SIDE + 2 * self.pad, "augment.crop must be 16 to 48 + 2 x pad", self.crop)


def augment_faces(
    images: Tensor, augment: Augment, *, side: int, generator: torch.Generator, erase_grid: int = 0
) -> Tensor:
    """(B, 48, 48) uint8 -> (B, 1, side, side) float32 in 0 to 255: mirrored, moved, re-lit and partly erased.

    Mirror, rotation, scale, shift, pad-and-crop and the change of size are one bilinear resampling, in this order. What
    a motion leaves empty repeats the edge; padding is black. Erased squares are placed on a grid of `side` x `side`, or
    of `erase_grid`: with the same one, a generator in the same state draws the same changes at every side.
    """
    faces = _move(images.unsqueeze(1).float(), augment, side, generator)
    if augment.contrast or augment.brightness:
        mean = faces.mean(dim=(1, 2, 3), keepdim=True)
        contrast = 1 + augment.contrast * _draw(len(faces), generator)[:, None, None, None]
        brightness = 1 + augment.brightness * _draw(len(faces), generator)[:, None, None, None]
        faces = ((faces - mean) * contrast + mean) * brightness
        faces = faces.clamp_(0, 255)
    if augment.erase_prob:
        faces = _erase(faces, augment, generator, erase_grid or side)
    return faces


def resize(images: Tensor, *, side: int) -> Tensor:
    """(B, 48, 48) uint8 -> (B, 1, side, side) float32 in 0 to 255: what validation and inference see."""
    faces = images.unsqueeze(1).float()
    if side == FACE_SIDE:
        return faces
    return functional.interpolate(faces, size=(side, side), mode="bilinear", align_corners=False)


def _draw(count: int, generator: torch.Generator) -> Tensor:
    """(count,) float32, drawn evenly from -1 to 1."""
    return torch.rand(count, generator=generator, device=generator.device) * 2 - 1


def _move(faces: Tensor, augment: Augment, side: int, generator: torch.Generator) -> Tensor:
    count, device = len(faces), generator.device
    angle = _draw(count, generator) * math.radians(augment.rotate_degrees)
    scale = 1 + augment.scale * _draw(count, generator)
    flip = torch.where(torch.rand(count, generator=generator, device=device) < augment.flip_prob, -1.0, 1.0)
    across, down = (_draw(count, generator) * (2 * augment.shift_pixels / FACE_SIDE) for _ in range(2))
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    matrix = torch.stack((cosine * flip, -sine, across, sine * flip, cosine, down), dim=1).reshape(count, 2, 3)
    if augment.shear:  # down goes a little across
        matrix[:, :, 1] += augment.shear * (_draw(count, generator) * flip)[:, None] * matrix[:, :, 0]
    if augment.stretch:
        matrix[:, :, 0] *= 1 + augment.stretch * _draw(count, generator)[:, None]
    if not augment.pad_crop_prob:
        grid = functional.affine_grid(matrix, [count, 1, side, side], align_corners=False)
        return functional.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)
    rows, columns = _draw_crops(count, augment, side, generator)
    grid = _sampling_grid(rows, columns, matrix)
    moved = functional.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved * (_inside(rows)[:, :, None] * _inside(columns)[:, None, :]).unsqueeze(1)


def _draw_crops(count: int, augment: Augment, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the crops: two of (B, side) float32, where each row and each column lies, in pixels of the face.

    Below 0 and above 47 is the padding. A face that is not chosen is cut out whole.
    """
    device = generator.device
    chosen = torch.rand(count, 1, generator=generator, device=device) < augment.pad_crop_prob
    cut = torch.where(chosen, augment.crop, FACE_SIDE)
    line = (torch.arange(side, device=device) + 0.5) * (cut / side) - 0.5
    # Enlarging never looks beyond what was cut out.
    line = line.clamp(min=torch.zeros((), device=device), max=cut - 1)
    places = FACE_SIDE + 2 * augment.pad - augment.crop + 1
    starts = [torch.randint(0, places, (count, 1), generator=generator, device=device) - augment.pad for _ in range(2)]
    rows, columns = (line + torch.where(chosen, start, 0) for start in starts)
    return rows, columns


def _sampling_grid(rows: Tensor, columns: Tensor, matrix: Tensor) -> Tensor:
    """(B, side, side, 2) float32 for `grid_sample`: the rows and columns at these pixels, moved by (B, 2, 3)."""
    count, side = rows.shape
    down, across = (((place + 0.5) * (2 / FACE_SIDE) - 1) for place in (rows, columns))
    across, down = across[:, None, :].expand(-1, side, -1), down[:, :, None].expand(-1, -1, side)
    places = torch.stack((across, down, torch.ones_like(down)), dim=3).reshape(count, side * side, 3)
    return (places @ matrix.mT).reshape(count, side, side, 2)


def _inside(places: Tensor) -> Tensor:
    """The share of a sample at these pixels that is the face's and not the black's around it, in [0, 1]."""
    return (places + 1).clamp(0, 1) * (FACE_SIDE - places).clamp(0, 1)


def _erase(faces: Tensor, augment: Augment, generator: torch.Generator, grid: int) -> Tensor:
    count, side, device = len(faces), faces.shape[-1], generator.device
    hole = max(1, round(augment.erase_side * grid))
    chosen = torch.rand(count, generator=generator, device=device) < augment.erase_prob
    top, left = (torch.randint(0, grid - hole + 1, (count, 1), generator=generator, device=device) for _ in range(2))
    line = torch.arange(side, device=device)
    if grid != side:
        line = (line + 0.5) * (grid / side) - 0.5
    rows = (line >= top) & (line < top + hole) & chosen[:, None]
    columns = (line >= left) & (line < left + hole)
    mask = (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
    return torch.where(mask, faces.mean(dim=(1, 2, 3), keepdim=True), faces)
