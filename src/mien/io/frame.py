"""One frame of a source, and the choice of frames of a video."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import DataError

CLOSE = 0.001  # seconds: some containers round times by this much
_SMALLEST = 48  # pixels: the least `max_side`, the side of a face
_MOST_STEPS = 2.0**52  # beyond, steps of `every` no longer tell times apart


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """One picture of a source.

    Attributes
    ----------
    source
        Its name, as it was given or found.
    seconds
        When it is, from the start of a video; 0 for a picture.
    picture
        (H, W, 3) uint8 RGB.
    moving
        True if it is a frame of a video, camera or stream.
    live
        True if it shows what is going on now: a newer frame makes it worthless.
    arrived
        When it was read, on the clock of `time.monotonic`.
    """

    source: str
    seconds: float
    picture: NDArray[np.uint8]
    moving: bool = False
    live: bool = False
    arrived: float = 0.0

    def __repr__(self) -> str:
        height, width = self.picture.shape[:2]
        when = f" at {self.seconds:.2f} s" if self.moving else ""
        return f"<Frame {self.source}{when}, {width}x{height}>"

    def without_picture(self) -> "Frame":
        """Return the same frame with an empty picture, to keep in memory."""
        return replace(self, picture=np.zeros((0, 0, 3), np.uint8))


@dataclass(frozen=True, kw_only=True)
class FrameSelection:
    """The frames of a video that are wanted, and how large they may be.

    Parameters
    ----------
    every
        Seconds: the first frame of each such step is taken. None: all frames.
    start, end
        Seconds from the start of the video: frames from `start` on and before `end` are taken. None: to its end.
    max_side
        Pixels: larger pictures and frames are made smaller. None: no limit. For pictures, the rest does not count.

    Raises
    ------
    DataError
        If a value is out of range.
    """

    every: float | None = None
    start: float = 0.0
    end: float | None = None
    max_side: int | None = None

    def __post_init__(self) -> None:
        if self.every is not None and not (math.isfinite(self.every) and self.every > 0):
            raise DataError(f"every must be more than 0 seconds, got {self.every}")
        if not (math.isfinite(self.start) and self.start >= 0):
            raise DataError(f"start must be 0 seconds or more, got {self.start}")
        if self.end is not None and not self.end > self.start:
            raise DataError(f"end must be later than start, {self.start} seconds, got {self.end}")
        if self.max_side is not None and self.max_side < _SMALLEST:
            raise DataError(f"max_side must be {_SMALLEST} pixels or more, got {self.max_side}")

    def next_due(self, seconds: float) -> float:
        """Return from when on the next frame is wanted, after one that was taken at `seconds`."""
        if self.every is None:
            return self.start
        steps = (seconds + CLOSE - self.start) / self.every
        return seconds if steps > _MOST_STEPS else self.start + (math.floor(steps) + 1) * self.every

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height that a picture of this size gets."""
        if self.max_side is None or max(width, height) <= self.max_side:
            return width, height
        scale = self.max_side / max(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def shrink(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Make a picture, (H, W, 3) uint8, no larger than `max_side`."""
        height, width = picture.shape[:2]
        size = self.fit(width, height)
        if size == (width, height):
            return picture
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))


ALL_FRAMES = FrameSelection()


@dataclass(frozen=True)
class VideoFacts:
    """The size and length that a video file claims to have.

    Attributes
    ----------
    width, height
        Pixels, as they are stored.
    seconds
        How long its pictures last; None where the file does not say.
    rate
        Frames a second, on average; None where the file does not say.
    """

    width: int
    height: int
    seconds: float | None
    rate: float | None

    def count(self, selection: FrameSelection = ALL_FRAMES) -> int:
        """Estimate how many frames of a selection there are; 0 where that is not known."""
        if self.seconds is None or not self.rate:
            return 0
        seconds = max(0.0, min(self.seconds, selection.end or self.seconds) - selection.start)
        return round(seconds * (self.rate if selection.every is None else min(self.rate, 1 / selection.every)))


def apply_display_matrix(picture: NDArray[np.uint8], matrix: bytes | None) -> NDArray[np.uint8]:
    """Turn and mirror a picture, (H, W, 3) uint8, as its display matrix says, to the nearest quarter turn.

    matrix: nine int32, as FFmpeg has them; None for a picture that is upright. Let a and b be the first two of them, c
    and d the fourth and fifth: the pixel stored at x, y is shown at a x + c y, b x + d y.
    """
    if matrix is None:
        return picture
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    turned = abs(a) + abs(d) < abs(b) + abs(c)
    if turned:
        picture = picture.swapaxes(0, 1)
    mirrored, upside_down = (c < 0, b < 0) if turned else (a < 0, d < 0)
    return np.ascontiguousarray(picture[:: -1 if upside_down else 1, :: -1 if mirrored else 1])
