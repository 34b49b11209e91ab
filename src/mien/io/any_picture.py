"""A picture in whatever form people have it, as an array: a file, its bytes, an image of Pillow, an array of numpy."""

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import DataError
from mien.io.atomic_write import exists
from mien.io.image import read_image, read_picture
from mien.io.pixels import to_rgb

AnyPicture = str | Path | bytes | IO[bytes] | Image.Image | NDArray[Any]

_TAKEN = (
    "a picture must be a path, bytes, a binary file, a Pillow image, or an array (H, W), (H, W, 3) or (H, W, 4)"
    " of uint8 or of floats from 0 to 1"
)
_OVERSHOOT = 0.05  # how far floats may reach beyond 0 to 1, as filters leave them
_ENCODED = 300  # characters: a longer text that is no path is probably an encoded picture


def as_picture(source: AnyPicture, *, bgr: bool = False) -> NDArray[np.uint8]:
    """Return a picture as (H, W, 3) uint8 RGB, upright.

    Parameters
    ----------
    source
        A path, the bytes of a picture file, a binary file, an image of Pillow, or an array: (H, W) or (H, W, 1) grey,
        (H, W, 3) RGB or (H, W, 4) RGBA, of uint8 or of floats from 0 to 1. Transparent pictures are laid on white.
    bgr
        Whether an array has its channels the other way round, as OpenCV gives them.

    Raises
    ------
    DataError
        Where it is another kind of thing, or cannot be read.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, bgr=bgr)
    if isinstance(source, Image.Image):
        return read_image(source)
    if isinstance(source, str) and "://" in source and not exists(source):
        raise DataError(f"a picture must not be an address; read those by Predictor.stream, got {source[:_ENCODED]}")
    if isinstance(source, str) and (source.startswith("data:") or len(source) > _ENCODED) and not exists(source):
        raise DataError(f"{_TAKEN}; got a text of {len(source):,} characters (decode base64 to bytes first)")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return read_picture(io.BytesIO(source))
    if isinstance(source, (str, os.PathLike)) or hasattr(source, "read"):
        return read_picture(source)
    if hasattr(source, "__array__"):  # such as a tensor of torch
        try:
            array = np.asarray(source)
        except (TypeError, ValueError, RuntimeError) as error:  # one on a GPU, for instance
            raise DataError(f"{_TAKEN}; got {type(source).__name__}, which makes no array: {error}") from error
        return _from_array(array, bgr=bgr)
    raise DataError(f"{_TAKEN}; got {type(source).__name__}{_hint(source)}")


def _from_array(array: NDArray[Any], *, bgr: bool) -> NDArray[np.uint8]:
    """Return an array of grey, RGB or RGBA values as (H, W, 3) uint8 RGB; one that is so already, uncopied."""
    shape = array.shape
    if len(shape) == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))) or 0 in shape:
        raise DataError(f"{_TAKEN}; got an array {shape}{_layout(shape)}")
    if array.dtype.kind == "f":
        array = _from_floats(array)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype != np.uint8:
        raise DataError(f"{_TAKEN}; got an array {shape} of {array.dtype}")
    if array.ndim == 2:
        return np.repeat(array[:, :, None], 3, axis=2)
    if bgr:
        array = array[:, :, [2, 1, 0, 3][: array.shape[2]]]
    return array if array.shape[2] == 3 else to_rgb(Image.fromarray(np.ascontiguousarray(array)))


def _from_floats(array: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = float(np.min(array)), float(np.max(array))
    if not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT):
        raise DataError(f"{_TAKEN}; got floats from {low:.4g} to {high:.4g}")
    eight: NDArray[np.uint8] = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return eight


def _layout(shape: tuple[int, ...]) -> str:
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        return "; channels come last: numpy.moveaxis(array, 0, 2)"
    return "; of several pictures, take predict_batch" if len(shape) == 4 else ""


def _hint(source: object) -> str:
    return "; of several pictures, take predict_batch" if isinstance(source, Iterable) else ""
