"""The frames of videos, cameras and streams, decoded by PyAV: upright, in RGB, at their true times."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import DataError, ExtraError
from mien.io.frame import ALL_FRAMES, Frame, FrameSelection
from mien.io.source import CAMERA, display_name, is_live

_PATIENCE = 10.0  # seconds: how long a stream may take to open, and to send something
_SLACK = 0.5  # seconds: by how much a video may be shorter than it says
_JUMP = 0.5  # seconds: how far back a clock must go to have begun anew; by less, frames are out of order
_CLOSE = 0.001  # seconds: times are rounded by this much in some containers


def read_video(name: str, *, selection: FrameSelection = ALL_FRAMES) -> Iterator[Frame]:
    """The frames of a video file, of a camera, `webcam:0`, or of a stream, such as `rtsp://...`, as they come.

    Times count from the first frame, as the container states them, whatever the frame rate. Frames are turned upright
    as the container says, and stretched where its pixels are not square. Broken frames are left out.
    Raises DataError where nothing can be read, and, after all frames that can be, where some were broken or the video
    ends before it should. Raises ExtraError without PyAV.
    """
    with open_video(name) as container:
        reading = _Reading(name, container, selection)
        yield from reading.frames()
    reading.require_whole()


def count_frames(name: str, *, selection: FrameSelection = ALL_FRAMES) -> int:
    """About how many frames of a video file there will be; 0: not known. Raises as `read_video` does."""
    if is_live(name):
        return 0
    with open_video(name) as container:
        stream = _stream(name, container)
        length = _length(container, stream)
        if length is None or not stream.average_rate:
            return 0
        seconds = max(0.0, min(length, selection.end or length) - selection.start)
        return round(seconds * float(stream.average_rate) if selection.every is None else seconds / selection.every)


@contextmanager
def open_video(name: str) -> Iterator[Any]:
    """A container of PyAV for a video file, a camera or a stream. Raises DataError, ExtraError."""
    try:
        import av
    except ImportError as error:
        raise ExtraError("reading videos", extra="video") from error
    try:
        container = _open(name)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DataError(_refusal(name, error)) from error
    with container:
        yield container


def start_seconds(stream: Any) -> float:
    """Seconds: the time in the container at which a stream starts."""
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0


def _open(name: str) -> Any:
    import av

    if name.startswith(CAMERA):
        device, form, options = _camera(name.removeprefix(CAMERA))
        return av.open(device, format=form, options=options, timeout=_PATIENCE)
    if is_live(name):
        options = {"rtsp_transport": "tcp"} if name.lower().startswith("rtsp") else {}
        return av.open(name, options=options, timeout=_PATIENCE)
    return av.open(f"file:{name}")


def _camera(which: str) -> tuple[str, str, dict[str, str]]:
    """The device, the format and the options by which PyAV opens a camera, given by its number or its name."""
    if sys.platform == "darwin":
        return which, "avfoundation", {"framerate": "30"}
    if sys.platform == "win32":
        return f"video={_windows_camera(which)}", "dshow", {}
    return f"/dev/video{which}" if which.isdigit() else which, "v4l2", {}


def _windows_camera(which: str) -> str:
    if not which.isdigit():
        return which
    import av

    cameras = [each.name for each in av.enumerate_input_devices("dshow") if "video" in each.media_types]
    if int(which) >= len(cameras):
        raise DataError(f"{CAMERA}{which} must be one of {len(cameras)} cameras, counted from 0")
    return str(cameras[int(which)])


def _refusal(name: str, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    name = display_name(name)
    if name.startswith(CAMERA):
        return f"{name}: the camera cannot be opened: {reason}"
    if is_live(name):
        return f"{name}: the stream cannot be opened: {reason}"
    if isinstance(error, FileNotFoundError):
        return f"{name}: there is no such file"
    if isinstance(error, OSError) and not isinstance(error, ValueError):
        return f"{name} cannot be read: {reason}"
    return f"{name} cannot be read: it is no video, is cut short, or is broken at its start"


def _stream(name: str, container: Any) -> Any:
    name = display_name(name)
    if not container.streams.video:
        raise DataError(f"{name} must be a video, got a file without pictures")
    stream = container.streams.video[0]
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    if limit and stream.codec_context.width * stream.codec_context.height > limit:
        raise DataError(f"{name} must have frames of at most {limit:,} pixels; make it smaller first")
    return stream


def _length(container: Any, stream: Any) -> float | None:
    """Seconds that the pictures last, as far as the file says."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.duration is not None
    return container.duration / 1e6 if alone else None


