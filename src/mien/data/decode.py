"""Decoding of picture files into faces, many at a time, and the encoding of a face as PNG."""

import io
import logging
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.data.bad_rows import OnBad, raise_or_report
from mien.errors import DataError
from mien.io.image import read_picture
from mien.io.pixels import to_face
from mien.types import FACE_SIDE, Progress, batches

_PICTURES_A_TASK = 64  # that a thread takes at a time
_DARK = 16  # of 255: a picture is all but black where no pixel is as bright
_NAMES_TOLD = 5
_LARGEST_CROP = 400  # pixels: pictures whose shorter side is longer are rarely crops of faces
_LONGEST_CROP = 1.25  # longer side by shorter side: of those of data sets of faces the largest
# The start of a PNG file of 48x48 grey pixels of 8 bits: signature, first chunk, width, height, bits, colour type.
_PLAIN_PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBB", 13, b"IHDR", FACE_SIDE, FACE_SIDE, 8, 0)
_OTHER_CHUNKS = (b"tRNS", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"acTL")  # that may change the picture

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedFaces:
    """Faces that could be read.

    Parameters
    ----------
    images
        (M, 48, 48) uint8.
    numbers
        The number of each face.
    photos
        For the numbers of pictures that are too large or too long to be crops of faces, their width and height.
    black
        The numbers of grey pictures of 48x48 pixels that are all but black; `read_picture` tells of others itself.
    """

    images: NDArray[np.uint8]
    numbers: list[int]
    photos: dict[int, tuple[int, int]]
    black: list[int]


def read_crop(source: Path | bytes) -> NDArray[np.uint8]:
    """Read a picture file, or its content, as (H, W, 3) uint8 RGB; a grey PNG of 48x48 pixels as (48, 48) uint8.

    Raises DataError where the picture cannot be read.
    """
    plain = _read_plain_png(source)
    return read_picture(source) if plain is None else plain


def read_face(source: Path | bytes) -> NDArray[np.uint8]:
    """Return the face (48, 48) uint8 that a picture file, or its content, shows.

    A grey picture of that size comes through bit for bit. Any other is made grey and squeezed to it.

    Raises
    ------
    DataError
        Where the picture cannot be read.
    """
    return to_face(read_crop(source))


def read_faces(
    count: int, read: Callable[[int], NDArray[np.uint8]], *, on_bad: OnBad | None, progress: Progress | None = None
) -> DecodedFaces:
    """Call `read(0)` to `read(count - 1)` on all cores, each giving a picture, and make faces of them, in order.

    Parameters
    ----------
    count
        How many faces there are.
    read
        Returns the picture of a number, (H, W) or (H, W, 3) uint8, or raises DataError.
    on_bad
        Called with the error of each face that cannot be read. Without it the first error is raised.
    progress
        Called with the faces done and `count`.
    """

    def attempt(chunk: slice) -> list[tuple[NDArray[np.uint8], tuple[int, int]] | DataError]:
        return [_face_or_error(read, number) for number in range(chunk.start, chunk.stop)]

    faces = np.empty((count, FACE_SIDE, FACE_SIDE), np.uint8)
    kept: list[int] = []
    photos: dict[int, tuple[int, int]] = {}
    black: list[int] = []
    chunks = list(batches(count, _PICTURES_A_TASK))
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for chunk, results in zip(chunks, pool.map(attempt, chunks), strict=True):
            for number, result in enumerate(results, start=chunk.start):
                if isinstance(result, DataError):
                    raise_or_report(result, on_bad)
                    continue
                face, size = result
                faces[len(kept)] = face
                kept.append(number)
                if size == (FACE_SIDE, FACE_SIDE) and face.max() < _DARK:
                    black.append(number)
                if min(size) > _LARGEST_CROP or max(size) > _LONGEST_CROP * min(size):
                    photos[number] = size
            if progress:
                progress(chunk.stop, count)
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or an interruption, nothing more is read
    return DecodedFaces(faces[: len(kept)], kept, photos, black)


def warn_of_photos(photos: Sequence[tuple[str, tuple[int, int]]], *, count: int) -> None:
    """Log that some of `count` pictures look like whole photos; `photos` has their names, widths and heights."""
    if photos:
        name, (width, height) = photos[0]
        _log.warning(
            "%d of %d pictures are no crops of faces by their sizes, such as %s (%dx%d), and were squeezed to %dx%d: "
            "if they are photos, crop them to their faces first, as the page on data shows",
            *(len(photos), count, name, width, height, FACE_SIDE, FACE_SIDE),
        )


def warn_of_black(names: Sequence[str], *, count: int) -> None:
    """Log which of `count` pictures are all but black."""
    if names:
        more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
        told = ", ".join(names[:_NAMES_TOLD]) + more
        _log.warning(
            "%d of %d pictures are all but black: %s; `mien data clean` can drop blanks", len(names), count, told
        )


def encode_png(face: NDArray[np.uint8]) -> bytes:
    """Return a face (48, 48) uint8 as the content of a PNG file, which keeps every pixel."""
    file = io.BytesIO()
    Image.fromarray(face).save(file, "PNG")
    return file.getvalue()


def _read_plain_png(source: Path | bytes) -> NDArray[np.uint8] | None:
    """Read a PNG file of 48x48 grey pixels in a quarter of the usual time; return None for any other file."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            start = file.read(len(_PLAIN_PNG))
            content = start + file.read() if start == _PLAIN_PNG else b""
        if not content or any(chunk in content for chunk in _OTHER_CHUNKS):
            return None
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            return np.array(image)
    except (OSError, ValueError, SyntaxError):  # the full reader reads it next, and says what is wrong
        return None


def _face_or_error(
    read: Callable[[int], NDArray[np.uint8]], number: int
) -> tuple[NDArray[np.uint8], tuple[int, int]] | DataError:
    """Return a face with the width and height of its picture, or the error."""
    try:
        picture = read(number)
        return to_face(picture), (picture.shape[1], picture.shape[0])
    except DataError as error:
        return DataError(str(error))  # without what its traceback holds, such as the picture's file
