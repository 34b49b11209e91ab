"""Reads picture files into arrays."""

import ctypes
import io
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mien.errors import DataError, install_command
from mien.io.image_format import FORMATS, START, format_of, without_damaged_chunks
from mien.io.pixels import quietly, to_rgb

MAX_PIXELS = 120_000_000  # of a picture: phones take 108 million, and reading as many takes most of 1 GB
MAX_BYTES = 1 << 29  # of a picture that comes through a pipe, which says no size before its end

_SMALL, _FLATTEST = 1 << 24, 1000  # pixels of any picture, and for each byte of the file of a larger one
_SCANNED = 4_000_000_000  # pixels of all scans of a JPEG file together: about a second
_WHOLE = 1 << 26  # bytes: smaller files are read at once
_DARK = 16  # of 255: a picture is all but black where fewer than one pixel in a thousand is as bright

_log = logging.getLogger(__name__)


def read_picture(source: Path | str | bytes | IO[bytes], *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a picture file as (H, W, 3) uint8 RGB, upright.

    The EXIF orientation is applied, transparent pictures are laid on white, pictures of more than 8 bits are scaled to
    0..255, and of an animation the first frame is taken. Damage that does not concern the pixels is passed over. A
    picture that is all but black is logged with a warning.

    Parameters
    ----------
    source
        The name of a file, the bytes of a file, or a binary file that is open.
    max_pixels
        Of larger pictures nothing is decoded.

    Raises
    ------
    DataError
        Where the file is missing, broken, cut short, no picture, or larger than `max_pixels`; where HEIC is not
        installed. The message names the file.
    """
    name = _name(source)
    with _explained(name, max_pixels), _opened(source, name) as file:
        picture = _read(file, name, max_pixels)
    _warn_if_black(picture, name)
    return picture


def read_image(image: Image.Image, *, name: str = "the picture") -> NDArray[np.uint8]:
    """Read an image of Pillow as (H, W, 3) uint8 RGB, upright; name: what errors call it. Raises DataError."""
    with _explained(name):
        if image.width * image.height > MAX_PIXELS:
            raise _too_large(name)
        image.load()
        return to_rgb(image)


def _name(source: object) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "the picture"


@contextmanager
def _explained(name: str, max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Turn what opening and decoding raise into a DataError of one line."""
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{name} cannot be read: there is not enough memory for it") from error
    except FileNotFoundError as error:
        raise DataError(f"{name}: there is no such file") from error
    except IsADirectoryError as error:
        raise DataError(f"{name} must be a picture, got a folder") from error
    except Image.DecompressionBombError as error:
        raise _too_large(name, max_pixels) from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name} cannot be read, it is broken or cut short") from error
    except Exception as error:  # decoders raise whatever a broken file leads them to
        if isinstance(error, OSError) and error.errno:
            raise DataError(f"{name} cannot be read: {error.strerror}") from error
        raise DataError(f"{name} cannot be read, it is broken or cut short: {error}") from error


