"""Effects of light, hands and cameras on faces, drawn anew for each face of a batch. All functions return new faces."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mien.train.settings import Interval, Probability, Settings

NOISE = 12.0  # the largest deviation of the noise, in grey levels
BLUR = 0.6, 1.8  # pixels: the smallest and largest deviation of a blur
SIDES = 14, 40  # pixels: the smallest and largest side of a face far away
GROUPS = 3  # faces far away share a side in groups, since a batch is resized at once
JPEG_QUALITY = 8.0, 50.0
ROUGHNESS = 20.0  # the largest deviation of what covers a face, in grey levels
# The luminance table of the JPEG standard (ITU-T T.81, table K.1), at quality 50.
_LUMINANCE = (
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
)  # fmt: skip


@dataclass(frozen=True)
class Camera(Settings, section="camera"):
    """Light, hands and a camera, and their effects on each training face after [augment]; with all zero, none."""

    uneven_light_prob: Probability = 0.0  # that light comes from one side
    uneven_light: Annotated[float, Interval("[0, 1)")] = 0.6  # how much brighter one side is at most, the other darker
    gamma: Annotated[float, Interval("[0, 3]")] = 0.0  # each level, of 1, to a power from e^-this to e^this
    cover_prob: Probability = 0.0  # that a rectangle covers a part of the face, as a hand or a mask does
    cover_side: Annotated[float, Interval("[0.15, 1]")] = 0.5  # its longest side, as a share of the face's
    blur_prob: Probability = 0.0  # that the face is blurred
    low_resolution_prob: Probability = 0.0  # that the face had only 14 to 40 pixels
    noise_prob: Probability = 0.0  # that there is noise
    jpeg_prob: Probability = 0.0  # that the face was stored as JPEG


NO_CAMERA = Camera()


def photograph(faces: Tensor, camera: Camera, generator: torch.Generator) -> Tensor:
    """Do to faces, (B, 1, S, S) float32 in 0 to 255, what the settings say; what is off draws no random number."""
    return record(cover(light(faces, camera, generator), camera, generator), camera, generator)


def light(faces: Tensor, camera: Camera, generator: torch.Generator) -> Tensor:
    """Light some faces from one side, and change the gamma of all: (B, 1, S, S) float32, 0 to 255.

    Unevenly lit faces are multiplied by a ramp in a direction drawn evenly, from 1 - `uneven_light` to 1 + that.
    """
    faces, side = faces.clone(), faces.shape[-1]
    if camera.uneven_light_prob:
        rows = _chosen(len(faces), camera.uneven_light_prob, generator)
        angle = 2 * math.pi * torch.rand(len(rows), 1, 1, generator=generator, device=generator.device)
        size = camera.uneven_light * torch.rand(len(rows), 1, 1, generator=generator, device=generator.device)
        line = (torch.arange(side, device=faces.device) + 0.5) * (2 / side) - 1
        ramp = (torch.cos(angle) * line + torch.sin(angle) * line[:, None]) * size
        faces[rows] = (faces[rows] * (1 + ramp[:, None]).clamp(min=0.1)).clamp(0, 255)
    if camera.gamma:
        drawn = torch.rand(len(faces), 1, 1, 1, generator=generator, device=generator.device) * 2 - 1
        faces = 255 * (faces / 255) ** torch.exp(camera.gamma * drawn)
    return faces


def cover(faces: Tensor, camera: Camera, generator: torch.Generator) -> Tensor:
    """Cover a part of some faces by a rectangle, as a hand, hair or a mask would: (B, 1, S, S) float32, 0 to 255.

    Its sides are drawn from 0.15 to `cover_side` of the face's, its grey level and roughness evenly.
    """
    if not camera.cover_prob:
        return faces
    faces, side = faces.clone(), faces.shape[-1]
    rows = _chosen(len(faces), camera.cover_prob, generator)
    sizes = (
        0.15 + (camera.cover_side - 0.15) * torch.rand(2, len(rows), 1, generator=generator, device=generator.device)
    ) * side
    middles = side * torch.rand(2, len(rows), 1, generator=generator, device=generator.device)
    inside = (torch.arange(side, device=faces.device) + 0.5 - middles).abs() < sizes / 2  # (2, B, S): down, across
    level = 255 * torch.rand(len(rows), 1, 1, 1, generator=generator, device=generator.device)
    rough = ROUGHNESS * torch.rand(len(rows), 1, 1, 1, generator=generator, device=generator.device)
    filling = level + rough * torch.randn(len(rows), 1, side, side, generator=generator, device=generator.device)
    mask = (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
    faces[rows] = torch.where(mask, filling.clamp(0, 255), faces[rows])
    return faces


def record(faces: Tensor, camera: Camera, generator: torch.Generator) -> Tensor:
    """Blur some faces, photograph some from far away, add noise, store some as JPEG: (B, 1, S, S) float32, 0 to 255."""
    faces, count = faces.clone(), len(faces)
    if camera.blur_prob:
        rows = _chosen(count, camera.blur_prob, generator)
        faces[rows] = gaussian_blur(faces[rows], _between(BLUR, generator))
    for _ in range(GROUPS if camera.low_resolution_prob else 0):
        rows = _chosen(count, camera.low_resolution_prob / GROUPS, generator)
        faces[rows] = low_resolution(faces[rows], round(_between(SIDES, generator)))
    if camera.noise_prob:
        rows = _chosen(count, camera.noise_prob, generator)
        deviation = NOISE * torch.rand(len(rows), 1, 1, 1, generator=generator, device=generator.device)
        noise = deviation * torch.randn(faces[rows].shape, generator=generator, device=generator.device)
        faces[rows] = (faces[rows] + noise).clamp(0, 255)
    if camera.jpeg_prob:
        rows = _chosen(count, camera.jpeg_prob, generator)
        low, high = JPEG_QUALITY
        faces[rows] = jpeg(
            faces[rows], low + (high - low) * torch.rand(len(rows), generator=generator, device=generator.device)
        )
    return faces


def gaussian_blur(faces: Tensor, deviation: float) -> Tensor:
    """Blur faces, (B, 1, S, S); deviation: of the Gaussian, in pixels. Beyond a face its edge is repeated."""
    reach = math.ceil(2.5 * deviation)
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=faces.device) / deviation) ** 2)
    line = (line / line.sum()).reshape(1, 1, 1, -1)
    padded = functional.pad(faces, (reach,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(padded, line), line.mT)


def low_resolution(faces: Tensor, side: int) -> Tensor:
    """Shrink faces, (B, 1, S, S), to a side in pixels and bring them back: faces far away, as a crop shows them."""
    small = functional.interpolate(faces, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    return functional.interpolate(small, size=faces.shape[-2:], mode="bilinear", align_corners=False).clamp(0, 255)


def jpeg(faces: Tensor, quality: Tensor) -> Tensor:
    """Store faces, (B, 1, S, S) in 0 to 255, as JPEG does, and read them again; quality: (B,), from 1 to 50.

    The discrete cosine transform of blocks of 8 x 8 pixels is rounded to multiples of the standard's table.
    """
    side = faces.shape[-1]
    more = -side % 8
    blocks = functional.pad(faces, (0, more, 0, more), mode="replicate")[:, 0] - 128
    count = blocks.shape[-1] // 8
    blocks = blocks.reshape(-1, count, 8, count, 8).transpose(2, 3)
    transform = _cosines(faces.device)
    luminance = torch.tensor(_LUMINANCE, dtype=torch.float32, device=faces.device)
    steps = (luminance * (50 / quality)[:, None, None]).clamp(min=1)[:, None, None]
    rounded = (transform @ blocks @ transform.T / steps).round() * steps
    blocks = (transform.T @ rounded @ transform).transpose(2, 3).reshape(-1, 1, 8 * count, 8 * count)
    return (blocks[..., :side, :side] + 128).clamp(0, 255)


def _cosines(device: torch.device) -> Tensor:
    """(8, 8): the orthonormal discrete cosine transform, each row a frequency."""
    numbers = torch.arange(8.0, device=device)
    waves = torch.cos((2 * numbers + 1) * numbers[:, None] * (math.pi / 16)) / 2
    waves[0] /= math.sqrt(2)
    return waves


def _chosen(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """Draw the faces of a batch that something happens to, each with this probability: (B',) int64.

    A GPU would be waited for to learn how many these are; so there it is always this share of the batch.
    """
    if generator.device.type != "cpu":
        return torch.randperm(count, generator=generator, device=generator.device)[: round(count * probability)]
    return torch.nonzero(torch.rand(count, generator=generator, device=generator.device) < probability)[:, 0]


def _between(ends: tuple[float, float], generator: torch.Generator) -> float:
    """Draw a number evenly; beside a GPU's generator on the processor, from the place where that one stands."""
    if generator.device.type == "cpu":
        share = torch.rand((), generator=generator).item()
    else:
        share = np.random.default_rng((generator.initial_seed(), generator.get_offset())).random()
    return ends[0] + (ends[1] - ends[0]) * share
