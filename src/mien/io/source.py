"""What the name of a source stands for: pictures, folders, patterns, lists, videos, cameras or streams."""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

from mien.errors import DataError
from mien.io.atomic_write import exists, is_dir, is_file
from mien.io.image import PICTURE_SUFFIXES

STDIN = "-"
LIST = "@"  # what the name of a list of sources starts with
CAMERA = "webcam:"
VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp")
    + (".ogv", ".y4m")
)

Sources = str | Path | Iterable[str | Path]
OnError = Callable[[str, DataError], None]  # called with the name of what could not be read, and why

_PHOTOS = frozenset((".heic", ".heif", ".jxl"))  # which are not read: it is better said than passed over in silence
_STREAM = re.compile(r"(rtsps?|rtmps?|https?|srt|udp|tcp)://", re.IGNORECASE)

# User and password before a stream's host; a password may have a slash in it, where no port could be.
_SECRET = re.compile(r"^(\w+://)(?:[^/?#]*@|[^/?#:@]*:(?!\d+[/?#]).*@)")

_log = logging.getLogger(__name__)


class FoundSource(str):
    """A name that `find_sources` gave: it stands for itself, whatever is in it, and even if it is gone by now."""

    __slots__ = ()


def find_sources(sources: Sources) -> Iterator[FoundSource]:
    """The name of every picture, video, camera and stream that the sources stand for, in order, as they are found.

    A folder stands for the pictures in it and in its sub-folders, by suffix, sorted; hidden ones are left out, and so
    are videos. What exists is taken by its name, anything else with `*`, `?` or `[` in it as a pattern for pictures
    and videos, in which `**` crosses folders. `@names.txt` is a text file with a source on each line.
    Raises DataError where a source does not exist, matches nothing or holds no picture.
    """
    for source in [sources] if isinstance(sources, (str, Path)) else sources:
        name = str(source)
        if isinstance(source, FoundSource) or name == STDIN or is_live(name) or is_file(name):
            yield FoundSource(name)
        elif is_dir(name):
            yield from _within(name)
        elif name.startswith(LIST):
            yield from _listed(name.removeprefix(LIST))
        elif has_magic(name):
            yield from _matching(name)
        else:
            raise DataError(f"{name}: there is no such file or folder")


def is_live(name: str) -> bool:
    """Whether a name is a camera's, `webcam:0`, or a stream's, such as `rtsp://...`."""
    return name.startswith(CAMERA) or bool(_STREAM.match(name))


def is_video(name: str) -> bool:
    """Whether a name is that of a video, by its suffix, a camera or a stream: what gives many frames."""
    return is_live(name) or Path(name).suffix.lower() in VIDEO_SUFFIXES


def display_name(name: str) -> str:
    """A source's name as text that every format takes, and anybody may read.

    Bytes that are no UTF-8 become replacement characters; a stream's user and password are left out.
    """
    text = os.fsencode(name).decode("utf-8", "replace")
    return _SECRET.sub(r"\1", text) if is_live(text) else text


def log_error(name: str, error: DataError) -> None:
    """What is done about what cannot be read, where nothing else is asked for."""
    _log.warning("left out %s: %s", display_name(name), error)


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURE_SUFFIXES


def _within(folder: str) -> Iterator[FoundSource]:
    found = False
    locked: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=locked.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if (_is_picture(name) or Path(name).suffix.lower() in _PHOTOS) and not name.startswith("."):
                found = found or _is_picture(name)
                yield FoundSource(os.path.join(place, name))  # noqa: PTH118  # unlike Path, keeps the folder as it was spelt
    yield from (FoundSource(str(error.filename)) for error in locked)  # that they cannot be read is said in their turn
    if not found and not locked:
        raise DataError(
            f"{folder} must hold pictures ({' '.join(sorted(PICTURE_SUFFIXES))}), got none; "
            f"its videos are named by a pattern, such as '{Path(folder) / '*.mp4'}'"
        )


def _matching(pattern: str) -> Iterator[FoundSource]:
    matches = [name for name in sorted(glob(pattern, recursive=True)) if is_file(name)]  # noqa: PTH207
    wanted = [name for name in matches if _is_picture(name) or is_video(name)]
    if not wanted:
        raise DataError(f"{pattern} must match pictures or videos, got {len(matches)} files and none of them one")
    yield from map(FoundSource, wanted)


def _listed(path: str) -> Iterator[FoundSource]:
    """The sources on the lines of a text file; a file that is missing is left to be told of when it is read."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig", errors="surrogateescape")  # as the system has other names
    except OSError as error:
        raise DataError(f"{LIST}{path} must be a text file with a source on each line: {error.strerror}") from error
    if "\0" in text:
        raise DataError(f"{LIST}{path} must be a text file with a source on each line, got other content")
    names = [line.strip() for line in text.split("\n") if line.strip()]
    if not names:
        raise DataError(f"{LIST}{path} must have a source on each line, got none")
    for name in names:
        if is_dir(name) or (has_magic(name) and not is_live(name) and not exists(name)):
            yield from find_sources(name)
        else:
            yield FoundSource(name)
