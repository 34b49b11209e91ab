"""Sources by their names: pictures, folders, patterns, lists, videos, cameras and streams."""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from glob import glob, has_magic
from pathlib import Path

from mien.errors import DataError
from mien.io.atomic_write import exists, is_dir, is_file
from mien.io.http_source import gives_picture, is_http, url_suffix
from mien.io.image_format import PICTURE_SUFFIXES, UNREAD_SUFFIXES, starts_as_picture
from mien.types.checks import count_of

STDIN = "-"
LIST = "@"  # what the name of a list of sources starts with
CAMERA = "webcam:"
VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp")
    + (".ogv", ".y4m")
)

Sources = str | Path | Iterable[str | Path]
OnError = Callable[[str, DataError], None]  # called with the name of what could not be read, and why

_STREAM = re.compile(r"(rtsps?|rtmps?|https?|srt|udp|tcp)://", re.IGNORECASE)

# User and password before a stream's host; a password may have a slash in it, where no host and port could be.
_SECRET = re.compile(r"^(\w+://)(?:[^/?#]*@|(?::|[^/?#:@]+:(?!\d+[/?#])).*@)")

_LONGEST_LIST = 1 << 27  # characters of a list of sources; what comes through a pipe may have no end

_log = logging.getLogger(__name__)


class FoundSource(str):
    """A name that `find_sources` gave: it stands for itself, whatever is in it, and even if it is gone by now."""

    __slots__ = ()


def find_sources(sources: Sources) -> Iterator[FoundSource]:
    """Find every picture, video, camera and stream that the sources stand for, in order.

    Parameters
    ----------
    sources
        One source or several. A folder stands for the pictures in it and in its sub-folders, sorted, through links too;
        hidden files are left out, and so are videos. A file without a suffix is a picture if it begins as one. What
        exists is taken by its name, anything else with `*`, `?` or `[` in it as a pattern for pictures and videos, in
        which `**` crosses folders. `@names.txt` is a text file with a source on each line.

    Raises
    ------
    DataError
        Where a source does not exist, matches nothing or holds no picture, or is no name.
    """
    if not isinstance(sources, (str, os.PathLike)) and not _holds_names(sources):
        raise DataError(
            f"sources must be paths, patterns or addresses, or a list of these, got {type(sources).__name__}"
        )
    for source in [sources] if isinstance(sources, (str, os.PathLike)) else sources:
        if not isinstance(source, (str, os.PathLike)):
            raise DataError(
                f"a source must be a path, a pattern or an address, got {type(source).__name__}; "
                "pictures in memory go to Predictor(...) one by one, or to predict_batch"
            )
        name = os.fspath(source)
        if "\0" in name:
            raise DataError(f"{display_name(name)}: there is no such file or folder")
        if isinstance(source, FoundSource) or name == STDIN or is_live(name) or is_file(name):
            yield FoundSource(name)
        elif is_dir(name):
            yield from _pictures_in(name)
        elif name.startswith(LIST):
            yield from _listed(name.removeprefix(LIST))
        elif exists(name):  # a pipe or a device: whoever reads it says what is done about it
            yield FoundSource(name)
        elif has_magic(name):
            yield from _matching(name)
        else:
            raise DataError(f"{display_name(name)}: there is no such file or folder")


