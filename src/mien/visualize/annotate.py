"""Predictions drawn into their picture: a box and an expression a face, and bars of all probabilities."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.io.any_picture import AnyPicture, as_picture
from mien.io.atomic_write import atomic_write, require_suffix
from mien.labels import COLOURS
from mien.types import Prediction

_SHORTEST, _LONGEST = 320, 1024  # pixels: smaller pictures are enlarged, so that the words fit, but not beyond
_DARK, _LIGHT = (24, 24, 27), (244, 244, 245)
_OTHER = (160, 160, 160)  # of a class that has no colour
_OPACITY = 0.8  # of the panel behind the bars
_FINEST = 4.0  # pixels: the smallest letters
_SMALLER = 0.8  # what letters are multiplied by where a plate finds no room
_BARS_FROM = 6.0  # line heights: a face of this height and more has bars

_Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")  # of the pictures that are written
_Colour = tuple[int, int, int]


def draw(picture: AnyPicture, prediction: Prediction, *, bgr: bool = False) -> NDArray[np.uint8]:
    """Draw the predictions into a copy of their picture.

    Each face gets a box and a plate with its expression, and in videos its track; large faces get bars of all
    probabilities where there is room. No plate and no bars cover another face, unless faces overlap.

    Parameters
    ----------
    picture
        In any form that a `Predictor` takes, such as (H, W, 3) uint8 RGB.
    prediction
        What was seen in it.
    bgr
        Whether an array has its channels the other way round, as OpenCV gives them.

    Returns
    -------
    NDArray
        (H, W, 3) uint8 RGB. If the shorter side is under 320 pixels, the copy is enlarged by a whole number, so that
        words can be read, as long as the longer one stays below 1024.

    Raises
    ------
    DataError
        Where the picture is another kind of thing, or cannot be read.
    """
    picture = as_picture(picture, bgr=bgr)
    shorter, longer = sorted(picture.shape[:2])
    factor = max(1, min(-(-_SHORTEST // shorter), _LONGEST // longer))
    image = Image.fromarray(np.ascontiguousarray(picture))
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)
    faces = _faces(prediction, factor)
    canvas = _Canvas(image, ImageDraw.Draw(image), [face.box for face in faces])
    for face in reversed(faces):  # the largest last, on top
        canvas.outline(face)
    for number, face in enumerate(faces):
        canvas.plate(number, face)
    for face in reversed(faces):
        canvas.bars(face)
    return np.array(image)


def save_picture(picture: NDArray[np.uint8], path: Path | str) -> None:
    """Write a picture, (H, W, 3) uint8 RGB, whole or not at all: as JPEG or PNG, by the name's suffix, PNG without one.

    Raises OutputError.
    """
    require_suffix(path, (*PICTURE_SUFFIXES, ""), "a picture")
    jpeg = Path(path).suffix.lower() in {".jpg", ".jpeg"}
    with atomic_write(path) as file:
        Image.fromarray(picture).save(file, "JPEG" if jpeg else "PNG", quality=92)


@dataclass(frozen=True)
class _Face:
    """A face to draw: its box, its probabilities by class, its answer and confidence, and its track's name or ""."""

    box: _Box
    probs: dict[str, float]
    top: str
    confidence: float
    track: str

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]


def _faces(prediction: Prediction, factor: int) -> list[_Face]:
    scores = prediction.scores
    tracks = [""] * len(scores) if prediction.tracks is None else [f"#{track} " for track in prediction.tracks]
    boxes: list[_Box] = [tuple(box) for box in (prediction.faces.boxes * factor).tolist()]
    return [
        _Face(box, dict(zip(scores.class_names, probs, strict=True)), name, confidence, track)
        for box, probs, name, confidence, track in zip(
            boxes, scores.probs.tolist(), scores.names, scores.confidence.tolist(), tracks, strict=True
        )
    ]