@contextmanager
def _opened(source: Path | str | bytes | IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """Open a picture file so that it can be sought in. A file that the caller has opened stays open."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)):
        _require_file(source, name)
        with Path(source).open("rb") as file:
            if not file.seekable():
                yield _kept(file, name)
            elif os.fstat(file.fileno()).st_size <= _WHOLE:  # where a claimed length is no reason to ask for as much
                yield io.BytesIO(file.read())
            else:
                yield file
    elif hasattr(source, "read"):
        seekable = getattr(source, "seekable", None)
        yield source if seekable is not None and seekable() else _kept(source, name)
    else:
        raise DataError(f"a picture file must be a path, bytes or a binary file, got {type(source).__name__}")


def _require_file(path: str | os.PathLike[str], name: str) -> None:
    """Refuse a pipe or device, whose end may never come; the system's names for open files go."""
    if not os.fspath(path):
        raise DataError("the path of a picture must not be empty")
    if "\0" in os.fspath(path):
        raise DataError(f"{name}: there is no such file")
    place = Path(path)
    if not place.exists() or place.is_file() or place.is_dir():
        return
    if not re.match(r"/dev/(fd/\d+|stdin)$|/proc/(self|\d+)/fd/\d+$", os.fspath(path)):
        raise DataError(f"{name} is a pipe or a device; to read a picture from it, give it as standard input, by -")


def _kept(file: IO[bytes], name: str) -> IO[bytes]:
    content = file.read(MAX_BYTES + 1)
    if not isinstance(content, bytes):
        raise DataError(f"{name} must be open in binary mode, got text")
    if len(content) > MAX_BYTES:
        raise DataError(f"{name} must be a picture of at most {MAX_BYTES:,} bytes")
    return io.BytesIO(content)


def _read(file: IO[bytes], name: str, max_pixels: int) -> NDArray[np.uint8]:
    start = file.read(START)
    if not isinstance(start, bytes):
        raise DataError(f"{name} must be open in binary mode, got text")
    kind = format_of(start)
    if kind == "HEIC":
        return to_rgb(_heic(file, name, max_pixels))
    try:
        return _decoded(file, name, max_pixels)
    except (SyntaxError, ValueError, OSError) as error:
        if kind == "PNG":
            file.seek(0)
            content = file.read()
            sound = without_damaged_chunks(content)
            if sound != content:
                return _decoded(io.BytesIO(sound), name, max_pixels)
        if isinstance(error, UnidentifiedImageError) and kind not in FORMATS:
            what = kind or ("something else" if start else "an empty file")
            raise DataError(f"{name} must be a picture ({', '.join(FORMATS)}), got {what}") from error
        raise


def _decoded(file: IO[bytes], name: str, max_pixels: int) -> NDArray[np.uint8]:
    _silence_decoders()
    count = file.seek(0, os.SEEK_END)
    file.seek(0)
    with quietly:
        image = Image.open(file, formats=FORMATS)
        with image:
            _require_size(image, name, count, max_pixels)
            if image.format in ("JPEG", "MPO"):
                _require_few_scans(file, image.width * image.height, name)
            image.load()
            return to_rgb(image)


@cache
def _silence_decoders() -> None:
    """Keep Pillow and libtiff from writing to standard error what is wrong with a picture; it is raised as well."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # or Python prints errors that nobody handles
    found = find_spec("PIL._imaging")
    with suppress(OSError, AttributeError):  # Pillow is built without libtiff, or hides it
        library = ctypes.CDLL(found.origin if found else None)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            set_handler = getattr(library, name)
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)


def _heic(file: IO[bytes], name: str, max_pixels: int) -> Image.Image:
    try:
        import pillow_heif  # an extra
    except ImportError as error:
        advice = f"to read it, {install_command('heic')}, or save it as JPEG first"
        raise DataError(f"{name} is a HEIC picture; {advice}") from error
    count = file.seek(0, os.SEEK_END)
    file.seek(0)
    opened = pillow_heif.open_heif(file)
    _require_size(opened, name, count, max_pixels)
    image: Image.Image = opened.to_pillow()
    return image


def _require_size(image: Any, name: str, count: int, max_pixels: int) -> None:
    """Refuse what would take too much memory or time, by the size that the file, of `count` bytes, claims."""
    width, height = image.size
    if width * height > max_pixels:
        raise _too_large(name, max_pixels)
    if width * height > max(_SMALL, _FLATTEST * count):
        raise DataError(f"{name} cannot be read: it claims {width} x {height} pixels in {count:,} bytes")


def _require_few_scans(file: IO[bytes], pixels: int, name: str) -> None:
    """Refuse a JPEG file of thousands of scans, each of a few bytes that take the time of a whole picture."""
    place = file.tell()
    file.seek(0)
    scans, last = 0, b""
    while block := file.read(1 << 20):
        scans += (last + block).count(b"\xff\xda")
        last = block[-1:]
    file.seek(place)
    if scans * pixels > _SCANNED:
        raise DataError(f"{name} cannot be read: it has {scans:,} scans of {pixels:,} pixels; save it as another JPEG")


def _too_large(name: str, max_pixels: int = MAX_PIXELS) -> DataError:
    return DataError(f"{name} must be at most {max_pixels:,} pixels large; make it smaller first")


def _warn_if_black(picture: NDArray[np.uint8], name: str) -> None:
    step = max(1, int((picture.shape[0] * picture.shape[1] / 1e5) ** 0.5))
    sample = picture[::step, ::step]
    enough = 0.001 * sample.shape[0] * sample.shape[1]
    if np.count_nonzero((sample[::10, ::10] >= _DARK).any(axis=2)) >= enough:  # a few pixels mostly tell
        return
    red, green, blue = np.moveaxis(sample, 2, 0)
    brightest = np.maximum(np.maximum(red, green), blue)  # many times faster than the maximum along a short axis
    if np.count_nonzero(brightest >= _DARK) < enough:
        _log.warning(
            "%s is all but black: 99.9%% of its pixels are darker than %d of 255; if its values have 10 to 14 bits, "
            "scale them to the full range first",
            name,
            _DARK,
        )