class _Reading:
    """The reading of one container: which frames are due, and what went wrong on the way."""

    def __init__(self, name: str, container: Any, selection: FrameSelection) -> None:
        self._name = display_name(name)
        self._container = container
        self._selection = selection
        self._stream = _stream(name, container)
        self._length = _length(container, self._stream)
        self._live = is_live(name) and container.duration is None  # a file that is fetched has a duration
        self._start = None if self._live else start_seconds(self._stream)
        self._pause = 1 / float(self._stream.average_rate or 25)  # seconds from frame to frame, where none are stated
        self._seconds = -self._pause  # of the last frame
        self._decoded = self._given = self._broken = 0
        self._stop = ""  # why it ended early
        self._ended = False  # whether it ended where it was asked to

    def frames(self) -> Iterator[Frame]:
        due = self._selection.start
        self._seek()
        for frame in self._upcoming():
            seconds = self._time(frame)
            if self._selection.end is not None and seconds >= self._selection.end - _CLOSE:
                self._ended = True
                return
            if seconds < due - _CLOSE:
                continue
            while self._selection.every is not None and due <= seconds + _CLOSE:
                due += self._selection.every
            self._given += 1
            yield Frame(
                self._name,
                max(seconds, 0.0),
                self._picture(frame),
                moving=True,
                live=self._live,
                arrived=time.monotonic(),
            )

    def require_whole(self) -> None:
        """Raise DataError where something could not be read."""
        if not self._decoded:
            raise DataError(f"{self._name} holds no frame that can be read{self._stop and f': {self._stop}'}")
        wrong = []
        if self._stop:
            wrong.append(f"it stopped after {max(self._seconds, 0):.1f} seconds: {self._stop}")
        elif not self._ended and self._length is not None and self._seconds + _SLACK < self._length - self._pause:
            wrong.append(f"it ends after {self._seconds:.1f} of {self._length:.1f} seconds")
        elif not self._given:
            raise DataError(f"{self._name} is over before {self._selection.start} seconds, where it should start")
        if self._broken:
            wrong.append(f"{self._broken:,} broken frame{'' if self._broken == 1 else 's'} left out")
        if wrong:
            raise DataError(f"{self._name} was not read whole: {', '.join(wrong)}")

    def _seek(self) -> None:
        """Go to the last key frame before the start, where the source can."""
        import av

        if self._selection.start and self._start is not None:
            place = round((self._selection.start + self._start) / self._stream.time_base)
            try:
                self._container.seek(place, stream=self._stream)
            except av.FFmpegError:  # then all frames from the first on are read, and left out
                return

    def _upcoming(self) -> Iterator[Any]:
        """All frames that can be decoded."""
        import av

        self._stream.thread_type = "AUTO"
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self._stop = getattr(error, "strerror", None) or str(error)
                return
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._broken += 1
                continue
            for frame in frames:
                self._broken += frame.is_corrupt
                self._decoded += not frame.is_corrupt
                if not frame.is_corrupt:
                    yield frame

    def _time(self, frame: Any) -> float:
        """Seconds from the first frame; they never go back."""
        if frame.time is None:
            self._seconds += self._pause
        else:
            if self._start is None:
                self._start = frame.time
            seconds = frame.time - self._start
            if self._decoded > 1 and seconds < self._seconds - _JUMP:  # recordings were put end to end
                seconds = self._seconds + self._pause
                self._start = frame.time - seconds
            self._seconds = max(seconds, self._seconds)
        return self._seconds

    def _picture(self, frame: Any) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, upright, with square pixels, no larger than wanted."""
        stretch = self._stream.sample_aspect_ratio or 1
        width, height = self._selection.fit(round(frame.width * stretch), frame.height)
        same = (width, height) == (frame.width, frame.height)
        sized = {} if same else {"width": width, "height": height, "interpolation": "AREA"}
        picture = frame.to_ndarray(format="rgb24", **sized)
        turns = round(frame.rotation / 90) % 4  # counter-clockwise
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture
