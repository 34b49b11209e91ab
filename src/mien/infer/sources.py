"""What a source is: a picture file, a folder of them, a glob pattern, `-` (standard input); and the frames it gives."""

import io
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.pixels import SUFFIXES, read_picture

STDIN = "-"

Sources = str | Path | Iterable[str | Path]
OnError = Callable[[str, DataError], None]  # called with the name of what could not be read, and why

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    source:  its name, as it was given or found.
    seconds: from the start of a video; 0 for a picture.
    picture: (H, W, 3) uint8 RGB.
    """

    source: str
    seconds: float
    picture: NDArray[np.uint8]


def find_pictures(sources: Sources) -> Iterator[str]:
    """The name of every picture that the sources stand for, in order, as they are found.

    A folder stands for the pictures in it and in its sub-folders, by suffix, sorted; hidden ones are left out. What
    exists is taken by its name, anything else with `*`, `?` or `[` in it as a pattern, in which `**` crosses folders.
    Raises DataError where a source does not exist, matches nothing or holds no picture.
    """
    for source in [sources] if isinstance(sources, (str, Path)) else sources:
        name = str(source)
        if name == STDIN or Path(name).is_file():
            yield name
        elif Path(name).is_dir():
            yield from _within(name)
        elif has_magic(name):
            yield from _matching(name)
        else:
            raise DataError(f"{name}: there is no such file or folder")


def read_frames(sources: Sources, *, on_error: OnError | None = None) -> Iterator[Frame]:
    """The frames of all sources, read one by one, as they are asked for.

    A picture that cannot be read goes to `on_error(name, error)`, or is logged, and the rest goes on.
    Raises DataError as `find_pictures` does.
    """
    on_error = on_error or _logged
    for name in find_pictures(sources):
        try:
            picture = read_picture(io.BytesIO(sys.stdin.buffer.read()) if name == STDIN else name)
        except DataError as error:
            on_error(name, error)
        else:
            yield Frame(printable(name), 0.0, picture)


def printable(name: str) -> str:
    """A file's name as text that every format takes: bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(name).decode("utf-8", "replace")


def _logged(name: str, error: DataError) -> None:
    _log.warning("left out %s: %s", name, error)


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _within(folder: str) -> Iterator[str]:
    found = False
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if _is_picture(name) and not name.startswith("."):
                found = True
                yield os.path.join(place, name)  # noqa: PTH118  # unlike Path, keeps the folder as it was spelt
    if not found:
        raise DataError(f"{folder} must hold pictures ({' '.join(sorted(SUFFIXES))}), got none")


def _matching(pattern: str) -> Iterator[str]:
    matches = [name for name in sorted(glob(pattern, recursive=True)) if Path(name).is_file()]  # noqa: PTH207
    pictures = [name for name in matches if _is_picture(name)]
    if not pictures:
        raise DataError(f"{pattern} must match pictures, got {len(matches)} files and none of them one")
    yield from pictures
