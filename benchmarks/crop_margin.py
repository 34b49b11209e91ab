"""Compare ways to crop a detected face so that it looks like FER2013's: margins, and turning it upright.

Pastes faces of the validation split, scaled 2 to 4 times and turned, into scenes without faces; finds them again with
the detector that ships; crops them with several margins, turned upright or not; and compares what comes out with the
face that was pasted: by the correlation of the pixels, by the accuracy of a model, and by how often the model says of
the crop what it says of the pasted face. A face's edge pixels go on around it and fade into the scene, since a real
face does not end where FER2013 cuts it off.

    python benchmarks/crop_margin.py --faces f.npz --model swift --count 1000
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.detect.align import MARGIN, crop_face, roll_angle
from mien.detect.yunet import YuNet

SCENES = ("coffee", "rocket", "brick", "grass", "gravel", "chelsea")
SIZE = (640, 480)  # pixels: of a scene
FADE = 12  # pixels of FER2013: how wide the edge around a face is
MARGINS = sorted({-0.1, -0.075, -0.05, -0.025, 0.0, 0.025, 0.05, 0.1, 0.2, MARGIN})


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
    inside = round(48 * rng.uniform(2, 4))
    side = round(inside * (48 + 2 * FADE) / 48)
    opacity = np.pad(np.full(face.shape, 255.0), FADE, mode="linear_ramp").astype(np.uint8)
    tile, mask = (
        Image.fromarray(layer)
        .resize((side, side), Image.Resampling.BICUBIC)
        .rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
        for layer in (np.pad(face, FADE, mode="edge"), opacity)
    )
    beyond = (side - inside) // 2  # what may lie outside of the scene
    corner = np.array(
        [rng.integers(-beyond, whole - part + beyond) for whole, part in zip(SIZE, tile.size, strict=True)]
    )
    scene.paste(tile.convert("RGB"), tuple(corner.tolist()), mask)
    return np.asarray(scene), corner + np.array(tile.size) / 2


def find(faces: mien.FaceSet, turn: float, detector: mien.Detector, rng: np.random.Generator) -> Iterator[Found]:
    """The faces that the detector finds where they were pasted."""
    for row in range(len(faces)):
        scene, middle = pasted(faces.images[row], turn * rng.choice((-1, 1)), rng)
        seen = detector(scene)
        inside = ((seen.boxes[:, :2] < middle) & (middle < seen.boxes[:, 2:])).all(axis=1)
        if inside.any() and seen.landmarks is not None:
            best = int(np.argmax(seen.confidence * inside))
            yield Found(row, scene, seen.boxes[best], roll_angle(seen.landmarks[best]))


def correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """The mean correlation of N pairs of pictures (N, 48, 48)."""
    one, other = (faces.reshape(len(faces), -1) - faces.mean(axis=(1, 2))[:, None] for faces in (first, second))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / norms).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, help="a file of faces, as `mien data import` writes it")
    parser.add_argument("--model", default="swift", help="a model's name or file")
    parser.add_argument("--count", type=int, default=1000, help="how many faces to paste, for each turn")
    parser.add_argument("--turns", type=float, nargs="*", default=(0, 10, 25), help="degrees, to either side")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faces = mien.load_faces(options.faces)
    valid = np.flatnonzero((faces.splits == "valid") & (faces.images.std(axis=(1, 2)) > 0))
    model = mien.load(options.model)
    for turn in options.turns:
        rng = np.random.default_rng(options.seed)
        chosen = faces[rng.choice(valid, min(options.count, len(valid)), replace=False)]
        found = list(find(chosen, turn, YuNet(), rng))
        own = chosen[[face.row for face in found]]
        told = model(own.images).top
        print(f"\nturned by {turn:g} degrees: {len(found):,} of {len(chosen):,} found;", end=" ")
        print(f"accuracy on the pasted faces themselves {np.mean(told == own.labels):.4f}")
        print(f"{'':10} margin  correlation  accuracy  same answer")
        for name, part in (("as found", 0), ("upright", 1)):
            for margin in MARGINS:
                crops = [crop_face(face.scene, face.box, margin=margin, degrees=part * face.degrees) for face in found]
                top = model(np.stack(crops)).top
                alike = correlation(np.stack(crops), own.images)
                print(
                    f"{name:10} {margin:6.3f}  {alike:11.3f}  {np.mean(top == own.labels):8.4f}"
                    f"  {np.mean(top == told):11.4f}{'  <- as mien does' if part and margin == MARGIN else ''}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