@dataclass
class _Canvas:
    """An image to draw faces on, and the places of what is drawn so far."""

    image: Image.Image
    brush: ImageDraw.ImageDraw
    faces: list[_Box]
    plates: list[_Box] = field(default_factory=list)
    panels: list[_Box] = field(default_factory=list)

    @property
    def line(self) -> int:
        """The thickness of lines in pixels."""
        return max(2, round(min(self.image.size) / 240))

    def letters(self, face: _Face) -> float:
        """Return the size of a face's letters in pixels; steps of a pixel keep them steady in a video."""
        least = max(12.0, min(self.image.size) / 38)
        return max(_FINEST, round(min(max(least, face.height / 8), min(self.image.size) / 14)))

    def outline(self, face: _Face) -> None:
        """Draw a face's box, with a thin dark rim that lets every colour stand out."""
        left, top, right, bottom = face.box
        for grown, ink in ((1, _DARK), (0, COLOURS.get(face.top, _OTHER))):
            edges = (left - grown, top - grown, right + grown, bottom + grown)
            self.brush.rectangle(edges, outline=ink, width=self.line + 2 * grown)

    def plate(self, number: int, face: _Face) -> None:
        """Write a face's track and expression on a plate near its box, on no other face and on no other plate.

        Where there is no such place, not even for small letters, the plate lies where it covers the least.
        """
        taken = np.array(self.faces[:number] + self.faces[number + 1 :] + self.plates).reshape(-1, 4)
        least = np.inf
        for plate in self._plates(face):
            covered = _covered_area(plate[1], taken)
            if covered < least:
                least, (text, box, size) = covered, plate
            if not covered:
                break
        colour = COLOURS.get(face.top, _OTHER)
        self.plates.append(box)
        self.brush.rectangle(box, fill=colour)
        middle = (box[1] + box[3]) / 2
        self.brush.text((box[0] + size / 3, middle), text, fill=_ink_on(colour), font=_font(size), anchor="lm")

    def bars(self, face: _Face) -> None:
        """Draw a panel beside a large face with a bar for each class, the most probable first, where there is room."""
        if face.height < _BARS_FROM * self.letters(face):
            return
        size = self.letters(face) * 0.8
        font = _font(size)
        pad, row = size * 0.6, size * 1.4
        names, figure, length = max(map(font.getlength, face.probs)), font.getlength("100%"), size * 5
        width, height = names + length + figure + 4 * pad, row * len(face.probs) + pad
        place = self._panel_place(face.box, width, height)
        if place is None:
            return
        left, top = place
        self.panels.append((left, top, left + width, top + height))
        behind = self.image.crop((round(left), round(top), round(left + width), round(top + height)))
        panel = Image.blend(behind, Image.new("RGB", behind.size, _DARK), _OPACITY)
        self.image.paste(panel, (round(left), round(top)))
        for rank, (name, prob) in enumerate(sorted(face.probs.items(), key=lambda item: -item[1])):
            middle = top + pad / 2 + row * (rank + 0.5)
            self.brush.text((left + pad + names, middle), name, fill=_LIGHT, font=font, anchor="rm")
            start = left + 2 * pad + names
            bar = (start, middle - size * 0.35, start + max(length * prob, 1), middle + size * 0.35)
            self.brush.rectangle(bar, fill=COLOURS.get(name, _OTHER))
            self.brush.text((left + width - pad, middle), f"{prob:.0%}", fill=_LIGHT, font=font, anchor="rm")

    def _plates(self, face: _Face) -> Iterator[tuple[str, _Box, float]]:
        """Give the text, place and letter size of a face's plate, the best first."""
        short = f"{face.track}{face.top}"
        size = self.letters(face)
        while size >= _FINEST:
            for text in (f"{short} {face.confidence:.0%}", short):
                width, height = _font(size).getlength(text) + 2 * size / 3, size * 1.35
                for left, top in self._plate_places(face.box, width, height):
                    yield text, (left, top, left + width, top + height), size
            size = min(size - 1, round(size * _SMALLER))

    def _plate_places(self, box: _Box, width: float, height: float) -> Iterator[tuple[float, float]]:
        """Give the left and top of a plate above a box, below it, and inside."""
        left, top, right, bottom = box
        most_left, most_top = max(self.image.width - width, 0), max(self.image.height - height, 0)
        flush_left, flush_right, centred = (
            min(max(each, 0), most_left) for each in (left, right - width, (left + right - width) / 2)
        )
        above = top - height if top >= height else max(top, 0)
        below = bottom if bottom <= most_top else min(bottom, self.image.height) - height
        yield from ((flush_left, above), (flush_right, above), (flush_left, below), (flush_right, below))
        yield from ((centred, min(max(top, 0), most_top)), (centred, max(min(bottom - height, most_top), 0)))

    def _panel_place(self, box: _Box, width: float, height: float) -> tuple[float, float] | None:
        """Return the left and top of a panel right or left of a box, on nothing else, or None."""
        gap = self.line * 2
        top = min(max(box[1], 0), self.image.height - height)
        taken = np.array(self.faces + self.plates + self.panels)
        for left in (box[2] + gap, box[0] - gap - width):
            panel = (left, top, left + width, top + height)
            inside = left >= 0 and top >= 0 and left + width <= self.image.width
            if inside and not _covered_area(panel, taken):
                return left, top
        return None


@lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _covered_area(box: _Box, others: NDArray[np.float64]) -> float:
    """Return how much of other boxes (N, 4) a box covers, in square pixels, added up."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(sides.clip(min=0).prod(axis=1).sum())


def _ink_on(colour: _Colour) -> _Colour:
    """Return dark or light, whichever reads better on a colour (its luma after ITU-R 601)."""
    red, green, blue = colour
    return _DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else _LIGHT
