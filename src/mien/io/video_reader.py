"""The frames of videos, cameras and streams, decoded by PyAV: upright, in RGB, at their true times."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, ExtraError, MienError
from mien.io.frame import ALL_FRAMES, CLOSE, Frame, FrameSelection, VideoFacts, apply_display_matrix
from mien.io.source import CAMERA, display_name, is_live
from mien.io.video_clock import VideoClock, with_arrivals

MOST_PIXELS = 8192 * 4352  # of a frame: the most that the levels of H.264, HEVC (to 6.2) and AV1 allow
_PATIENCE = 10.0  # seconds: how long a stream may take to open, and to send something
_FURTHEST = 2.0**62  # ticks: FFmpeg counts no further
_SLACK = 0.5  # seconds: by how much a video may be shorter than it says

# A file may make FFmpeg read nothing but itself: playlists and lists of pictures, which name other files and addresses,
# are not among these formats.
_ONE_FILE = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,ivf,asf,flv,ogg,yuv4mpegpipe,"
    "gif,apng,mjpeg,mxf,mxg,dv,rm,nut,nsv,wtv,gxf,swf,vc1,vvc",
}


def read_video(name: str, *, selection: FrameSelection = ALL_FRAMES) -> Iterator[Frame]:
    """Read the frames of a video file, a camera or a stream, as they come.

    Times count from the first frame, as the container states them, whatever the frame rate. Frames are turned and
    mirrored as the container says, and stretched where its pixels are not square. Broken frames are left out.

    Parameters
    ----------
    name
        A file, a camera such as `webcam:0`, or a stream such as `rtsp://host/path`.
    selection
        Which frames are wanted, and how large.

    Raises
    ------
    DataError
        If nothing can be read. If some frames are broken, or the video ends before it should: after all frames that
        can be read.
    ExtraError
        If PyAV is not installed.
    """
    opened = time.monotonic()
    with _explain_errors(name):
        with open_video(name) as container:
            reading = _Reading(name, container, selection, opened)
            yield from reading.frames()
        reading.require_whole()


def describe_video(name: str) -> VideoFacts:
    """Say how large and how long a video file claims to be, without decoding it. Raises as `read_video` does."""
    with _explain_errors(name), open_video(name) as container:
        stream = picture_stream(name, container)
        context, rate = stream.codec_context, stream.average_rate
        return VideoFacts(context.width, context.height, _length(container, stream), float(rate) if rate else None)


def count_frames(name: str, *, selection: FrameSelection = ALL_FRAMES) -> int:
    """Estimate how many frames of a video file `read_video` gives; 0 if that is not known. Raises as it does."""
    return 0 if is_live(name) else describe_video(name).count(selection)


@contextmanager
def _explain_errors(name: str) -> Iterator[None]:
    """Turn any error of the block into a DataError: FFmpeg and PyAV raise whatever an odd file leads them to."""
    try:
        yield
    except MienError:
        raise
    except Exception as error:
        raise DataError(f"{display_name(name)} cannot be read: {_reason(error)}") from error


@contextmanager
def open_video(name: str) -> Iterator[Any]:
    """Open a video file, a camera or a stream as a container of PyAV. Raises DataError, ExtraError."""
    av = import_pyav("reading videos")
    try:
        container = _open(name)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DataError(_refusal(name, error)) from error
    with container:
        yield container


def import_pyav(feature: str) -> Any:
    """Import PyAV. Raises ExtraError, naming the feature that needs it, where it is not installed."""
    try:
        import av  # an extra, and heavy: only videos need it
    except ImportError as error:
        raise ExtraError(feature, extra="video") from error
    return av


def _open(name: str) -> Any:
    av = import_pyav("reading videos")
    if name.startswith(CAMERA):
        device, form, options = _camera(name.removeprefix(CAMERA))
        return av.open(device, format=form, options=options, timeout=_PATIENCE)
    if is_live(name):
        options = {"rtsp_transport": "tcp"} if name.lower().startswith("rtsp") else {}
        return av.open(name, options=options, timeout=_PATIENCE)
    return av.open(f"file:{name}", options=_ONE_FILE)


def _camera(which: str) -> tuple[str, str, dict[str, str]]:
    """Return the device, the format and the options by which PyAV opens a camera, given its number or its name."""
    if sys.platform == "darwin":
        return which, "avfoundation", {"framerate": "30"}
    if sys.platform == "win32":
        return f"video={_windows_camera(which)}", "dshow", {}
    return f"/dev/video{which}" if which.isdigit() else which, "v4l2", {}


def _windows_camera(which: str) -> str:
    if not which.isdigit():
        return which
    devices = import_pyav("reading videos").enumerate_input_devices("dshow")
    cameras = [each.name for each in devices if "video" in each.media_types]
    if int(which) >= len(cameras):
        raise DataError(f"{CAMERA}{which} must be one of {len(cameras)} cameras, counted from 0")
    return str(cameras[int(which)])


def _refusal(name: str, error: Exception) -> str:
    reason, shown = _reason(error), display_name(name)
    if name.startswith(CAMERA):
        return f"{shown}: the camera cannot be opened: {reason}"
    if is_live(name):
        return f"{shown}: the stream cannot be opened: {reason}"
    if isinstance(error, FileNotFoundError):
        return f"{shown}: there is no such file"
    if isinstance(error, OSError) and not isinstance(error, ValueError):
        return f"{shown} cannot be read: {reason}"
    return f"{shown} cannot be read: it is no video, is cut short, or is broken at its start"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def picture_stream(name: str, container: Any) -> Any:
    """Return the stream of moving pictures. Raises DataError where there is none that can be read."""
    name = display_name(name)
    covers = import_pyav("reading videos").stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        raise DataError(f"{name} must be a video, got a file without moving pictures")
    readable = [stream for stream in streams if stream.codec_context is not None]
    if not readable:
        raise DataError(f"{name} cannot be read: its pictures are coded in a way that FFmpeg does not know")
    context = readable[0].codec_context
    _require_size(name, context.width, context.height)
    context.options = {"max_pixels": str(MOST_PIXELS)}  # later frames may be larger than the first
    return readable[0]


def _require_size(name: str, width: float, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise DataError(f"{name} must have frames of at most {MOST_PIXELS:,} pixels; make it smaller first")


def _length(container: Any, stream: Any) -> float | None:
    """Return the seconds that the pictures last, as far as the file says."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.duration is not None
    return container.duration / 1e6 if alone else None


