"""Where a new shot begins in a video: the picture's colours and its layout change from one frame to the next."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_WIDE, _HIGH = 128, 96  # pixels: of the picture, no more than these are looked at
_COARSE = (16, 12)  # columns, rows: the layout
_LEVELS = 4  # of each of red, green and blue
_FLAT = 4.0  # grey levels: the spread below which a layout tells nothing, as in a flash or a fade
_ALIKE = 0.4  # the correlation of two layouts below which they differ
_SHARED = 0.65  # the share of colours in common below which they differ


class Shots:
    """Says of each frame of a video whether a new shot begins with it: (H, W, 3) uint8 RGB -> bool; never the first.

    A shot begins where both differ from the frame before: the layout (the correlation of two tiny grey pictures, which
    brightness does not change) and the colours (the overlap of their histograms, which motion hardly changes). A frame
    that is all of one tone, as in a flash or a fade, is passed over; the next one is compared with the one before it.
    A dissolve is too slow to be seen as a cut, and a cut between two shots with the same colours may go unnoticed.
    """

    def __init__(self) -> None:
        self._before: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def __call__(self, picture: NDArray[np.uint8]) -> bool:
        """Whether a new shot begins with the next frame."""
        layout, colours = _seen(picture)
        if layout.std() < _FLAT:
            return False
        before, self._before = self._before, (layout, colours)
        if before is None:
            return False
        shared = np.minimum(before[1], colours).sum()
        return bool(shared < _SHARED and np.corrcoef(before[0].ravel(), layout.ravel())[0, 1] < _ALIKE)


def _seen(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The layout, a tiny grey picture, and the share of each colour."""
    height, width = picture.shape[:2]
    few = np.ascontiguousarray(picture[:: -(-height // _HIGH), :: -(-width // _WIDE)])
    image = Image.fromarray(few)
    layout = np.asarray(image.convert("L").resize(_COARSE, Image.Resampling.BOX), np.float32)
    red, green, blue = np.moveaxis(few.astype(np.int64) * _LEVELS // 256, 2, 0)
    counts = np.bincount(((red * _LEVELS + green) * _LEVELS + blue).ravel(), minlength=_LEVELS**3)
    return layout, (counts / counts.sum()).astype(np.float32)
