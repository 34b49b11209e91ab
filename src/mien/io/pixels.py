"""Pixels as arrays: upright RGB of 8 bits of any image, grey, and 48x48 where a picture is a face crop already."""

import os
import threading
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from mien.errors import DataError
from mien.types import FACE_SIDE

_UPRIGHT = {  # what undoes each EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FILTER = Image.Resampling.BICUBIC  # antialiased by Pillow when it makes a picture smaller
_OVERSHOOT = 0.05  # how far a picture of 0 to 1 may reach beyond that, as filters leave it
_WHITES = (255.0, 1023.0, 4095.0)  # of 8, 10 and 12 bits, whose pictures are all but black where white is 65535
_LONG_WHITE = 65535.0
_DARK = 16.0  # floating-point values of 0 to less than this are not meant to be seen with white at 255
_BAND = 1 << 22  # pixels that are made RGB at a time, which bounds the memory in use


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image of Pillow as (H, W, 3) uint8 RGB, upright as its EXIF says, laid on white where transparent."""
    with quietly:
        turn = _orientation(image)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            picture = _grey_to_rgb(_eight_bits(np.asarray(image)))
        else:
            picture = _in_bands(image)
    return picture if turn is None else _transposed(picture, turn)


def to_grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make a picture grey: (H, W, 3) RGB or (H, W) grey -> (H, W) uint8, luma of ITU-R 601; grey stays bit for bit."""
    if picture.ndim == 2:
        return picture
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).convert("L"))


def to_face(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make a face of a picture that is a crop already: (H, W, 3) RGB or (H, W) grey -> (48, 48) uint8.

    Other sizes are resampled with antialiasing, other shapes squeezed to a square. Raises DataError for other arrays.
    """
    require_picture(picture, grey=True)
    face = to_grey(picture)
    if face.shape == (FACE_SIDE, FACE_SIDE):
        return face
    return np.asarray(Image.fromarray(np.ascontiguousarray(face)).resize((FACE_SIDE, FACE_SIDE), _FILTER))


def require_picture(picture: NDArray[np.uint8], *, grey: bool = False) -> None:
    """Raise DataError unless a picture is (H, W, 3) uint8 RGB or, where grey ones are taken too, (H, W)."""
    shape = picture.shape
    colour = len(shape) == 3 and shape[2] == 3
    if picture.dtype != np.uint8 or not (colour or (grey and len(shape) == 2)) or 0 in shape:
        wanted = "(H, W, 3) or (H, W) uint8" if grey else "(H, W, 3) uint8 RGB"
        raise DataError(f"a picture must be {wanted}, got {shape} {picture.dtype}")


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """Return what turns an image upright; None where it is upright, or its metadata is damaged."""
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  # Pillow raises whatever damaged metadata leads it to, and the pixels are sound
        return None


def _transposed(picture: NDArray[np.uint8], turn: Image.Transpose) -> NDArray[np.uint8]:
    rows_and_columns = picture.swapaxes(0, 1)
    turned = {
        Image.Transpose.FLIP_LEFT_RIGHT: picture[:, ::-1],
        Image.Transpose.FLIP_TOP_BOTTOM: picture[::-1],
        Image.Transpose.ROTATE_180: picture[::-1, ::-1],
        Image.Transpose.TRANSPOSE: rows_and_columns,
        Image.Transpose.TRANSVERSE: rows_and_columns[::-1, ::-1],
        Image.Transpose.ROTATE_90: rows_and_columns[::-1],
        Image.Transpose.ROTATE_270: rows_and_columns[:, ::-1],
    }
    return np.ascontiguousarray(turned[turn])


def _in_bands(image: Image.Image) -> NDArray[np.uint8]:
    """Make an image of 8 bits RGB, some rows at a time."""
    width, height = image.size
    clear = image.has_transparency_data and _is_visible(image)
    if width * height <= _BAND:
        return np.array(_opaque(image, clear))
    picture = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        picture[top:bottom] = np.asarray(_opaque(image.crop((0, top, width, bottom)), clear))
    return picture


def _is_visible(image: Image.Image) -> bool:
    """Return whether something of an image with transparency can be seen; if nothing can, it is not meant so."""
    if image.mode not in ("RGBA", "LA"):
        return True
    return image.getextrema()[-1] != (0, 0)


def _opaque(image: Image.Image, clear: bool) -> Image.Image:
    """Return an image as RGB, laid on white where it is `clear`, that is transparent somewhere."""
    if clear:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey_to_rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, None], 3, axis=2)


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale (H, W) of more than 8 bits to uint8.

    White is 65535, or 1 where floating-point values are 0 to 1. Where that would leave a picture all but black, white
    is what 8, 10 or 12 bits hold, and else the picture's brightest value. Wider values are scaled by their own range.
    What filters leave just beyond 0 and 1 is cut off.
    """
    black, white = _black_and_white(values)
    eight = np.empty(values.shape, np.uint8)
    rows = max(1, _BAND // max(values.shape[1], 1))
    for top in range(0, len(values), rows):
        wide = np.nan_to_num(values[top : top + rows].astype(np.float32))
        eight[top : top + rows] = np.round(np.clip((wide - black) * (255 / (white - black)), 0, 255))
    return eight


def _black_and_white(values: NDArray[Any]) -> tuple[float, float]:
    """Return the values that become 0 and 255."""
    floats = values.dtype.kind == "f"
    if floats:
        finite = np.isfinite(values)
        low = float(np.min(values, where=finite, initial=np.inf))
        high = float(np.max(values, where=finite, initial=-np.inf))
        if low > high:  # no value is finite
            return 0.0, 1.0
    else:
        low, high = float(values.min()), float(values.max())
    if floats and low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT:
        return 0.0, 1.0
    if floats and low >= 0 and high < _DARK:
        return 0.0, high
    if low < 0 or high > _LONG_WHITE:
        return low, low + max(high - low, 1.0)
    return 0.0, next((white for white in _WHITES if high <= white), _LONG_WHITE)


class _Quietly:
    """Keeps Pillow's warnings of large pictures and odd metadata back, which are dealt with, in any number of threads.

    `warnings.catch_warnings` changes what all threads see, so the first thread enters it and the last one leaves it.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._threads = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        if os.getpid() != self._process:  # after a fork: a thread that is not here may have held the lock
            self._begin()
        with self._lock:
            if not self._threads:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._threads += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads:
                self._caught.__exit__(None, None, None)


quietly = _Quietly()
