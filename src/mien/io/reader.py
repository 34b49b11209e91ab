"""The frames of a source, whatever it is: a picture, a video, a camera, a stream, or standard input."""

import io
import sys
import time
from collections.abc import Iterator

from mien.errors import DataError
from mien.io.atomic_write import is_dir
from mien.io.frame import ALL_FRAMES, Frame, FrameSelection
from mien.io.http_source import fetch_picture, is_http
from mien.io.image import read_picture
from mien.io.source import STDIN, display_name, is_video
from mien.io.video_reader import read_video


def read_frames(name: str, *, selection: FrameSelection = ALL_FRAMES) -> Iterator[Frame]:
    """Read the frames of one source, as they are asked for.

    Parameters
    ----------
    name
        A source as `find_sources` gives it: of a picture, video, camera or stream, or `-` for standard input.
    selection
        Which frames of a video are wanted, and how large.

    Raises
    ------
    DataError
        If the source cannot be read. A damaged video first gives all frames that can be read.
    """
    if is_video(name):
        yield from read_video(name, selection=selection)
        return
    if name == STDIN and sys.stdin is None:
        raise DataError("standard input is closed, and - is the picture on it")
    if is_dir(name):  # `find_sources` gives the pictures in a folder instead, where it can
        raise DataError(f"{name} cannot be read: it is a folder that does not tell what is in it")
    picture = read_picture(_picture_file(name))
    yield Frame(display_name(name), 0.0, selection.shrink(picture), arrived=time.monotonic())


def _picture_file(name: str) -> io.BytesIO | str:
    if is_http(name):
        return fetch_picture(name, name=display_name(name))
    return io.BytesIO(sys.stdin.buffer.read()) if name == STDIN else name
