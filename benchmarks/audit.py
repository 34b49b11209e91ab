"""Measure the search for near-identical pictures, draw what it finds, and say how good the detector is as a judge.

    python benchmarks/audit.py faces.npz [--draw DIR] [--nonface]

Prints seconds and the peak of memory of the whole audit (set OMP_NUM_THREADS for the threads). --draw writes two
sheets of pairs to look at: 100 drawn at random from all, 100 from those that just pass. --nonface compares the face
detector with the FER+ votes, on the faces that were voted on; it takes some minutes.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from PIL import Image

import mien
from mien.data.audit.duplicates import NEAR, near_pairs
from mien.data.audit.nonfaces import face_confidence
from mien.data.contact_sheet import contact_sheet
from mien.detect.yunet import YuNet
from mien.labels import VOTES
from mien.types import FaceSet


def measure(faces: FaceSet) -> None:
    """How long the audit takes, and how much memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    started = time.perf_counter()
    pairs, correlation = near_pairs(faces.images)
    print(f"near-identical pairs: {len(pairs):,} of {len(faces):,} faces in {time.perf_counter() - started:.1f} s")
    counts, edges = np.histogram(correlation, np.linspace(NEAR, 1, 7))
    print(", ".join(f"{low:.2f}-{high:.2f}: {n}" for n, low, high in zip(counts, edges, edges[1:], strict=False)))
    started = time.perf_counter()
    found = mien.audit(faces)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"whole audit: {time.perf_counter() - started:.1f} s; memory {before:.0f} MB before, {peak:.0f} MB at most")
    print({name: value for name, value in found.summary.items() if isinstance(value, int)})


def draw(faces: FaceSet, folder: Path) -> None:
    """Sheets of pairs, side by side, twice the size."""
    pairs, correlation = near_pairs(faces.images)
    rng = np.random.default_rng(7)
    for name, rows in (("random", np.arange(len(pairs))), ("lowest", np.flatnonzero(correlation < NEAR + 0.03))):
        chosen = rng.choice(rows, min(100, len(rows)), replace=False)
        sheet = Image.fromarray(contact_sheet(faces[pairs[chosen].ravel()]))
        sheet.resize((2 * sheet.width, 2 * sheet.height)).save(folder / f"{name}.png")
        print(f"{folder / name}.png: {len(chosen)} of {len(rows)} pairs")


def judge(faces: FaceSet) -> None:
    """Precision and recall of the detector, as a judge of what is no face, against unanimous votes."""
    voted = faces[faces.votes.sum(axis=1) > 0] if faces.votes is not None else faces[:0]
    wanted = voted.votes[:, VOTES.index("nonface")] == voted.votes.sum(axis=1)
    detector = YuNet(threshold=0.01)
    confidence = np.array([face_confidence(image, detector) for image in voted.images])
    for limit in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        found = confidence < limit
        right = int((found & wanted).sum())
        print(
            f"confidence below {limit:.2f}: {found.sum()} found, precision {right / max(1, found.sum()):.3f},"
            f" recall {right / wanted.sum():.3f} of {wanted.sum()}"
        )


def main() -> None:
    """Measure, draw, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--draw", type=Path)
    parser.add_argument("--nonface", action="store_true")
    options = parser.parse_args()
    faces = mien.load_faces(options.faces)
    measure(faces)
    if options.draw:
        draw(faces, options.draw)
    if options.nonface:
        judge(faces)


if __name__ == "__main__":
    main()
