"""Copies of what was read with the predictions drawn in: one file, or a folder that keeps the tree of the sources."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mien.cli.console import remark
from mien.cli.sinks import Sink
from mien.cli.stats import count
from mien.errors import OutputError
from mien.io.atomic_write import is_dir, make_folder, require_writable, truncate_utf8
from mien.io.frame import Frame
from mien.io.source import STDIN, display_name, is_live, is_video
from mien.io.video_writer import SUFFIXES as VIDEO_SUFFIXES
from mien.io.video_writer import VideoWriter, video_writer
from mien.types import Prediction
from mien.visualize.annotate import PICTURE_SUFFIXES, draw, save_picture

_JPEG = (".jpg", ".jpeg")
_LONGEST = 200  # bytes of a copy's name without its suffix


@contextmanager
def annotated_copies(target: str, names: Sequence[str], sources: Sequence[str] = ()) -> Iterator[Sink]:
    """Draw predictions into copies, and say at the end what was written.

    target:  a folder; or a file, .jpg or .png for one picture and .mp4 for one video.
    names:   of all that is read; sources: what they were found by, whose folders count.

    Raises OutputError where the target fits neither, cannot be written, or would overwrite what is read.
    """
    path = Path(target)
    alone = _is_file(target)
    if alone:
        _require_one(path, names)
    with ExitStack() as stack:
        copies = AnnotatedCopies(path, stack, names, sources, alone=alone)
        if not alone:
            copies.prepare()
        yield copies.add
    copies.report()


class AnnotatedCopies:
    """Draws into copies, as they come; made by `annotated_copies`."""

    def __init__(
        self, target: Path, stack: ExitStack, names: Sequence[str], sources: Sequence[str], *, alone: bool
    ) -> None:
        self._target = target
        self._names = {display_name(name): name for name in names}  # a frame bears the one, a file the other
        self._sources = sources
        self._stack = stack
        self._alone = alone
        self._root = _common_folder(names, sources)
        self._taken: set[str] = set()
        self._video: VideoWriter | None = None
        self._last: Frame | None = None  # the latest frame of the video that is being written

    def prepare(self) -> None:
        """Make the folder, unless a copy would lie where something is read: now, or the next time."""
        make_folder(self._target)
        if not os.access(self._target, os.W_OK):
            raise OutputError(f"cannot write into the folder {self._target}: Permission denied")
        files = [name for name in self._names.values() if _is_path(name)]
        read = {os.path.realpath(source) for source in self._sources if is_dir(source)}
        for file in files:  # a link lies in one folder, and its file in another
            read |= {os.path.realpath(Path(file).parent), str(Path(os.path.realpath(file)).parent)}
        written = {os.path.realpath(self._target)}
        written |= {os.path.realpath(self._target / self._below(file).parent) for file in files}
        if written & read:
            raise OutputError(f"--draw must be another folder than that of the pictures, got {self._target}")

    def add(self, frame: Frame, prediction: Prediction) -> None:
        """Draw a picture, or a frame of a video."""
        drawn = draw(frame.picture, prediction)
        if not frame.moving:
            save_picture(drawn, self._path(frame.source))
            return
        last, self._last = self._last, frame.without_picture()
        if last is None or self._video is None or last.source != frame.source or frame.seconds < last.seconds:
            self._video = self._next(frame)
        self._video.write(drawn, seconds=frame.seconds)

    def report(self) -> None:
        """Say what was written."""
        if self._taken:
            place = self._target if self._alone else f"{self._target}{os.sep}"
            remark(f"wrote {place}: {count(len(self._taken), 'drawn file')}")

    def _next(self, frame: Frame) -> VideoWriter:
        """Finish the video before, and begin another."""
        self._stack.close()
        sound = None if frame.live else self._names[frame.source]  # of what is live, sound is gone by then
        return self._stack.enter_context(video_writer(self._path(frame.source, ".mp4"), sound=sound, warn=remark))

    def _path(self, source: str, suffix: str = "") -> Path:
        """Choose a name for a copy that no other has: JPEG stays JPEG, any other picture becomes PNG."""
        if self._alone:
            self._taken.add(str(self._target))
            return self._target
        below = self._below(self._names.get(source, source))
        suffix = suffix or (below.suffix if below.suffix.lower() in _JPEG else ".png")
        stem = truncate_utf8(display_name(below.stem), _LONGEST)
        path, number = below.with_name(f"{stem}{suffix}"), 1
        while str(path).lower() in self._taken:
            number += 1
            path = below.with_name(f"{stem}-{number}{suffix}")
        self._taken.add(str(path).lower())
        whole = self._target / path
        make_folder(whole.parent)
        return whole

    def _below(self, name: str) -> Path:
        """Return the copy's path below the target, which is its source's path below the folder that all share."""
        if name == STDIN:
            return Path("stdin")
        if is_live(name):
            return Path(re.sub(r"\W+", "-", display_name(name)))
        path = Path(os.path.abspath(name))  # noqa: PTH100  # a link stays the name that it has
        return path.relative_to(self._root) if path.is_relative_to(self._root) else Path(path.name)


def _is_file(target: str) -> bool:
    """Return whether copies go into one file instead of a folder. Raises OutputError for a suffix of neither."""
    suffix = Path(target).suffix.lower()
    if is_dir(target) or target.endswith(("/", os.sep)) or not suffix:
        return False
    if suffix not in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES):
        known = ", ".join((*PICTURE_SUFFIXES, *VIDEO_SUFFIXES))
        raise OutputError(f"--draw must be a folder ({target}/) or a file that ends in {known}, got {target}")
    return True


def _require_one(path: Path, names: Sequence[str]) -> None:
    """Refuse a file that is to take more than one source, another kind, or the place of what is read."""
    moving = path.suffix.lower() in VIDEO_SUFFIXES
    if len(names) != 1 or is_video(names[0]) != moving:
        what = "video" if moving else "picture"
        raise OutputError(f"--draw {path} takes one {what}; for anything else, name a folder")
    require_writable(path, inputs=[Path(name) for name in names if _is_path(name)])


def _common_folder(names: Sequence[str], sources: Sequence[str]) -> str:
    """Return the folder that all sources share: of a source that is a file, its folder counts."""
    folders = {os.path.abspath(source) for source in sources if is_dir(source)}  # noqa: PTH100  # as above
    for name in filter(_is_path, names):
        path = os.path.abspath(name)  # noqa: PTH100  # as above
        if not any(Path(path).is_relative_to(folder) for folder in folders):
            folders.add(os.path.dirname(path))  # noqa: PTH120  # as above
    try:
        return os.path.commonpath(folders) if folders else os.sep
    except ValueError:  # on several drives
        return os.sep


def _is_path(name: str) -> bool:
    return name != STDIN and not is_live(name)
