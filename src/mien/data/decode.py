"""Decoding of picture files into faces, many at a time, and the encoding of a face as PNG."""

import io
import os
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
# The start of a PNG file of 48x48 grey pixels of 8 bits: signature, first chunk, width, height, bits, colour type.
_PLAIN_PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBB", 13, b"IHDR", FACE_SIDE, FACE_SIDE, 8, 0)
_OTHER_CHUNKS = (b"tRNS", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"acTL")  # that may change the picture


def read_face(source: Path | bytes) -> NDArray[np.uint8]:
    """Return the face (48, 48) uint8 that a picture file, or its content, shows.

    A grey picture of that size comes through bit for bit. Any other is made grey and squeezed to it.

    Raises
    ------
    DataError
        Where the picture cannot be read.
    """
    plain = _read_plain_png(source)
    if plain is not None:
        return plain
    return to_face(read_picture(io.BytesIO(source) if isinstance(source, bytes) else source))


def read_faces(
    count: int, read: Callable[[int], NDArray[np.uint8]], *, on_bad: OnBad | None, progress: Progress | None = None
) -> tuple[NDArray[np.uint8], list[int]]:
    """Call `read(0)` to `read(count - 1)` on all cores, each giving a face, and collect the faces in order.

    Parameters
    ----------
    count
        How many faces there are.
    read
        Returns the face of a number, (48, 48) uint8, or raises DataError.
    on_bad
        Called with the error of each face that cannot be read. Without it the first error is raised.
    progress
        Called with the faces done and `count`.

    Returns
    -------
    (M, 48, 48) uint8 and M numbers
        The faces that could be read, and their numbers.
    """

    def attempt(chunk: slice) -> list[NDArray[np.uint8] | DataError]:
        return [_face_or_error(read, number) for number in range(chunk.start, chunk.stop)]

    faces = np.empty((count, FACE_SIDE, FACE_SIDE), np.uint8)
    kept: list[int] = []
    chunks = list(batches(count, _PICTURES_A_TASK))
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for chunk, results in zip(chunks, pool.map(attempt, chunks), strict=True):
            for number, face in enumerate(results, start=chunk.start):
                if isinstance(face, DataError):
                    raise_or_report(face, on_bad)
                else:
                    faces[len(kept)] = face
                    kept.append(number)
            if progress:
                progress(chunk.stop, count)
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or an interruption, nothing more is read
    return faces[: len(kept)], kept


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


def _face_or_error(read: Callable[[int], NDArray[np.uint8]], number: int) -> NDArray[np.uint8] | DataError:
    try:
        return read(number)
    except DataError as error:
        return DataError(str(error))  # without what its traceback holds, such as the picture's file
