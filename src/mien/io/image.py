"""Reads pictures into arrays; makes them grey, and 48x48 where they are face crops already."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from mien.errors import DataError
from mien.types import FACE_SIDE

# What is read, whatever a file is called. Pillow's other formats are rare, and some of them start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")
PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff")
    + (".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".j2k")
)
# Pictures that are not read; it is said of them, where other files are none of a reader's business.
UNREAD_SUFFIXES = frozenset((".heic", ".heif", ".jxl", ".psd", ".tga", ".svg", ".pcx", ".exr"))

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
_QUIET = threading.Lock()  # `warnings.catch_warnings` changes what all threads see


def read_picture(source: Path | str | IO[bytes]) -> NDArray[np.uint8]:
    """Read a picture file as (H, W, 3) uint8 RGB, upright.

    Applies the EXIF orientation; lays transparent pictures on white; scales 16-bit and floating-point pictures to
    0..255 (see `_eight_bits`); takes the first frame of an animation.
    Raises DataError, naming the file, where it is missing, broken, cut short, no picture, or larger than Pillow's
    limit of 178,956,970 pixels.
    """
    if not isinstance(source, (str, bytes, os.PathLike)) and not hasattr(source, "read"):
        raise DataError(f"a picture must be an array (H, W, 3) uint8, or a file, got {type(source).__name__}")
    name = str(source) if isinstance(source, (Path, str)) else str(getattr(source, "name", "the picture"))
    try:
        with _quietly():
            image = Image.open(source, formats=FORMATS)
        with image:
            image.load()
            return np.array(_upright(_rgb(image), image))
    except FileNotFoundError as error:
        raise DataError(f"{name}: there is no such file") from error
    except IsADirectoryError as error:
        raise DataError(f"{name} must be a picture, got a folder") from error
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DataError(f"{name} must be at most {limit:,} pixels large; make it smaller first") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name} must be a picture ({', '.join(FORMATS)}), got something else") from error
    except Exception as error:  # decoders raise whatever a broken file leads them to
        if isinstance(error, OSError) and error.errno:
            raise DataError(f"{name} cannot be read: {error.strerror}") from error
        raise DataError(f"{name} cannot be read, it is broken or cut short: {error}") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Pillow's warnings of large pictures and odd metadata; both are dealt with."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _upright(pixels: Image.Image, image: Image.Image) -> Image.Image:
    with _quietly():
        turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return pixels if turn is None else pixels.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(H, W) of more than 8 bits -> uint8. White is 65535; in wider or floating-point pictures, the range is 0 to 1 (of
    floating-point ones), 255 or 65535, whichever is the first to hold all values, or else the picture's own. What
    filters leave just beyond 0 and 1 is cut off."""
    wide = np.nan_to_num(values.astype(np.float32))
    low, high = float(wide.min()), float(wide.max())
    whites = [255.0, 65535.0][values.itemsize <= 2 :]
    white = next((white for white in whites if low >= 0 and high <= white), None)
    if values.dtype.kind == "f" and low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT:
        white = 1.0
    if white is None:
        wide, white = wide - low, max(high - low, 1.0)
    eight: NDArray[np.uint8] = np.round(np.clip(wide * (255 / white), 0, 255)).astype(np.uint8)
    return eight


def to_grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB or (H, W) grey -> (H, W) uint8, luma of ITU-R 601; grey comes through bit for bit."""
    if picture.ndim == 2:
        return picture
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).convert("L"))


def to_face(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture that is a face crop already, (H, W, 3) RGB or (H, W) grey -> (48, 48) uint8.

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
