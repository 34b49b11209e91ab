"""Measure how long an explanation takes, how much its maps mean, and how alike two seeds are.

    OMP_NUM_THREADS=1 python benchmarks/explain.py faces.npz --model swift-nano --count 40

Explains faces of the valid split by each method, and prints means: insertion minus deletion for the map, a centred
blob and random maps, how often the map is clearly better than both, the correlation of the maps of two seeds, and the
processor seconds a face on one thread, which other programs on the machine do not change much. `--model` may be the
folder of a run, which is explained by Grad-CAM, too.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import mien
from mien.evaluation.saliency import Method, explain
from mien.train import NetClassifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces")
    parser.add_argument("--model", default="swift-nano")
    parser.add_argument("--count", type=int, default=40)
    arguments = parser.parse_args()
    is_run = Path(arguments.model).is_dir()
    model = NetClassifier.load(arguments.model, threads=1) if is_run else mien.load(arguments.model, threads=1)
    methods: tuple[Method, ...] = ("rise", "occlusion", "grad-cam") if is_run else ("rise", "occlusion")
    faces = mien.load_faces(arguments.faces)
    valid = np.flatnonzero(faces.splits == "valid")
    images = faces.images[np.random.default_rng(0).choice(valid, arguments.count, replace=False)]
    for method in methods:
        start = time.process_time()
        found = [explain(model, image, method=method) for image in images]
        seconds = (time.process_time() - start) / len(images)
        gains = [(each.faithfulness.gain, each.of_blob.gain, each.of_random.gain) for each in found]
        own, blob, random = np.mean(gains, axis=0)
        again = [explain(model, image, method=method, seed=1).map for image in images[:5]]
        alike = np.mean([np.corrcoef(a.map.ravel(), b.ravel())[0, 1] for a, b in zip(found[:5], again, strict=True)])
        print(
            f"{method}: map {own:.3f}, blob {blob:.3f}, random {random:.3f};"
            f" clearly better than both {np.mean([each.is_meaningful for each in found]):.0%};"
            f" two seeds correlate by {alike:.2f}; {seconds:.2f} s a face"
        )


if __name__ == "__main__":
    main()
