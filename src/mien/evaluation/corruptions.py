"""Corruptions of face crops, as cameras, light, detectors and hands make them, each in five severities.

The kinds follow Hendrycks and Dietterich (2019), but are made for crops of 48x48 pixels. Each function takes faces as
(N, 48, 48) float32 in 0 to 255, a severity from 0 to 4 and a random generator, and returns new faces. `corrupt` is the
door: it takes and returns uint8. What a crop does not show is its edge pixels, repeated, as `crop_face` repeats them.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.occlusions import cover_eyes, cover_mouth, lay_hand, put_on_mask
from mien.types import FACE_SIDE, require_faces

SEVERITIES = 5
Faces = NDArray[np.floating]  # (N, 48, 48), 0 to 255
Corruption = Callable[[Faces, int, np.random.Generator], Faces]

_TAPS = 9  # places along the way of a motion blur
# The luminance table of the JPEG standard (ITU-T T.81, table K.1), at quality 50.
_LUMINANCE = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
], np.float32)  # fmt: skip


def corrupt(images: NDArray[np.uint8], name: str, severity: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Corrupt faces, (N, 48, 48) uint8, and return new ones.

    The same faces, name, severity and seed give the same pixels.

    Parameters
    ----------
    name
        A key of `CORRUPTIONS`.
    severity
        From 1, which is mild, to 5.
    seed
        Of the random numbers.

    Raises
    ------
    DataError
        Where the array, the name or the severity is another.
    """
    images = require_faces(images)
    if name not in CORRUPTIONS:
        raise DataError(f"a corruption must be one of {', '.join(CORRUPTIONS)}, got {name}")
    if severity not in range(1, SEVERITIES + 1):
        raise DataError(f"a severity must be 1 to {SEVERITIES}, got {severity}")
    rng = np.random.default_rng([seed, severity, *name.encode()])
    changed = CORRUPTIONS[name](images.astype(np.float32), severity - 1, rng)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def gaussian_blur(faces: Faces, severity: int, _rng: np.random.Generator) -> Faces:
    """Blur faces as a lens out of focus does: a Gaussian of 0.6 to 2.6 pixels."""
    return blurred(faces, (0.6, 1.0, 1.4, 1.9, 2.6)[severity])


def motion_blur(faces: Faces, severity: int, rng: np.random.Generator) -> Faces:
    """Smear each face along a line of 2 to 10 pixels, in a direction of its own."""
    length = (2.0, 4.0, 6.0, 8.0, 10.0)[severity]
    angle = rng.uniform(0, np.pi, (len(faces), 1, 1)).astype(np.float32)
    smeared = np.zeros_like(faces)
    for place in np.linspace(-0.5, 0.5, _TAPS).tolist():
        smeared += sample(faces, place * length * np.cos(angle), place * length * np.sin(angle))
    return smeared / _TAPS


def gaussian_noise(faces: Faces, severity: int, rng: np.random.Generator) -> Faces:
    """Add noise of 6 to 40 grey levels to each pixel."""
    deviation = (6, 12, 20, 29, 40)[severity]
    return faces + deviation * rng.standard_normal(faces.shape, dtype=np.float32)


def low_light(faces: Faces, severity: int, rng: np.random.Generator) -> Faces:
    """Darken faces and count few photons for each pixel, as a camera at night does: 400 to 20 in a white one."""
    photons, light = ((400, 0.8), (160, 0.65), (80, 0.5), (40, 0.4), (20, 0.3))[severity]
    return (rng.poisson(faces * (photons / 255)) * (255 * light / photons)).astype(np.float32)


