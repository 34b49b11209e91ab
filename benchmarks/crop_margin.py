"""How to crop a detected face so that it looks like FER2013's: which margin, and does turning it upright help?

Pastes faces of the validation split, scaled 2 to 4 times and turned, into scenes without faces; finds them again with
the detector that ships; crops them with several margins, turned upright or not; and compares what comes out with the
face that was pasted: by correlation of the pixels and, with --model, by the accuracy of a model.

    python benchmarks/crop_margin.py --faces f.npz --model swift --count 1000
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.infer.detector import YuNet
from mien.pixels import crop_face, tilt

SCENES = ("coffee", "rocket", "brick", "grass", "gravel", "chelsea")
SIZE = (640, 480)  # pixels: of a scene
TURNS = (0.0, 10.0, 20.0, 35.0)  # degrees clockwise or counter-clockwise
MARGINS = (-0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
UPRIGHT: dict[str, Callable[[float], float]] = {
    "as found": lambda _: 0.0,
    "upright": lambda degrees: degrees,
    "upright from 5 degrees": lambda degrees: degrees if abs(degrees) >= 5 else 0.0,
}


@dataclass(frozen=True)
class Found:
    """A pasted face that was found again. row: in the set of faces; degrees: how far its eyes' line is turned."""

    row: int
    scene: NDArray[np.uint8]
    box: NDArray[np.float32]
    degrees: float


def pasted(
    face: NDArray[np.uint8], degrees: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A scene (480, 640, 3) with a face in it, and where its middle is: x, y in pixels."""
    scene = Image.fromarray(getattr(skimage.data, rng.choice(SCENES))()).convert("RGB").resize(SIZE)
    side = round(48 * rng.uniform(2, 4))
    tile = Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)
    turned = tile.rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
    mask = Image.new("L", (side, side), 255).rotate(-degrees, expand=True)
    corner = [int(rng.integers(0, whole - part)) for whole, part in zip(SIZE, turned.size, strict=True)]
    scene.paste(turned.convert("RGB"), tuple(corner), mask)
    return np.asarray(scene), np.array(corner) + np.array(turned.size) / 2


def find(faces: mien.FaceSet, turn: float, detector: mien.Detector, rng: np.random.Generator) -> Iterator[Found]:
    """The faces that the detector finds where they were pasted."""
    for row in range(len(faces)):
        scene, middle = pasted(faces.images[row], turn * rng.choice((-1, 1)), rng)
        seen = detector(scene)
        inside = ((seen.boxes[:, :2] < middle) & (middle < seen.boxes[:, 2:])).all(axis=1)
        if inside.any() and seen.landmarks is not None:
            best = int(np.argmax(seen.confidence * inside))
            yield Found(row, scene, seen.boxes[best], tilt(seen.landmarks[best]))


def correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """The mean correlation of N pairs of pictures (N, 48, 48)."""
    one, other = (faces.reshape(len(faces), -1) - faces.mean(axis=(1, 2))[:, None] for faces in (first, second))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / norms).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, help="a file of faces, as `mien data import` writes it")
    parser.add_argument("--model", help="a model's name or file")
    parser.add_argument("--count", type=int, default=1000, help="how many faces to paste, for each turn")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    faces = mien.load_faces(options.faces)
    valid = np.flatnonzero((faces.splits == "valid") & (faces.images.std(axis=(1, 2)) > 0))
    faces = faces[rng.choice(valid, min(options.count, len(valid)), replace=False)]
    model = mien.load(options.model) if options.model else None
    for turn in TURNS:
        found = list(find(faces, turn, YuNet(threads=1), rng))
        own = faces[[face.row for face in found]]
        print(f"\nturned by {turn:g} degrees: {len(found)} of {len(faces)} found", end="")
        if model is not None:
            print(
                f"; accuracy of the pasted faces themselves {np.mean(model(own.images).top == own.labels):.4f}", end=""
            )
        print()
        for name, upright in UPRIGHT.items():
            for margin in MARGINS:
                crops = np.stack([crop_face(f.scene, f.box, margin=margin, degrees=upright(f.degrees)) for f in found])
                line = f"  {name:24} margin {margin:5.2f}  correlation {correlation(crops, own.images):.3f}"
                if model is not None:
                    line += f"  accuracy {np.mean(model(crops).top == own.labels):.4f}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
