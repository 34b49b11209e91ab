"""How many of 200 small faces in one huge picture are found, how often something else is, and what it costs.

    OMP_NUM_THREADS=1 python benchmarks/crowd.py [--size 5000x3333] [--widths 24,30,40] [--faces 200]

The heads are of scikit-image's astronaut, lighter and darker, at random places in the cells of a grid, on a picture of
hers; a face is as wide as its box. For each width are printed: found of all, boxes that are on no face, processor
seconds, their ratio to those of a search without tiles, and what that finds.
"""

import argparse
import math
import os
import time

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from mien.detect.boxes import box_iou
from mien.detect.views import SMALLEST
from mien.detect.yunet import YuNet

HEAD, FACE = (130, 20, 320, 210), np.array([178.0, 63, 267, 175])  # in the astronaut's picture
MOST = YuNet.max_side or 2048  # pixels that the first search sees
FOUND = 0.4  # intersection over union from which on a face counts as found


def crowd(width: int, height: int, face: int, count: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A picture with `count` heads, each face so many pixels wide, and the faces' boxes (count, 4)."""
    rng = np.random.default_rng(face)
    scene = Image.fromarray(skimage.data.coffee()).resize((width, height))
    scale = face / (FACE[2] - FACE[0])
    side = round((HEAD[2] - HEAD[0]) * scale)
    head = Image.fromarray(skimage.data.astronaut()).crop(HEAD).resize((side, side), Image.Resampling.BICUBIC)
    columns = math.ceil(math.sqrt(count * width / height))
    rows = math.ceil(count / columns)
    room = width // columns - side, height // rows - side
    if min(room) < 0:
        raise SystemExit(f"{count} faces of {face} pixels do not fit into {width}x{height}")
    boxes = []
    for number in range(count):
        row, column = divmod(number, columns)
        left = column * width // columns + int(rng.integers(room[0] + 1))
        top = row * height // rows + int(rng.integers(room[1] + 1))
        gain = float(rng.uniform(0.6, 1.3))
        scene.paste(head.point(lambda value, gain=gain: int(min(255, value * gain))), (left, top))
        boxes.append((FACE - np.tile(HEAD[:2], 2)) * scale + np.tile((left, top), 2))
    return np.asarray(scene), np.array(boxes, np.float32)


def main() -> None:
    """Print a line for each width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="5000x3333")
    parser.add_argument("--widths", default="24,30,40", help="of the faces, in pixels")
    parser.add_argument("--faces", type=int, default=200)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} processors")
    for face in map(int, options.widths.split(",")):
        picture, boxes = crowd(width, height, face, options.faces)
        started = time.process_time()
        found = YuNet()(picture).boxes
        seconds = time.process_time() - started
        started = time.process_time()
        few = YuNet(min_face=SMALLEST * math.ceil(max(width, height) / MOST))(picture).boxes
        plain = time.process_time() - started
        hits, without = (sum(box_iou(box, some).max(initial=0) >= FOUND for box in boxes) for some in (found, few))
        false = sum(box_iou(box, boxes).max() < FOUND for box in found)
        print(
            f"{options.size}, faces of {face} pixels: {hits}/{options.faces} found, {false} boxes on none, "
            f"{seconds:.1f} s, {seconds / plain:.1f} times that without tiles, which finds {without}",
            flush=True,
        )


if __name__ == "__main__":
    main()
