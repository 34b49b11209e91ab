"""How fast videos are read, what takes the time, whether memory stays flat, and what skipping the search costs.

    python benchmarks/video.py [--seconds 10] [--sizes 480p,720p,1080p] [--people 1,3] [--long 10] [--faces faces.npz]

The videos are made here: heads of scikit-image's astronaut moving over one of its pictures, as H.264. For each size and
number of people: frames a second, processor time per frame and each stage's share of it, and the memory in use after
the first 50 frames and at the end. Then, on the same videos, what searching for faces on fewer frames changes.
`--long MINUTES` reads a video of that length, all frames or one each `--every` seconds, into a table, a timeline and a
summary, and prints the memory on the way. `--faces`, a file that
`mien data import` wrote, pastes validation faces, four times as large and moving, each into a video of its own, and
compares the share of frames whose expression is right with that of the crops themselves.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from mien import Predictor, load, load_faces
from mien.detect.boxes import box_iou
from mien.detect.yunet import YuNet
from mien.io.row_writers import RowSchema, row_writer
from mien.io.video_reader import read_video
from mien.track.video_detector import STRIDE
from mien.types import Prediction
from mien.visualize.summary import Summary
from mien.visualize.timeline import Timeline

SIZES = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080)}  # pixels
RATE = 30  # frames a second
HEAD = (130, 20, 320, 210)  # in the astronaut's picture: left, top, right, bottom
SHOWN = 20  # frames: how long each of the pasted faces is seen
Picture = NDArray[np.uint8]


class Timed:
    """A function, with the processor time that its thread spent in it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0
        self.calls = 0

    def __call__(self, given: NDArray[np.uint8]) -> Any:
        """Call the function, and count its seconds."""
        before = time.thread_time()
        result = self._function(given)
        self.seconds += time.thread_time() - before
        self.calls += 1
        return result


