"""Writing videos that browsers play: H.264 in MP4, with the sound of the video that was read."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ExtraError, OutputError
from mien.io.atomic_write import resolve_link
from mien.io.video_reader import open_video, start_seconds

SUFFIXES = (".mp4", ".m4v", ".mov")

_CLOCK = Fraction(1, 90_000)  # seconds: what times are rounded to
_RATE = 30  # frames a second: a hint to the encoder, and what the last frame is shown for
_SOUNDS = frozenset(("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"))  # what MP4 holds; others are left out
_BT709 = 1  # the colours of HD video, as H.264 numbers them


class VideoWriter:
    """Writes the frames of one video, made by `video_writer`."""

    def __init__(self, path: Path, sound: str | None) -> None:
        import av

        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._sound = sound
        self._stream: Any = None
        self._copier: Iterator[float] = iter(())
        self._heard = 0.0  # seconds of the video that is read: the sound up to there is written
        self._first = 0.0
        self._last = -1  # ticks of the clock

    def write(self, picture: NDArray[np.uint8], *, seconds: float) -> None:
        """Add a frame, (H, W, 3) uint8 RGB, that is shown from then on; all later ones get the size of the first."""
        import av

        if self._stream is None:
            self._first = seconds
            self._begin(picture)
        picture = np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            self._stream.width, self._stream.height, "yuv420p", dst_colorspace="ITU709"
        )
        self._last = max(round((seconds - self._first) / _CLOCK), self._last + 1)
        frame.pts, frame.time_base = self._last, _CLOCK
        self._container.mux(self._stream.encode(frame))
        self._copy_sound(seconds)

    @property
    def begun(self) -> bool:
        """Whether there was a frame."""
        return self._stream is not None

    def finish(self) -> None:
        """Write what is left."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
            self._copy_sound(self._first + float(self._last * _CLOCK) + 1 / _RATE)
        self._container.close()

    def abandon(self) -> None:
        """Let go of the file, whatever state it is in."""
        with suppress(Exception):  # it is to be removed
            self._container.close()

    def _begin(self, picture: NDArray[np.uint8]) -> None:
        """The streams, which must all be there before the first frame."""
        options = {"preset": "veryfast", "crf": "21"}
        self._stream = self._container.add_stream("libx264", rate=_RATE, options=options)
        self._stream.height, self._stream.width = (max(2, side // 2 * 2) for side in picture.shape[:2])
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = _CLOCK
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        if self._sound is not None:
            self._copier = _sound_into(self._container, self._sound, self._first)
        self._heard = next(self._copier, inf)

    def _copy_sound(self, seconds: float) -> None:
        """Copy the sound up to a time of the video that is read."""
        while self._heard < seconds:
            self._heard = next(self._copier, inf)


def _sound_into(container: Any, name: str, start: float) -> Iterator[float]:
    """Copy the sound of a video into a container, packet by packet, from `start` seconds on, and say how far that is.

    What it gives first comes before any sound is copied, but after the container knows of it.
    """
    with open_video(name) as source:
        sounds = [stream for stream in source.streams.audio if stream.codec_context.name.split("_")[0] in _SOUNDS]
        if not sounds:
            return
        copy = container.add_stream_from_template(sounds[0])
        yield start
        zero = start_seconds(source.streams.video[0])
        ticks = round((start + zero) / sounds[0].time_base)
        for packet in source.demux(sounds[0]):
            if packet.dts is None or packet.pts is None or (start and packet.pts < ticks):
                continue  # what comes before the start; before that of the video, it is what decoders begin with
            seconds = float(packet.pts * sounds[0].time_base) - zero
            packet.pts -= ticks
            packet.dts -= ticks
            packet.stream = copy
            container.mux(packet)
            yield seconds


@contextmanager
def video_writer(path: Path | str, *, sound: str | None = None) -> Iterator[VideoWriter]:
    """What takes frames and writes them to an MP4 file, which appears, or is replaced, once the block has ended well.

    sound: a video file whose sound is copied, from the first frame's time to the last one's; None: silence.
    Without frames there is no file. Raises OutputError where the file cannot be written or has another suffix;
    ExtraError without PyAV.
    """
    try:
        import av
    except ImportError as error:
        raise ExtraError("writing videos", extra="video") from error
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"a video's name must end in {', '.join(SUFFIXES)}, got {path}")
    target = resolve_link(path)
    part = target.with_name(target.name + ".part")
    try:
        part.touch()  # to fail at once where the container would only with the first frame
        writer = VideoWriter(part, sound)
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        yield writer
        writer.finish()
        if writer.begun:
            part.replace(target)
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        writer.abandon()
        part.unlink(missing_ok=True)
