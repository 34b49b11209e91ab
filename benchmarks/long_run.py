"""Whether memory, threads and open files stay flat over very many pictures and hours of video.

    python benchmarks/long_run.py [--pictures 100000] [--minutes 60]

The pictures are some photos made here with one to three faces, each read from its file again and again; the video is
one of 20 seconds, its packets repeated, of the length that is asked for. Both go through `Predictor.stream`, and each
prediction is made into rows, as the command line does. At eleven marks are printed: pictures done, pace, MB in use,
threads, open files. The last line of each is the ratio of the memory at the end to that at the first mark.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from photos import make_photos
from video import RATE, film, memory, repeated, write_video

from mien import Prediction, Predictor

MARKS = 10  # after the first, which comes after a hundredth
PHOTOS, SIZE = 60, (320, 180)


def status() -> tuple[float, int, int]:
    """Return MB in use, threads and open files of this process (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    threads = next(int(line.split()[1]) for line in lines if line.startswith("Threads:"))
    return memory(), threads, len(list(Path("/proc/self/fd").iterdir()))


def watch(predictions: Iterator[Prediction], *, expected: int) -> None:
    """Take all predictions, and print what is in use at the marks."""
    marks = [max(1, expected // 100), *(expected * mark // MARKS for mark in range(1, MARKS + 1))]
    first = now = status()
    started, rows = time.perf_counter(), 0
    print(f"{'done':>10}{'a second':>10}{'rows':>10}{'MB':>8}{'threads':>9}{'files':>7}")
    for done, prediction in enumerate(predictions, 1):
        rows += len(list(prediction.rows()))
        if done not in marks:
            continue
        now = status()
        first = now if done == marks[0] else first
        pace = done / (time.perf_counter() - started)
        print(f"{done:10,}{pace:10.1f}{rows:10,}{now[0]:8.0f}{now[1]:9}{now[2]:7}", flush=True)
    after = status()
    print(
        f"memory {now[0] / first[0]:.3f} times that at the first mark; after the end {after[1]} threads, "
        f"{after[2]} open files\n"
    )


def read_pictures(folder: Path, *, count: int) -> None:
    """Read some photos again and again."""
    make_photos(folder, count=PHOTOS, width=SIZE[0], height=SIZE[1])
    paths = itertools.islice(itertools.cycle(sorted(folder.glob("*.jpg"))), count)
    watch(Predictor().stream(paths), expected=count)


def read_video(folder: Path, *, minutes: float) -> None:
    """Read a video of so many minutes."""
    write_video(folder / "short.mp4", film(426, 240, people=2, seconds=20))
    times = max(1, round(minutes * 3))
    repeated(folder / "short.mp4", folder / "long.mp4", times=times)
    watch(Predictor().stream(folder / "long.mp4"), expected=times * 20 * RATE)


def main() -> None:
    """Print all that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    jobs: dict[str, Callable[[Path], None]] = {
        f"{options.pictures:,} pictures of {SIZE[0]}x{SIZE[1]}": lambda at: read_pictures(at, count=options.pictures),
        f"{options.minutes:g} minutes of 426x240, {RATE} frames a second": lambda at: read_video(
            at, minutes=options.minutes
        ),
    }
    for name, job in jobs.items():
        print(name, file=sys.stdout, flush=True)
        with TemporaryDirectory() as folder:
            job(Path(folder))


if __name__ == "__main__":
    main()
