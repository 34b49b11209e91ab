"""Short videos for tests, written with PyAV: faces pasted on drawn backgrounds, with the truth of every frame.

The faces are variants of the one in `skimage.data.astronaut()` (public domain, NASA).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from mien.errors import DataError
from mien.io.frame import Frame, FrameSelection
from mien.io.video_reader import read_video

Picture = NDArray[np.uint8]
Where = Callable[[float], tuple[float, float] | None]  # seconds -> centre of the face in pixels; None: not there

WIDTH, HEIGHT, RATE = 320, 240, 25
_HEAD = (130, 20, 320, 210)  # of the astronaut picture: the head with its surroundings
_FACE = np.array([50.0, 50, 140, 156])  # in the head: the box that the detector gives it
_OVAL = (80.0, 98.0, 12.0)  # pixels: half its width and height, and how far its middle is above the face's
_CLOCK = 12_800  # ticks a second: of the time stamps
_TONES = 16_000  # samples a second


@dataclass(frozen=True)
class Actor:
    """A face that moves. where: its centre at a time; side: pixels, the height of its box; look: 0 to 3, whose face."""

    where: Where
    side: float = 64
    look: int = 0

    @property
    def scale(self) -> float:
        """Of the astronaut picture."""
        return self.side / float(_FACE[3] - _FACE[1])


@dataclass(frozen=True)
class Clip:
    """What a video shows.

    seconds: (F,) the time of each frame; boxes: for each frame, the box (4,) of each actor that is there, by its
    number, hidden or not; pictures: the frames as they were before the encoder.
    """

    path: Path
    seconds: list[float]
    boxes: list[dict[int, NDArray[np.float64]]]
    pictures: list[Picture]


def at(x: float, y: float) -> Where:
    """Hold still."""
    return lambda _: (x, y)


def along(*stops: tuple[float, float, float]) -> Where:
    """Go from stop to stop in straight lines: seconds, x, y. Not there before the first one and after the last."""
    times, xs, ys = (np.array(column, float) for column in zip(*stops, strict=True))

    def where(seconds: float) -> tuple[float, float] | None:
        if not times[0] <= seconds <= times[-1]:
            return None
        return float(np.interp(seconds, times, xs)), float(np.interp(seconds, times, ys))

    return where


def scene(
    actors: Sequence[Actor], seconds: float, *, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Picture:
    """The picture at a time: the actors before a background of soft colours, the later ones in front."""
    image = Image.fromarray(background(seed, size=size))
    for actor in actors:
        centre = actor.where(seconds)
        if centre is not None:
            _paste(image, actor, centre)
    return np.asarray(image)


def write_clip(
    path: Path,
    actors: Sequence[Actor],
    *,
    times: Sequence[float] | None = None,
    duration: float = 2.0,
    cuts: Sequence[float] = (),
    size: tuple[int, int] = (WIDTH, HEIGHT),
    rotation: int = 0,
    sound: bool = False,
) -> Clip:
    """Write an H.264 video, and say what it shows.

    times: of the frames, from 0, for a variable frame rate; None: 25 a second for `duration` seconds.
    cuts: the seconds from which on the background is another one; actors come and go by their own `where`.
    rotation: degrees counter-clockwise, 90, 180 or 270, by which a player must turn what is stored: the file holds
    the picture turned the other way, and the truth is of the upright one. sound: a tone of 440 Hz, as AAC.
    """
    times = [frame / RATE for frame in range(round(duration * RATE))] if times is None else list(times)
    pictures = [scene(actors, t, seed=sum(t >= cut for cut in cuts), size=size) for t in times]
    boxes = [
        {number: box for number, actor in enumerate(actors) if (box := box_at(actor, t)) is not None} for t in times
    ]
    write_video(path, pictures, times, rotation=rotation, sound=sound)
    return Clip(path, times, boxes, pictures)


def write_video(
    path: Path, pictures: Sequence[Picture], times: Sequence[float], *, rotation: int = 0, sound: bool = False
) -> None:
    """Write pictures (H, W, 3) with even sides, shown at the given seconds, as H.264."""
    stored = [np.rot90(picture, -rotation // 90) for picture in pictures]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "ultrafast"})
        stream.height, stream.width = stored[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, _CLOCK)
        if rotation:
            stream.set_display_rotation(rotation)
        tone = file.add_stream("aac", rate=_TONES, layout="mono") if sound else None
        for picture, seconds in zip(stored, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts, frame.time_base = round(seconds * _CLOCK), Fraction(1, _CLOCK)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if tone is not None:
            _sing(file, tone, times[-1])


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


def read_all(path: Path, **options: Any) -> tuple[list[Frame], str]:
    """All frames, and what the error after them says."""
    frames = []
    try:
        for frame in read_video(str(path), selection=FrameSelection(**options)):
            frames.append(frame)  # noqa: PERF402  # those before the error count
    except DataError as error:
        return frames, str(error)
    return frames, ""


def fast_start(source: Path, target: Path) -> bytes:
    """The same video with its index at its front, so that it can be cut short."""
    with av.open(str(source)) as old, av.open(str(target), "w", options={"movflags": "+faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return target.read_bytes()


def box_at(actor: Actor, seconds: float) -> NDArray[np.float64] | None:
    """(4,) left, top, right, bottom of an actor's face at a time, or None."""
    centre = actor.where(seconds)
    if centre is None:
        return None
    half = (_FACE[2:] - _FACE[:2]) * actor.scale / 2
    return np.concatenate([centre - half, centre + half])


