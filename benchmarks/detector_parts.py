"""How much faster the detector's network is in two parts and bands than whole, and whether it finds the same.

    OMP_NUM_THREADS=1 python benchmarks/detector_parts.py [--sizes 640x480,1280x720] [--rounds 20] [--threads 2]

The pictures are heads of scikit-image's astronaut on noise. Both ways take turns on the same picture, in as many
threads at once as are asked for, since threads share a cache. Printed are the processor milliseconds of each, the best
of the rounds, their ratio, and how far scores and boxes differ.
"""

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from mien.classify.session import CPU, make_session, run_session
from mien.detect.network import run_network

Picture = NDArray[np.uint8]
LEAST = 0.5  # the score from which on something is found
WHOLE = make_session(files("mien").joinpath("assets", "yunet.onnx").read_bytes(), threads=1, varying_shapes=True)


def scene(width: int, height: int) -> Picture:
    """A picture with thirty heads, 40 to 300 pixels wide."""
    rng = np.random.default_rng(0)
    picture = rng.integers(90, 150, (height, width, 3), dtype=np.uint8)
    head = Image.fromarray(skimage.data.astronaut()).crop((130, 20, 320, 210))
    for side in rng.integers(40, min(300, height), 30).tolist():
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        picture[top : top + side, left : left + side] = np.asarray(head.resize((side, side)))
    return picture


def whole(view: Picture) -> list[NDArray[np.float32]]:
    """Scores, boxes and landmarks from the whole network at once."""
    beyond = [(0, -side % 32) for side in view.shape[:2]]
    scores, *others = run_session(WHOLE, "pictures", np.pad(view, (*beyond, (0, 0)))[None])
    return [each[0][scores[0] >= LEAST] for each in (scores, *others)]


def parts(view: Picture) -> list[NDArray[np.float32]]:
    """The same from its parts."""
    return list(run_network(view[None], least=LEAST, threads=1, providers=CPU)[0])


def milliseconds(view: Picture, rounds: int) -> list[float]:
    """The best processor time of this thread for each way, in turns."""
    ways: tuple[Callable[[Picture], object], ...] = (whole, parts)
    best = [np.inf, np.inf]
    for _ in range(rounds):
        for number, way in enumerate(ways):
            started = time.thread_time()
            way(view)
            best[number] = min(best[number], 1000 * (time.thread_time() - started))
    return best


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="640x480,1280x720,1920x1080")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2, help="pictures that are searched at a time")
    options = parser.parse_args()
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} processors")
    for size in options.sizes.split(","):
        view = scene(*map(int, size.split("x")))
        with ThreadPoolExecutor(options.threads) as pool:
            times = pool.map(milliseconds, [view] * options.threads, [options.rounds] * options.threads)
            before, now = np.mean(list(times), axis=0)
        one, other = whole(view), parts(view)
        same = len(one[0]) == len(other[0])
        apart = [np.abs(a - b).max() for a, b in zip(one[:2], other[:2], strict=True)] if same else [np.inf] * 2
        found = f"{len(one[0])} cells, {'as many' if same else len(other[0])} in parts"
        differ = f"scores differ by {apart[0]:.1e}, boxes by {apart[1]:.1e} pixels"
        print(
            f"{size:>10}: whole {before:6.2f} ms, in parts {now:6.2f} ms, ratio {now / before:.2f}; {found}; {differ}"
        )


if __name__ == "__main__":
    main()
