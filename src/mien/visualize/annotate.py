"""Predictions drawn into their picture: a box and an expression a face, and bars of all probabilities."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.io.atomic_write import atomic_write
from mien.labels import COLOURS
from mien.types import Prediction

_SHORTEST, _LONGEST = 320, 1024  # pixels: smaller pictures are enlarged, so that the words fit, but not beyond
_DARK, _LIGHT = (24, 24, 27), (244, 244, 245)
_OTHER = (160, 160, 160)  # of a class that has no colour
_OPACITY = 0.8  # of the panel behind the bars
_FINEST = 4.0  # pixels: the smallest letters
_BARS_FROM = 6.0  # line heights: a face's height, from which on it has bars

_Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def draw(picture: NDArray[np.uint8], prediction: Prediction) -> NDArray[np.uint8]:
    """The picture, (H, W, 3) uint8 RGB, with its predictions drawn into a copy; faces of videos with their track.

    A copy whose shorter side is under 320 pixels is enlarged by a whole number, so that words can be read, as long as
    the longer one stays below 1024.
    """
    shorter, longer = sorted(picture.shape[:2])
    factor = max(1, min(-(-_SHORTEST // shorter), _LONGEST // longer))
    image = Image.fromarray(np.ascontiguousarray(picture))
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)
    boxes = [tuple(box) for box in (prediction.faces.boxes * factor).tolist()]
    canvas = _Canvas.over(image, boxes)
    for face in reversed(range(len(boxes))):  # the largest last, on top
        probs = dict(zip(prediction.scores.class_names, prediction.scores.probs[face].tolist(), strict=True))
        canvas.face(boxes[face], probs, "" if prediction.tracks is None else f"#{prediction.tracks[face]} ")
    return np.array(image)


def save_picture(picture: NDArray[np.uint8], path: Path | str) -> None:
    """Write a picture, (H, W, 3) uint8 RGB, whole or not at all: as JPEG where the name ends so, else as PNG.

    Raises OutputError.
    """
    jpeg = Path(path).suffix.lower() in {".jpg", ".jpeg"}
    with atomic_write(path) as file:
        Image.fromarray(picture).save(file, "JPEG" if jpeg else "PNG", quality=92)


@dataclass(frozen=True)
class _Canvas:
    """An image to draw on. line: pixels, the thickness of lines; taken: what no bars may cover, faces or bars."""

    image: Image.Image
    brush: ImageDraw.ImageDraw
    line: int
    taken: list[_Box]

    @staticmethod
    def over(image: Image.Image, boxes: list[_Box]) -> "_Canvas":
        return _Canvas(image, ImageDraw.Draw(image), max(2, round(min(image.size) / 240)), list(boxes))

    def face(self, box: _Box, probs: dict[str, float], whose: str) -> None:
        """Draw a face's box, whose it is, the name of its expression and, where there is room, the bars."""
        name = max(probs, key=lambda name: probs[name])
        colour = COLOURS.get(name, _OTHER)
        left, top, right, bottom = box
        for grown, ink in ((1, _DARK), (0, colour)):  # a thin dark rim lets every colour stand out
            edges = (left - grown, top - grown, right + grown, bottom + grown)
            self.brush.rectangle(edges, outline=ink, width=self.line + 2 * grown)
        size = min(max(self._least_size(), (bottom - top) / 8), min(self.image.size) / 14)
        size = max(_FINEST, round(size))  # steps of a pixel keep letters steady in a video
        self._name(box, f"{whose}{name} {probs[name]:.0%}", colour, size)
        if bottom - top >= _BARS_FROM * size:
            self._bars(box, probs, size * 0.8)

    def _least_size(self) -> float:
        return max(12.0, min(self.image.size) / 38)

    def _name(self, box: _Box, text: str, colour: tuple[int, int, int], size: float) -> None:
        """A tag above the box; inside it, where there is no room above."""
        font = _font(size)
        pad = size / 3
        width, height = font.getlength(text) + 2 * pad, size * 1.35
        left = min(max(box[0], 0), max(self.image.width - width, 0))
        top = box[1] - height if box[1] >= height else max(box[1], 0)
        self.brush.rectangle((left, top, left + width, top + height), fill=colour)
        self.brush.text((left + pad, top + height / 2), text, fill=_ink_on(colour), font=font, anchor="lm")

    def _bars(self, box: _Box, probs: dict[str, float], size: float) -> None:
        """A panel beside the box with a bar for each class, the most probable first; none where there is no room."""
        font = _font(size)
        pad, row = size * 0.6, size * 1.4
        names, figure, length = max(map(font.getlength, probs)), font.getlength("100%"), size * 5
        width, height = names + length + figure + 4 * pad, row * len(probs) + pad
        place = self._place(box, width, height)
        if place is None:
            return
        left, top = place
        self.taken.append((left, top, left + width, top + height))
        behind = self.image.crop((round(left), round(top), round(left + width), round(top + height)))
        panel = Image.blend(behind, Image.new("RGB", behind.size, _DARK), _OPACITY)
        self.image.paste(panel, (round(left), round(top)))
        for rank, (name, prob) in enumerate(sorted(probs.items(), key=lambda item: -item[1])):
            middle = top + pad / 2 + row * (rank + 0.5)
            self.brush.text((left + pad + names, middle), name, fill=_LIGHT, font=font, anchor="rm")
            start = left + 2 * pad + names
            bar = (start, middle - size * 0.35, start + max(length * prob, 1), middle + size * 0.35)
            self.brush.rectangle(bar, fill=COLOURS.get(name, _OTHER))
            self.brush.text((left + width - pad, middle), f"{prob:.0%}", fill=_LIGHT, font=font, anchor="rm")

    def _place(self, box: _Box, width: float, height: float) -> tuple[float, float] | None:
        """The left and top of a panel, right or left of the box, within the image, on no face and on no other panel."""
        gap = self.line * 2
        top = min(max(box[1], 0), self.image.height - height)
        for left in (box[2] + gap, box[0] - gap - width):
            panel = (left, top, left + width, top + height)
            inside = left >= 0 and top >= 0 and left + width <= self.image.width
            if inside and not any(_touch(panel, other) for other in self.taken):
                return left, top
        return None


@lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _touch(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Dark or light, whichever reads better on a colour (its luma after ITU-R 601)."""
    red, green, blue = colour
    return _DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else _LIGHT