@cache
def background(seed: int, *, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Picture:
    """Soft patches of colour, other ones for another seed."""
    rng = np.random.default_rng(seed)
    patches = Image.fromarray((rng.uniform(0, 150, 3) + rng.uniform(0, 105, (4, 5, 3))).astype(np.uint8))
    return np.asarray(patches.resize(size, Image.Resampling.BICUBIC))


@cache
def _head(look: int, scale: float) -> Image.Image:
    """A variant of the head in an oval with soft edges: as it is, mirrored, paler, or darker and mirrored."""
    left, top, right, bottom = _HEAD
    head = skimage.data.astronaut()[top:bottom, left:right].astype(float)
    gain, lift = [(1.0, 0), (1.0, 0), (0.7, 75), (0.6, 0)][look]
    head = (head * gain + lift).clip(0, 255)
    rows, columns = np.indices(head.shape[:2])
    middle = (_FACE[:2] + _FACE[2:]) / 2
    reach = np.hypot((columns - middle[0]) / _OVAL[0], (rows - middle[1] + _OVAL[2]) / _OVAL[1])
    solid = ((1 - reach) * 8).clip(0, 1) * 255
    image = Image.fromarray(np.dstack([head, solid]).astype(np.uint8))
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if look % 2 else image
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def _paste(image: Image.Image, actor: Actor, centre: tuple[float, float]) -> None:
    """Put a head where its face belongs, to a fraction of a pixel."""
    scale = actor.scale
    head = _head(actor.look, scale)
    middle = (_FACE[:2] + _FACE[2:]) / 2 * scale
    if actor.look % 2:
        middle[0] = head.width - middle[0]
    whole = np.floor(np.array(centre) - middle)
    left, top = np.array(centre) - middle - whole
    moved = head.transform(
        (head.width + 1, head.height + 1), Image.Transform.AFFINE, (1, 0, -left, 0, 1, -top), Image.Resampling.BICUBIC
    )
    image.paste(moved, (int(whole[0]), int(whole[1])), moved)


def _sing(file: av.container.OutputContainer, tone: av.AudioStream, seconds: float) -> None:
    """Write a tone of 440 Hz as the sound."""
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * _TONES)) / _TONES)
    for start in range(0, len(wave), 1024):
        part = wave[None, start : start + 1024].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = _TONES, start
        file.mux(tone.encode(frame))
    file.mux(tone.encode(None))