def jpeg(faces: Faces, severity: int, _rng: np.random.Generator) -> Faces:
    """Store faces as JPEG of quality 30 to 4, and read them again.

    The discrete cosine transform of blocks of 8 x 8 pixels is rounded to multiples of the standard's table.
    """
    quality = (30, 18, 11, 7, 4)[severity]
    count = FACE_SIDE // 8
    blocks = (faces - 128).reshape(-1, count, 8, count, 8).swapaxes(2, 3)
    numbers = np.arange(8)
    waves = (np.cos((2 * numbers + 1) * numbers[:, None] * (np.pi / 16)) / 2).astype(np.float32)
    waves[0] /= math.sqrt(2)
    steps = ((_LUMINANCE * (5000 // quality) + 50) // 100).clip(1, 255)  # as libjpeg scales it
    rounded = np.rint(waves @ blocks @ waves.T / steps) * steps
    read: Faces = (waves.T @ rounded @ waves).swapaxes(2, 3).reshape(faces.shape) + 128
    return read


def brightness(faces: Faces, severity: int, rng: np.random.Generator) -> Faces:
    """Make each face brighter or darker by 30 to 120 grey levels; what is beyond black and white is lost."""
    change: Faces = (30, 50, 70, 95, 120)[severity] * _sign(len(faces), rng)
    return faces + change


def contrast(faces: Faces, severity: int, _rng: np.random.Generator) -> Faces:
    """Shrink the differences from each face's mean to 60% down to 6%, as fog and backlight do."""
    share = (0.6, 0.4, 0.25, 0.12, 0.06)[severity]
    mean: Faces = faces.mean(axis=(1, 2), keepdims=True)
    return mean + share * (faces - mean)


def gamma(faces: Faces, severity: int, rng: np.random.Generator) -> Faces:
    """Raise each level, of 1, to a power from 1.4 to 4, or to its reciprocal."""
    power: Faces = np.array((1.4, 1.8, 2.3, 3.0, 4.0)[severity], np.float32) ** _sign(len(faces), rng)
    return 255 * (faces / 255) ** power


def uneven_light(faces: Faces, severity: int, rng: np.random.Generator) -> Faces:
    """Light each face from one side: a ramp of 1 - s to 1 + s, s from 0.4 to 1.4, in a direction of its own."""
    size = (0.4, 0.6, 0.8, 1.1, 1.4)[severity]
    angle = rng.uniform(0, 2 * np.pi, (len(faces), 1, 1)).astype(np.float32)
    line = (np.arange(FACE_SIDE, dtype=np.float32) + 0.5) * (2 / FACE_SIDE) - 1
    ramp = np.cos(angle) * line + np.sin(angle) * line[:, None]
    light: Faces = (1 + size * ramp).clip(min=0.05)
    return faces * light


def resolution(faces: Faces, severity: int, _rng: np.random.Generator) -> Faces:
    """Shrink faces to 24, 20, 17, 14 or 12 pixels and enlarge them again: faces far away, as a crop shows them."""
    side = (24, 20, 17, 14, 12)[severity]
    shrink, enlarge = resize_matrix(FACE_SIDE, side), resize_matrix(side, FACE_SIDE)
    both = enlarge @ shrink
    return both @ faces @ both.T


def shift(faces: Faces, severity: int, rng: np.random.Generator) -> Faces:
    """Move each face by 2 to 10 pixels, in a direction of its own."""
    distance = (2.0, 4.0, 6.0, 8.0, 10.0)[severity]
    angle = rng.uniform(0, 2 * np.pi, (len(faces), 1, 1))
    return sample(faces, distance * np.cos(angle), distance * np.sin(angle))


def scale(faces: Faces, severity: int, rng: np.random.Generator) -> Faces:
    """Enlarge or shrink each face by a factor of 1.1 to 1.7: a box that is too tight or too wide."""
    factor = (1.1, 1.2, 1.33, 1.5, 1.7)[severity] ** _sign(len(faces), rng)
    x, y = _centred()
    return sample(faces, (1 / factor - 1) * x, (1 / factor - 1) * y)


def roll(faces: Faces, severity: int, rng: np.random.Generator) -> Faces:
    """Turn each face by 8 to 45 degrees to one side: a head that no detector set upright."""
    angle = np.radians((8, 15, 24, 34, 45)[severity]) * _sign(len(faces), rng)
    x, y = _centred()
    return sample(faces, np.cos(angle) * x - np.sin(angle) * y - x, np.sin(angle) * x + np.cos(angle) * y - y)


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_blur": gaussian_blur,
    "motion_blur": motion_blur,
    "gaussian_noise": gaussian_noise,
    "low_light": low_light,
    "jpeg": jpeg,
    "resolution": resolution,
    "brightness": brightness,
    "contrast": contrast,
    "gamma": gamma,
    "uneven_light": uneven_light,
    "shift": shift,
    "scale": scale,
    "roll": roll,
    "covered_eyes": cover_eyes,
    "covered_mouth": cover_mouth,
    "mask": put_on_mask,
    "hand": lay_hand,
}


def blurred(faces: Faces, deviation: float) -> Faces:
    """Blur faces by a Gaussian whose deviation is in pixels."""
    reach = math.ceil(3 * deviation)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / deviation) ** 2)
    blur = np.zeros((FACE_SIDE, FACE_SIDE), np.float32)
    for offset, weight in zip(offsets.tolist(), (weights / weights.sum()).tolist(), strict=True):
        sources = (np.arange(FACE_SIDE) + offset).clip(0, FACE_SIDE - 1)
        np.add.at(blur, (np.arange(FACE_SIDE), sources), weight)
    return blur @ faces @ blur.T


def sample(faces: Faces, right: NDArray[np.floating], down: NDArray[np.floating]) -> Faces:
    """Read each pixel of each face from a place so many pixels right of it and below it, bilinearly.

    right, down: of a shape that fits (N, 48, 48).
    """
    places = np.arange(FACE_SIDE, dtype=np.float32)
    last = FACE_SIDE - 1
    x = np.broadcast_to((places + right).clip(0, last), faces.shape).astype(np.float32)
    y = np.broadcast_to((places[:, None] + down).clip(0, last), faces.shape).astype(np.float32)
    left, top = x.astype(np.intp).clip(max=last - 1), y.astype(np.intp).clip(max=last - 1)
    across, along = x - left, y - top
    flat, corner = faces.ravel(), np.arange(len(faces))[:, None, None] * FACE_SIDE**2 + top * FACE_SIDE + left
    upper = flat[corner] * (1 - across) + flat[corner + 1] * across
    lower = flat[corner + FACE_SIDE] * (1 - across) + flat[corner + FACE_SIDE + 1] * across
    read: Faces = upper * (1 - along) + lower * along
    return read


def resize_matrix(source: int, target: int) -> NDArray[np.float32]:
    """Return what resizes a line of pixels when it is multiplied from the left: bilinear, antialiased, as Pillow's."""
    step = source / target
    reach = max(step, 1.0)
    centres = (np.arange(target)[:, None] + 0.5) * step - 0.5
    weights = (1 - np.abs(np.arange(source) - centres) / reach).clip(min=0)
    matrix: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix


def _centred() -> tuple[Faces, Faces]:
    """Return how far each pixel is right of the middle, (1, 48), and below it, (48, 1)."""
    line = (np.arange(FACE_SIDE) - (FACE_SIDE - 1) / 2).astype(np.float32)
    return line[None], line[:, None]


def _sign(count: int, rng: np.random.Generator) -> Faces:
    """Draw 1 or -1 for each face: (N, 1, 1) float32."""
    return rng.choice(np.array([-1, 1], np.float32), (count, 1, 1))
