"""What was seen, drawn into copies of what was read: pictures into a folder, videos into files."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.io.frame import Frame
    from mien.io.video_writer import VideoWriter
    from mien.types import Prediction

_JPEG = (".jpg", ".jpeg")


@contextmanager
def marking(target: Path, names: list[str], sources: Sequence[str] = ()) -> "Iterator[Marker]":
    """What draws into copies: in a folder, or, where the name is that of a video, the only source in that file.

    names: of what is read; sources: what they were found by, of which folders count.
    Raises OutputError where the folder cannot be made, something that is read would be overwritten, or a file is to
    take what does not fit.
    """
    from mien.io.video_writer import SUFFIXES

    alone = target.suffix.lower() in SUFFIXES
    if alone:
        _require_one_video(target, names)
    else:
        _prepare(target, names, sources)
    with ExitStack() as stack:
        yield Marker(target, stack, names, alone=alone)


class Marker:
    """Draws into copies, as they come; made by `marking`."""

    def __init__(self, target: Path, stack: ExitStack, names: list[str], *, alone: bool) -> None:
        from mien.io.source import display_name

        self._target = target
        # A frame's source is the one, a file's name the other.
        self._spelt = {display_name(name): name for name in names}
        self._stack = stack
        self._alone = alone
        self._taken: set[str] = set()
        self._video: VideoWriter | None = None
        self._last: Frame | None = None  # the latest frame of the video that is being written

    def add(self, frame: "Frame", prediction: "Prediction") -> None:
        """Draw a picture, or a frame of a video."""
        from mien.visualize.annotate import draw, save_picture

        drawn = draw(frame.picture, prediction)
        if not frame.moving:
            save_picture(drawn, self._target / self._name(frame.source))
            return
        last, self._last = self._last, frame.without_picture()
        if last is None or self._video is None or last.source != frame.source or frame.seconds < last.seconds:
            self._video = self._next(frame.source)
        self._video.write(drawn, seconds=frame.seconds)

    def _next(self, source: str) -> "VideoWriter":
        """Finish the video before, and begin another."""
        from mien.io.source import is_live
        from mien.io.video_writer import video_writer

        self._stack.close()
        path = self._target if self._alone else self._target / self._name(source, ".mp4")
        return self._stack.enter_context(video_writer(path, sound=None if is_live(source) else self._spelt[source]))

    def _name(self, source: str, suffix: str = "") -> str:
        """A name for a copy that no other has: JPEG stays JPEG, any other picture becomes PNG."""
        from mien.io.atomic_write import truncate_utf8
        from mien.io.source import STDIN, is_live

        path = Path("stdin" if source == STDIN else source)
        if is_live(source):
            path = Path(re.sub(r"\W+", "-", source))
        suffix = suffix or (path.suffix if path.suffix.lower() in _JPEG else ".png")
        stem = truncate_utf8(path.stem, 200)
        name, number = f"{stem}{suffix}", 1
        while name.lower() in self._taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self._taken.add(name.lower())
        return name


def _prepare(folder: Path, names: list[str], sources: Sequence[str]) -> None:
    """Make the folder for copies, unless what is read lies in it: it would be overwritten, or read the next time."""
    from mien.errors import OutputError
    from mien.io.atomic_write import is_dir
    from mien.io.source import STDIN, is_live

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write into the folder {folder}: Permission denied")
    files = [Path(name) for name in names if name != STDIN and not is_live(name)]
    read = {Path(os.path.realpath(parent)) for parent in {file.parent for file in files}}
    read |= {Path(os.path.realpath(file)).parent for file in files}  # elsewhere, where a file is a link
    read |= {Path(os.path.realpath(source)) for source in sources if is_dir(source)}
    if Path(os.path.realpath(folder)) in read:
        raise OutputError(f"--draw must be another folder than that of the pictures, got {folder}")


def _require_one_video(path: Path, names: list[str]) -> None:
    from mien.errors import OutputError
    from mien.io.atomic_write import exists
    from mien.io.source import is_video

    if len(names) != 1 or not is_video(names[0]):
        raise OutputError(f"--draw {path} takes one video; for anything else, name a folder")
    if exists(path) and exists(names[0]) and path.samefile(names[0]):
        raise OutputError(f"--draw must be another file than the video, got {path}")
