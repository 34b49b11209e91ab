"""A face, a map of the areas that speak for its expression, and the figures that go with it, as one picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.labels import COLOURS

_SIDE = 384  # pixels: a face as it is shown
_GAP = 24
_PANEL = 420  # pixels: the figures' width
_FOR, _AGAINST = np.array([213, 94, 0]), np.array([0, 114, 178])  # after Okabe and Ito (2008)
_STRONGEST = 0.75  # the largest share of colour in a pixel
_INK, _SOFT, _GROUND, _BAR, _OTHER = (29, 30, 32), (107, 105, 99), (255, 255, 255), (233, 231, 226), (160, 160, 160)


@dataclass(frozen=True)
class HeatMapWords:
    """The words of the picture: a title, a line under each of the two faces, and lines below the bars."""

    title: str
    face: str
    map: str
    lines: Sequence[str]


def heat_map_picture(
    face: NDArray[np.uint8], heat: NDArray[np.floating], probs: dict[str, float], words: HeatMapWords
) -> NDArray[np.uint8]:
    """Draw a face, its heat map over it, a bar for each class and some words beside them: (H, W, 3) uint8 RGB.

    Parameters
    ----------
    face
        (S, S) uint8, grey.
    heat
        (S, S): orange where it is positive, blue where it is negative; the strongest value gets the most colour.
    probs
        The probability of each class.
    words
        The title and the lines.
    """
    wide, high = 2 * _SIDE + _PANEL + 4 * _GAP, _SIDE + 120
    image = Image.new("RGB", (wide, high), _GROUND)
    brush = ImageDraw.Draw(image)
    brush.text((_GAP, 20), words.title, fill=_INK, font=_font(22))
    top = 64
    image.paste(_enlarged(np.repeat(face[:, :, None], 3, axis=2), Image.Resampling.NEAREST), (_GAP, top))
    image.paste(_overlay(face, heat), (2 * _GAP + _SIDE, top))
    for left, line in ((_GAP, words.face), (2 * _GAP + _SIDE, words.map)):
        brush.text((left, top + _SIDE + 12), line, fill=_SOFT, font=_font(15))
    left = 3 * _GAP + 2 * _SIDE
    bottom = _bars(brush, probs, left, top)
    for number, line in enumerate(words.lines):
        brush.text((left, bottom + 14 + 22 * number), line, fill=_INK, font=_font(15))
    return np.array(image)


def _overlay(face: NDArray[np.uint8], heat: NDArray[np.floating]) -> Image.Image:
    """Lay the colours of a map over its face."""
    strength = np.abs(heat).max() or 1.0
    smooth = np.asarray(_enlarged((heat / strength).astype(np.float32), Image.Resampling.BICUBIC)).clip(-1, 1)
    grey = np.asarray(_enlarged(face, Image.Resampling.BICUBIC)).astype(np.float64)[:, :, None]
    share = _STRONGEST * np.abs(smooth)[:, :, None]
    colour = np.where(smooth[:, :, None] > 0, _FOR, _AGAINST)
    return Image.fromarray(np.rint(grey * (1 - share) + colour * share).astype(np.uint8))


def _bars(brush: ImageDraw.ImageDraw, probs: dict[str, float], left: int, top: int) -> int:
    """Draw a bar for each class, and return where they end."""
    row, name_width, length = 26, 96, _PANEL - 96 - 60
    for number, (name, prob) in enumerate(probs.items()):
        middle = top + row * number + row / 2
        start = left + name_width
        brush.text((start - 10, middle), name, fill=_INK, font=_font(15), anchor="rm")
        brush.rectangle((start, middle - 8, start + length, middle + 8), fill=_BAR)
        brush.rectangle((start, middle - 8, start + max(1, length * prob), middle + 8), fill=COLOURS.get(name, _OTHER))
        brush.text((start + length + 52, middle), f"{prob:.0%}", fill=_INK, font=_font(15), anchor="rm")
    return top + row * len(probs)


def _enlarged(pixels: NDArray[np.generic], how: Image.Resampling) -> Image.Image:
    return Image.fromarray(pixels).resize((_SIDE, _SIDE), how)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
