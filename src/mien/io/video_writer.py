"""Writing videos that browsers play: H.264 in MP4, with the sound of the video that was read."""

import heapq
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, OutputError
from mien.io.atomic_write import atomic_path
from mien.io.source import display_name
from mien.io.video_clock import start_seconds
from mien.io.video_reader import import_pyav, open_video, picture_stream

SUFFIXES = (".mp4", ".m4v", ".mov")

_CLOCK = Fraction(1, 90_000)  # seconds: what times are rounded to
_RATE = 30  # frames a second: a hint to the encoder, and what the last frame is shown for
_SOUND_CODECS = frozenset(("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"))  # what browsers and MP4 take
_BT709 = 1  # the colours of HD video, as H.264 numbers them
_MP4 = {"format": "mp4", "options": {"movflags": "+faststart"}}

_Timed = tuple[float, Any]  # a packet after its time in seconds

_log = logging.getLogger(__name__)


class VideoWriter:
    """Writes the frames of one video; made by `video_writer`.

    Attributes
    ----------
    begun
        True once there was a frame.
    start, end
        Seconds: when the first frame is shown, and until when the last one is.
    """

    def __init__(self, part: Path) -> None:
        self._av = import_pyav("writing videos")
        self._container = self._av.open(str(part), "w", **_MP4)
        self._stream: Any = None
        self._last = -1  # ticks of the clock
        self.start = 0.0

    @property
    def begun(self) -> bool:
        """True once a frame was written."""
        return self._stream is not None

    @property
    def end(self) -> float:
        """The time at which the last frame ends, in seconds."""
        return self.start + float(self._last * _CLOCK) + 1 / _RATE

    def write(self, picture: NDArray[np.uint8], *, seconds: float) -> None:
        """Add a frame, (H, W, 3) uint8 RGB, that is shown from then on; all later ones get the size of the first."""
        if self._stream is None:
            self._begin(picture, seconds)
        picture = np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
        frame = self._av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            self._stream.width, self._stream.height, "yuv420p", dst_colorspace="ITU709"
        )
        self._last = max(round((seconds - self.start) / _CLOCK), self._last + 1)
        frame.pts, frame.time_base = self._last, _CLOCK
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write the frames that the encoder still holds, and close the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()

    def abandon(self) -> None:
        """Let go of the file, whatever state it is in."""
        with suppress(Exception):  # it is to be removed
            self._container.close()

    def _begin(self, picture: NDArray[np.uint8], seconds: float) -> None:
        self.start = seconds
        options = {"preset": "veryfast", "crf": "21"}
        self._stream = self._container.add_stream("libx264", rate=_RATE, options=options)
        self._stream.height, self._stream.width = (max(2, side // 2 * 2) for side in picture.shape[:2])
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = _CLOCK
        context.colorspace = context.color_primaries = context.color_trc = _BT709


@contextmanager
def video_writer(
    path: Path | str, *, sound: str | None = None, warn: Callable[[str], None] = _log.warning
) -> Iterator[VideoWriter]:
    """Write frames to an MP4 file, which appears, or is replaced, once the block has ended well.

    Parameters
    ----------
    path
        The file. Without a frame it is not made.
    sound
        A video file whose sound is copied, from the first frame's time to the last one's; None: silence. Sound that
        cannot be copied is left out.
    warn
        Is called with a line that says why sound was left out; by default it is logged.

    Raises
    ------
    OutputError
        If the file cannot be written, or has another suffix.
    ExtraError
        If PyAV is not installed.
    """
    av = import_pyav("writing videos")
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"a video's name must end in {', '.join(SUFFIXES)}, got {path}")
    try:
        with suppress(_NoFrameError), atomic_path(path) as part:
            writer = VideoWriter(part)
            try:
                yield writer
                writer.close()
            finally:
                writer.abandon()
            if not writer.begun:
                raise _NoFrameError
            if sound is not None:
                _add_sound(part, sound, writer, warn)
    except av.FFmpegError as error:
        raise OutputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error


class _NoFrameError(Exception):
    """Ends the writing of a video that has no frame, so that there is no file."""


def _add_sound(video: Path, name: str, writer: VideoWriter, warn: Callable[[str], None]) -> None:
    """Put the sound of a video file beside the pictures in `video`; leave that as it is where this fails."""
    try:
        with open_video(name) as source:
            stream = _copyable(source)
            if stream is not None:
                zero = writer.start + start_seconds(picture_stream(name, source))
                with atomic_path(video) as both:
                    _join(both, video, stream, _sound_packets(source, stream, writer, zero))
                    _require_sound(both)
            elif source.streams.audio:
                warn(f"{display_name(name)}: its sound is left out, since MP4 does not take {_codec_names(source)}")
    except Exception as error:  # noqa: BLE001  # whatever is wrong with the sound, the pictures are there
        reason = str(error) if isinstance(error, DataError) else getattr(error, "strerror", None) or str(error)
        warn(f"{display_name(name)}: its sound is left out, since it cannot be copied: {reason}")


def _copyable(source: Any) -> Any:
    """Return the first stream of sound that MP4 takes, or None. Codecs count, not the decoders that FFmpeg picks."""
    known = [stream for stream in source.streams.audio if stream.codec_context is not None]
    return next((each for each in known if each.codec_context.codec.canonical_name in _SOUND_CODECS), None)


def _codec_names(source: Any) -> str:
    contexts = [stream.codec_context for stream in source.streams.audio]
    return ", ".join("an unknown codec" if each is None else each.codec.canonical_name for each in contexts)


def _join(path: Path, video: Path, sound: Any, sound_packets: Iterator[_Timed]) -> None:
    """Write the pictures of a video and packets of a stream of sound to a file, in the order of time."""
    av = import_pyav("writing videos")
    with av.open(str(video)) as pictures, av.open(str(path), "w", **_MP4) as target:
        shown = target.add_stream_from_template(pictures.streams.video[0])
        shown.time_base = _CLOCK
        heard = target.add_stream_from_template(sound)
        for _, packet in heapq.merge(_picture_packets(pictures), sound_packets, key=lambda each: each[0]):
            packet.stream = heard if packet.stream is sound else shown
            target.mux(packet)


def _require_sound(path: Path) -> None:
    """Raise an error of FFmpeg where the sound of a file, if it has any, does not play."""
    with open_video(str(path)) as container:
        packets = container.demux(container.streams.audio[0]) if container.streams.audio else ()
        next((packet for packet in packets if packet.decode()), None)


def _picture_packets(container: Any) -> Iterator[_Timed]:
    for packet in container.demux(video=0):
        if packet.dts is not None:
            yield float(packet.dts * packet.time_base), packet


def _sound_packets(source: Any, stream: Any, writer: VideoWriter, zero: float) -> Iterator[_Timed]:
    """Give the packets of sound from the first frame of a video to its last, at times that count from the first frame.

    Some containers state times so coarsely that several packets have the same. MP4 wants each later than the one
    before, so such a packet follows the one before by its own length. A broken packet ends the sound.

    zero: the time stamp of the first frame, in seconds.
    """
    av = import_pyav("writing videos")
    rate = stream.codec_context.sample_rate or _CLOCK.denominator
    length = max(stream.codec_context.frame_size or 0, 1)  # samples of a packet
    last: int | None = None
    packets = source.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        if packet.dts is None:
            continue
        stamp = packet.dts if packet.pts is None else packet.pts
        seconds = float(stamp * stream.time_base) - zero
        if writer.start and seconds < 0:
            continue  # before the first frame; where that is the video's first, decoders need these packets
        if seconds >= writer.end - writer.start:
            return
        ticks = round(seconds * rate)
        last = ticks if last is None or ticks > last else last + length
        packet.pts = packet.dts = last
        packet.time_base = Fraction(1, rate)
        yield last / rate, packet