def walk_files(folder: str, *, on_locked: Callable[[OSError], None]) -> Iterator[str]:
    """Find the files in a folder and its sub-folders, sorted, through links too, but no folder twice.

    Hidden files and folders are left out, and so is what is no regular file, such as a pipe.
    on_locked: is called for each folder that does not tell what is in it.
    """
    above = [parent.stat() for parent in Path(os.path.realpath(folder)).parents]  # a link to one of these is a circle
    visited = {(status.st_dev, status.st_ino) for status in above}
    for place, folders, names in os.walk(folder, onerror=on_locked, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(place, name)  # noqa: PTH118  # unlike Path, keeps the folder as it was spelt
            if not name.startswith(".") and is_file(path):
                yield path


def is_live(name: str) -> bool:
    """Return whether a name is a camera's, `webcam:0`, or a stream's, such as `rtsp://...`."""
    return name.startswith(CAMERA) or bool(_STREAM.match(name))


def is_video(name: str) -> bool:
    """Return whether a name is a video's, by its suffix, a camera's or a stream's: these give many frames.

    Of an address without a video's suffix, the server is asked, once, whether it gives a picture.
    """
    if is_http(name) and url_suffix(name) not in VIDEO_SUFFIXES:
        picture = gives_picture(name)
        return url_suffix(name) not in PICTURE_SUFFIXES if picture is None else not picture
    return is_live(name) or Path(name).suffix.lower() in VIDEO_SUFFIXES


def display_name(name: str) -> str:
    """Return a source's name as text that every format takes, and anybody may read.

    Bytes that are no UTF-8 become replacement characters; a stream's user and password are left out.
    """
    text = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", name)
    return _SECRET.sub(r"\1", text) if is_live(text) else text


def log_error(name: str, error: DataError) -> None:
    """Log what cannot be read, where the caller asks for nothing else."""
    _log.warning("left out %s: %s", display_name(name), error)


def _holds_names(sources: object) -> bool:
    return isinstance(sources, Iterable) and not isinstance(sources, (bytes, bytearray, memoryview))


def _pictures_in(folder: str) -> Iterator[FoundSource]:
    locked: list[OSError] = []
    others: Counter[str] = Counter()
    found = 0
    for path in walk_files(folder, on_locked=locked.append):
        suffix = Path(path).suffix.lower()
        if suffix in PICTURE_SUFFIXES | UNREAD_SUFFIXES or (not suffix and starts_as_picture(path)):
            found += 1
            yield FoundSource(path)
        else:
            others[suffix] += 1
    yield from (FoundSource(str(error.filename)) for error in locked)  # that they cannot be read is said in their turn
    if not found and not locked:
        raise DataError(f"{display_name(folder)} must hold pictures ({_suffixes()}), got {_told(others, folder)}")
    if others:
        _log.warning("%s also holds files that are not read: %s", display_name(folder), _told(others, folder))


def _told(others: Counter[str], folder: str) -> str:
    """Say in words which files are not read: "2 .pdf, 1 .mp4; its videos are named by a pattern, such as ..."."""
    if not others:
        return "none"
    text = ", ".join(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in others.most_common(8))
    videos = [suffix for suffix in others if suffix in VIDEO_SUFFIXES]
    if videos:
        text += f"; its videos are named by a pattern, such as '{display_name(str(Path(folder) / f'*{videos[0]}'))}'"
    return text


def _suffixes() -> str:
    return " ".join(sorted(PICTURE_SUFFIXES))


def _matching(pattern: str) -> Iterator[FoundSource]:
    matches = [name for name in sorted(_expand(pattern)) if is_file(name)]
    wanted = [name for name in matches if _is_picture(name) or is_video(name)]
    if not wanted:
        got = count_of(len(matches), "other file") if matches else "nothing"
        raise DataError(f"{display_name(pattern)} must match pictures or videos, got {got}")
    yield from map(FoundSource, wanted)


def _expand(pattern: str) -> Iterable[str]:
    """Find what a pattern matches. Unlike `glob`, go round no circle of links where `**` crosses folders."""
    if "**" not in pattern:
        return glob(pattern)  # noqa: PTH207  # unlike Path, keeps the folder as it was spelt
    parts = Path(pattern).parts
    fixed = next(place for place, part in enumerate(parts) if has_magic(part))
    folder = Path(*parts[:fixed])
    paths = map(Path, walk_files(str(folder), on_locked=lambda _error: None))
    return [str(path) for path in paths if matches_parts(path.relative_to(folder).parts, parts[fixed:])]


def matches_parts(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Return whether the parts of a path match those of a pattern, in which `**` stands for any number of folders."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(matches_parts(parts[start:], patterns[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatch(parts[0], patterns[0]) and matches_parts(parts[1:], patterns[1:])


def _is_picture(name: str) -> bool:
    suffix = Path(name).suffix.lower()
    return suffix in PICTURE_SUFFIXES | UNREAD_SUFFIXES or (not suffix and starts_as_picture(name))


def _listed(path: str) -> Iterator[FoundSource]:
    """Find the sources on the lines of a text file; that a file is missing is said when it is read."""
    try:
        with Path(path).open(encoding="utf-8-sig", errors="surrogateescape") as file:  # as the system has other names
            text = file.read(_LONGEST_LIST)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{LIST}{path} must be a text file with a source on each line: {reason}") from error
    if len(text) == _LONGEST_LIST or "\0" in text:
        raise DataError(f"{LIST}{path} must be a text file with a source on each line, got other content")
    names = [line.strip() for line in text.split("\n") if line.strip()]
    if not names:
        raise DataError(f"{LIST}{path} must have a source on each line, got none")
    for name in names:
        if is_dir(name) or (has_magic(name) and not is_live(name) and not exists(name)):
            yield from find_sources(name)
        else:
            yield FoundSource(name)
