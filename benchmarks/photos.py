"""How fast a folder of photos is read, against another checkout of mien, and whether the rows are the same.

    python benchmarks/photos.py [--photos 1000] [--size 1280x720] [--against OTHER/CHECKOUT] [--rounds 3]

The photos are made here: one to three heads of scikit-image's astronaut on its pictures, lighter and darker, as JPEG.
Each side is a process of its own that reads them all through `Predictor.stream`; they take turns, so that what else the
machine does meets them alike, and the best of the rounds counts. Without `--against`, the other side is this checkout
with one thread. Printed are milliseconds a photo, by the clock and of processor time, their ratios, and how far rows
differ: faces that only one side found, the overlap of boxes, and probabilities.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from mien.detect.boxes import box_iou

HERE = Path(__file__).parents[1]
HEAD = (100, 0, 360, 260)  # in the astronaut's picture: left, top, right, bottom
GROUNDS = ("coffee", "rocket", "brick", "grass", "chelsea")
SERVER = """
import json, sys, time
import mien
settings, folder = json.loads(sys.argv[1]), sys.argv[2]
predictor = mien.Predictor(**settings)
for _ in sys.stdin:
    wall, processor = time.perf_counter(), time.process_time()
    rows = [row for prediction in predictor.stream(folder) for row in prediction.rows()]
    took = time.perf_counter() - wall, time.process_time() - processor
    faces = [(row["source"], [row[side] for side in ("left", "top", "right", "bottom")],
              [row[name] for name in predictor.class_names]) for row in rows if row.get("face") is not None]
    print(json.dumps({"took": took, "faces": faces}), flush=True)
"""


def make_photos(folder: Path, *, count: int, width: int, height: int) -> None:
    """Write photos with one, two or three faces of about a tenth to a sixth of their height and more."""
    rng = np.random.default_rng(0)
    astronaut = Image.fromarray(skimage.data.astronaut()).crop(HEAD)
    grounds = [Image.fromarray(getattr(skimage.data, name)()).convert("RGB") for name in GROUNDS]
    for number in range(count):
        photo = grounds[number % len(grounds)].resize((width, height))
        people = 1 + number % 3
        for person in range(people):
            side = int(rng.integers(height // 6, height // 1.7))
            room = max(1, width // people - side), height - side
            place = width * person // people + int(rng.integers(room[0])), int(rng.integers(room[1]))
            photo.paste(astronaut.resize((side, side)), place)
        noise = rng.integers(-4, 5, (height, width, 1), dtype=np.int16)
        pixels = ((np.asarray(photo) + noise) * rng.uniform(0.6, 1.2)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=88)


class Side:
    """A process that reads the folder with one checkout of mien, again and again."""

    def __init__(self, checkout: Path, settings: dict[str, Any], folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
        command = [sys.executable, "-c", SERVER, json.dumps(settings), str(folder)]
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.best = np.full(2, np.inf)
        self.faces: list[Any] = []

    def read(self) -> None:
        """Read the folder once; keep the best times."""
        if self._server.stdin is None or self._server.stdout is None:
            raise SystemExit("the process has no pipes")
        self._server.stdin.write("\n")
        self._server.stdin.flush()
        said = json.loads(self._server.stdout.readline())
        self.best, self.faces = np.minimum(self.best, said["took"]), said["faces"]

    def end(self) -> None:
        """End the process."""
        self._server.communicate()


def differences(one: list[Any], other: list[Any]) -> str:
    """Say how far the faces of one side differ from those of another."""
    by_photo: dict[str, list[Any]] = {}
    for source, box, probs in other:
        by_photo.setdefault(source, []).append((np.array(box, np.float32), np.array(probs)))
    overlaps, changes, same = [], [], 0
    for source, box, probs in one:
        near = by_photo.get(source, [])
        shares = box_iou(np.array(box, np.float32), np.array([each[0] for each in near])) if near else np.zeros(1)
        if shares.max() > 0.4:
            overlaps.append(float(shares.max()))
            found = near[int(shares.argmax())][1]
            changes.append(float(np.abs(found - probs).max()))
            same += int(found.argmax() == int(np.argmax(probs)))
    alone = len(one) + len(other) - 2 * len(overlaps)
    return (
        f"{len(one):,} faces, {alone} on one side only; overlap of boxes {np.mean(overlaps):.4f}, at least "
        f"{min(overlaps):.4f}; probabilities differ by {max(changes):.5f} at the most; same expression {same:,}"
    )


def main() -> None:
    """Print all that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--against", type=Path, help="another checkout of mien")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(folder, count=options.photos, width=width, height=height)
        settings: dict[str, Any] = {} if options.against else {"threads": 1}
        sides = {
            str(options.against or "one thread"): Side(options.against or HERE, settings, folder),
            "this": Side(HERE, {}, folder),
        }
        for _ in range(options.rounds):
            for side in sides.values():
                side.read()
        for side in sides.values():
            side.end()
    load = f"load of the machine {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} processors"
    print(f"{options.photos:,} photos of {options.size}, best of {options.rounds}; {load}")
    for label, side in sides.items():
        wall, processor = 1000 * side.best / options.photos
        print(f"{label:>20}: {wall:6.2f} ms a photo, {processor:6.2f} ms of processor time")
    before, now = sides.values()
    clock, processor = before.best / now.best
    print(f"{'ratio':>20}: {clock:6.2f} times as fast by the clock, {processor:.2f} times by processor time")
    print(differences(before.faces, now.faces))


if __name__ == "__main__":
    main()