def write_video(path: Path, frames: Iterator[Picture]) -> None:
    """Write frames (H, W, 3) as H.264, as a camera would."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "21"})
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(frames):
            if not number:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def film(width: int, height: int, *, people: int, seconds: float) -> Iterator[Picture]:
    """Heads, a quarter of the height, going about on ellipses; with a little noise, as cameras have."""
    rng = np.random.default_rng(0)
    ground = np.asarray(Image.fromarray(skimage.data.coffee()).resize((width, height)))
    side = height // 2
    head = np.asarray(Image.fromarray(skimage.data.astronaut()).crop(HEAD).resize((side, side)))
    noise = rng.integers(0, 6, ground.shape, dtype=np.uint8)
    for number in range(round(seconds * RATE)):
        picture = np.minimum(ground, 249) + np.roll(noise, int(rng.integers(height)), axis=0)
        for person in range(people):
            turn = number / RATE * (0.6 + 0.2 * person)
            room = (width / people - side, height - side)
            left = round(width / people * person + max(room[0], 0) * (0.5 + 0.5 * np.sin(turn)))
            top = round(room[1] * (0.5 + 0.5 * np.cos(turn * 1.3)))
            left = min(left, width - side)
            picture[top : top + side, left : left + side] = head
        yield picture


def memory() -> float:
    """MB that this process has in use (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(path: Path) -> str:
    """Frames a second, shares of processor time, memory at the start and the end, as text."""
    detector, classifier = Timed(YuNet()), Timed(load("swift", threads=1))
    predictor = Predictor(classifier, detector=detector)
    wall, processor, frames, start, faces = time.perf_counter(), time.process_time(), 0, 0.0, 0
    for frames, prediction in enumerate(predictor.stream(path), 1):
        faces += len(prediction.faces)
        if frames == 50:
            start = memory()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    before = time.process_time()
    read = sum(1 for _ in read_video(str(path)))
    reading = (time.process_time() - before) / read * frames
    rest = processor - reading - detector.seconds - classifier.seconds
    parts = {"read": reading, "find": detector.seconds, "classify": classifier.seconds, "rest": rest}
    shares = "  ".join(f"{name} {seconds / processor:4.0%}" for name, seconds in parts.items())
    pace = f"{frames / wall:5.1f} frames/s, {frames / wall / RATE:4.2f} times as fast as shown"
    return (
        f"{pace}  {faces / frames:.1f} faces  {processor / frames * 1000:5.1f} ms  {shares}  "
        f"searched {detector.calls / frames:4.0%}  {start:4.0f} -> {memory():4.0f} MB"
    )


def repeated(path: Path, target: Path, *, times: int) -> None:
    """Write a video that shows another so many times, without encoding it again."""
    with av.open(str(path)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(old.streams.video[0]) if packet.dts is not None]
        kept = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
        unit, length = old.streams.video[0].time_base, old.streams.video[0].duration
        for time_around in range(times):
            for content, pts, dts, key in kept:
                packet = av.Packet(content)
                packet.pts, packet.dts, packet.time_base = pts + time_around * length, dts + time_around * length, unit
                packet.is_keyframe, packet.stream = key, stream
                new.mux(packet)


def long_run(path: Path, folder: Path, *, every: float | None) -> str:
    """The memory in use on the way through a long video, with everything that is kept of it, as text."""
    timeline, summary, memories = Timeline(), Summary(), [0.0]
    wall, count = time.perf_counter(), 0
    with row_writer(folder / "rows.csv", RowSchema.of_predictions(video=True)) as write:
        for frame, prediction in Predictor().stream_with_frames(path, every=every):
            count += 1
            write(prediction.rows())
            timeline.add(prediction, frame.picture)
            summary.add(prediction)
            if frame.seconds >= 60 * len(memories):
                memories.append(memory())
    wall = time.perf_counter() - wall
    minutes = sorted({1, *np.linspace(1, len(memories) - 1, 5).astype(int).tolist()})
    told = ", ".join(f"{memories[minute]:.0f} after {minute} min" for minute in minutes)
    return f"{count:,} frames in {wall:.0f} s; MB in use: {told}, {memory():.0f} at the end"


def skipping(path: Path) -> str:
    """What differs between searching for faces on each frame and on as few as is the rule, as text."""
    raw = {"classifier": load("swift", threads=1), "smooth": 0.0}
    each, few = (list(Predictor(**raw, stride=stride).stream(path)) for stride in (1, STRIDE))
    pairs = [pair for one, other in zip(each, few, strict=True) for pair in matched(one, other)]
    missed = sum(len(one.faces) for one in each) - len(pairs)
    nearness, change, same = (np.array(column) for column in zip(*pairs, strict=True))
    return (
        f"overlap of boxes {nearness.mean():.3f}, 5% under {np.quantile(nearness, 0.05):.3f}; probabilities differ by "
        f"{change.mean():.3f}; same expression {same.mean():.1%} of {len(pairs):,}; {missed:,} faces not there"
    )


def matched(one: Prediction, other: Prediction) -> Iterator[tuple[float, float, bool]]:
    """For each face of one that is also in the other: overlap, largest difference of probabilities, same expression."""
    for face, box in enumerate(one.faces.boxes):
        shares = box_iou(box, other.faces.boxes)
        if len(shares) and shares.max() > 0.4:
            near = int(shares.argmax())
            change = float(np.abs(one.scores.probs[face] - other.scores.probs[near]).max())
            yield float(shares[near]), change, bool(one.scores.top[face] == other.scores.top[near])


def pasted(face: Picture, rng: np.random.Generator, *, width: int = 640, height: int = 480) -> Iterator[Picture]:
    """A face, four times as large, moving along."""
    ground = np.asarray(Image.fromarray(skimage.data.brick()).convert("RGB").resize((width, height)))
    side = 4 * len(face)
    large = np.asarray(Image.fromarray(face).convert("RGB").resize((side, side), Image.Resampling.BICUBIC))
    place, pace = rng.uniform(100, [width - side - 100, height - side - 100]), rng.uniform(-4, 4, 2)
    for frame in range(SHOWN):
        left, top = (place + pace * frame).astype(int)
        picture = ground.copy()
        picture[top : top + side, left : left + side] = large
        yield picture


def accuracy(path: Path, folder: Path, *, count: int) -> str:
    """How often the expression is right, of crops and of frames of videos that show them, as text."""
    faces = load_faces(path)
    faces = faces[faces.splits == "valid"]
    rng = np.random.default_rng(0)
    faces = faces[np.sort(rng.permutation(len(faces))[:count])]
    swift = load("swift", threads=1)
    paths = {str(folder / f"face{row}.mp4"): row for row in range(len(faces))}
    for name, row in paths.items():
        write_video(Path(name), pasted(faces.images[row], rng))
    of_crops = swift(faces.images).top == faces.labels
    lines = []
    for name, predictor in (("raw", Predictor(swift, smooth=0)), ("smoothed", Predictor(swift))):
        seen = [(paths[each.source], each.scores.top[0]) for each in predictor.stream(path) if len(each.faces)]
        rows, tops = np.array(seen).T
        right, same = (tops == faces.labels[rows]).mean(), of_crops[rows].mean()
        lines.append(
            f"{name}: right on {right:.1%} of {len(rows):,} frames with a face; the crops of the same faces {same:.1%} "
            f"({right - same:+.1%}); a face was found on {len(rows) / len(faces) / SHOWN:.1%}"
        )
    return "\n".join(lines)


def main() -> None:
    """Print all that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--sizes", default="480p,720p,1080p")
    parser.add_argument("--people", default="1,3")
    parser.add_argument("--long", type=int, default=0, metavar="MINUTES")
    parser.add_argument("--every", type=float, help="seconds: of the long video")
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--count", type=int, default=400, help="faces to paste")
    options = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with TemporaryDirectory() as name:
        folder = Path(name)
        for size in filter(None, options.sizes.split(",")):
            for people in map(int, options.people.split(",")):
                path = folder / f"{size}-{people}.mp4"
                write_video(path, film(*SIZES[size], people=people, seconds=options.seconds))
                print(f"{size:>5}, {people}: {measure(path)}", flush=True)
                print(f"          {skipping(path)}", flush=True)
        if options.long:
            write_video(folder / "short.mp4", film(426, 240, people=2, seconds=20))
            repeated(folder / "short.mp4", folder / "long.mp4", times=options.long * 3)
            print(
                f"{options.long} min of 240p: {long_run(folder / 'long.mp4', folder, every=options.every)}", flush=True
            )
        if options.faces:
            print(accuracy(options.faces, folder, count=options.count))


if __name__ == "__main__":
    main()
