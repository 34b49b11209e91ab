"""Previews: a prediction finds its picture again when a notebook shows it, without holding on to it."""

import os
import weakref
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.io.any_picture import AnyPicture, as_picture
from mien.types import Preview


def preview_of(source: AnyPicture, *, bgr: bool = False) -> Preview | None:
    """Return a function that gives a picture again: a file is read again, and an array or image if it is still held.

    None where the picture cannot be had again, as from bytes or from an open file.
    """
    if isinstance(source, (str, os.PathLike)):
        return lambda: _again(source, bgr=bgr)
    try:
        held = weakref.ref(source)
    except TypeError:  # bytes, for one, cannot be referred to weakly
        return None
    return None if hasattr(source, "read") else lambda: _again(held(), bgr=bgr)


def _again(source: AnyPicture | None, *, bgr: bool) -> NDArray[np.uint8] | None:
    if source is not None:
        with suppress(MienError):  # the file may have changed or gone meanwhile
            return as_picture(source, bgr=bgr)
    return None
