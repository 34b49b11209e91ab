"""One frame of a source, and which frames of a video are wanted."""

from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import DataError

_SMALLEST = 48  # pixels: the least `max_side`, the side of a face


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    source:  its name, as it was given or found.
    seconds: from the start of a video; 0 for a picture.
    picture: (H, W, 3) uint8 RGB.
    moving:  whether it is one of a video, camera or stream.
    live:    whether it shows what is going on now: it is worth nothing any more when there is a newer one.
    arrived: when it was read, on the clock of `time.monotonic`.
    """

    source: str
    seconds: float
    picture: NDArray[np.uint8]
    moving: bool = False
    live: bool = False
    arrived: float = 0.0

    def without_picture(self) -> "Frame":
        """The same without its picture, to hold on to."""
        return replace(self, picture=np.zeros((0, 0, 3), np.uint8))


@dataclass(frozen=True, kw_only=True)
class FrameSelection:
    """Which frames are wanted, and how large.

    every:    seconds from one frame to the next; None: all frames.
    start, end: seconds from the start of the video; frames from `start` on, and before `end`. None: to its end.
    max_side: pixels; larger pictures and frames are made smaller than this. None: no limit.

    Only `max_side` says something of pictures. Raises DataError where a value is out of range.
    """

    every: float | None = None
    start: float = 0.0
    end: float | None = None
    max_side: int | None = None

    def __post_init__(self) -> None:
        if self.every is not None and not (isfinite(self.every) and self.every > 0):
            raise DataError(f"every must be more than 0 seconds, got {self.every}")
        if not (isfinite(self.start) and self.start >= 0):
            raise DataError(f"start must be 0 seconds or more, got {self.start}")
        if self.end is not None and not self.end > self.start:
            raise DataError(f"end must be later than start, {self.start} seconds, got {self.end}")
        if self.max_side is not None and self.max_side < _SMALLEST:
            raise DataError(f"max_side must be {_SMALLEST} pixels or more, got {self.max_side}")

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """The width and height that a picture of this size gets."""
        if self.max_side is None or max(width, height) <= self.max_side:
            return width, height
        scale = self.max_side / max(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def shrink(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture, (H, W, 3) uint8, no larger than wanted."""
        height, width = picture.shape[:2]
        size = self.fit(width, height)
        if size == (width, height):
            return picture
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))


ALL_FRAMES = FrameSelection()