class _Reading:
    """Reads one container: decodes, selects frames, and keeps count of what went wrong."""

    def __init__(self, name: str, container: Any, selection: FrameSelection, opened: float) -> None:
        self._name = display_name(name)
        self._container = container
        self._selection = selection
        self._stream = picture_stream(name, container)
        self._length = _length(container, self._stream)
        self._live = is_live(name) and container.duration is None and container.size <= 0  # a fetched file has both
        self._clock = VideoClock(container, self._stream, live=self._live)
        self._opened = opened if self._clock.by_arrival else inf
        self._decoded = self._given = self._broken = 0
        self._matrices: dict[tuple[float, int, int], bytes | None] = {}  # by rotation, width and height of frames
        self._stop = ""  # why it ended early
        self._ended = False  # it ended where it was asked to

    def frames(self) -> Iterator[Frame]:
        """Give the selected frames."""
        due, sought = self._selection.start, self._seek()
        for frame in self._decode():
            seconds = self._clock.read(frame, sought=sought)
            if self._selection.end is not None and seconds >= self._selection.end - CLOSE:
                self._ended = True
                return
            if seconds < due - CLOSE:
                continue
            due = self._selection.next_due(seconds)
            self._given += 1
            picture = self._picture(frame)
            yield Frame(self._name, seconds, picture, moving=True, live=self._live, arrived=time.monotonic())

    def require_whole(self) -> None:
        """Raise DataError where something could not be read."""
        if not self._decoded:
            raise DataError(f"{self._name} holds no frame that can be read{self._stop and f': {self._stop}'}")
        wrong, seconds = [], max(self._clock.seconds, 0.0)
        if self._stop:
            wrong.append(f"it stopped after {seconds:.1f} seconds: {self._stop}")
        elif self._ends_early():
            wrong.append(f"it ends after {seconds:.1f} of {self._length:.1f} seconds")
        elif not self._given:
            raise DataError(f"{self._name} is over before {self._selection.start} seconds, where it should start")
        if self._broken:
            wrong.append(f"{self._broken:,} broken frame{'' if self._broken == 1 else 's'} left out")
        if wrong:
            raise DataError(f"{self._name} was not read whole: {', '.join(wrong)}")

    def _ends_early(self) -> bool:
        """Return whether the frames end before the container says; False where clocks of several make it up."""
        if self._ended or self._length is None or self._clock.was_set:
            return False
        return self._clock.seconds + _SLACK < self._length - self._clock.pause

    def _seek(self) -> bool:
        """Go to the last key frame before the start. Return False where the source stays at its first frame."""
        if not self._selection.start or self._clock.origin is None:
            return False
        place = (self._selection.start + self._clock.origin) / self._stream.time_base
        try:
            self._container.seek(round(min(place, _FURTHEST)), stream=self._stream)
        except import_pyav("reading videos").FFmpegError:
            return False
        return True

    def _decode(self) -> Iterator[Any]:
        """Give all frames that can be decoded."""
        av = import_pyav("reading videos")
        self._stream.thread_type = "AUTO"
        packets = with_arrivals(self._container.demux(self._stream), opened=self._opened)
        while True:
            try:
                packet, arrived = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self._stop = _reason(error)
                return
            self._clock.note(packet, arrived)
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

    def _picture(self, frame: Any) -> NDArray[np.uint8]:
        """Return a frame as (H, W, 3) uint8 RGB, upright, with square pixels, no larger than wanted."""
        stretch = self._stream.sample_aspect_ratio or 1
        stretched = round(frame.width * stretch)
        if not stretched:
            raise DataError(
                f"{self._name} has pixels {float(1 / stretch):,.0f} times as high as wide, and so no picture"
            )
        _require_size(self._name, stretched, frame.height)
        width, height = self._selection.fit(stretched, frame.height)
        same = (width, height) == (frame.width, frame.height)
        sized = {} if same else {"width": width, "height": height, "interpolation": "AREA"}
        return apply_display_matrix(frame.to_ndarray(format="rgb24", **sized), self._display_matrix(frame))

    def _display_matrix(self, frame: Any) -> Any:
        """Return how a frame is turned and mirrored. Looked up rarely, as it ties the frame to itself in memory."""
        key = (frame.rotation, frame.width, frame.height)
        if key not in self._matrices:
            matrix = frame.side_data.get("DISPLAYMATRIX")
            self._matrices[key] = None if matrix is None else bytes(matrix)
        return self._matrices[key]
