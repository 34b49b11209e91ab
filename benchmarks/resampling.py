"""What resampling a face costs a model's accuracy: shrunk and grown back, and averaged over turned and scaled copies.

    python benchmarks/resampling.py faces.npz [--model swift]

Prints the accuracy on the labelled valid faces: as they are and mirrored, which is the yardstick; brought to 40 and 32
pixels and back; and the means over copies that are turned by 6 degrees, scaled by 0.93 and 1.07, or both, each with its
mirror image.
"""

import argparse
import math
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import mien
from mien.train.inputs.augment import resize

DEGREES, SCALES = (0, -6, 6), (1.0, 0.93, 1.07)


def whole(faces: Tensor) -> NDArray[np.uint8]:
    """(N, 1, 48, 48) float32 in 0 to 255 -> (N, 48, 48) uint8."""
    levels: NDArray[np.uint8] = faces[:, 0].round().clamp(0, 255).to(torch.uint8).numpy()
    return levels


def moved(images: Tensor, *, degrees: float, scale: float) -> NDArray[np.uint8]:
    """(N, 48, 48) uint8 -> the same, turned and scaled, in one bilinear resampling."""
    cosine, sine = (turn(math.radians(degrees)) / scale for turn in (math.cos, math.sin))
    matrix = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]]).expand(len(images), 2, 3)
    grid = functional.affine_grid(matrix, [len(images), 1, 48, 48], align_corners=False)
    faces = images.unsqueeze(1).float()
    return whole(functional.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces")
    parser.add_argument("--model", default="swift")
    arguments = parser.parse_args()
    faces, model = mien.load_faces(arguments.faces), mien.load(arguments.model)
    valid = faces[(faces.splits == "valid") & (faces.labels >= 0)]
    images = torch.from_numpy(valid.images.copy())

    def tell(what: str, probs: NDArray[np.float32]) -> None:
        print(f"{what:32} {(probs.argmax(axis=1) == valid.labels).mean():.4f}")

    tell("as they are", model(valid.images).probs)
    for side in (40, 32):
        grown = functional.interpolate(resize(images, side=side), size=(48, 48), mode="bilinear")
        tell(f"by {side} pixels and back", model(whole(grown)).probs)
    said = {
        way: mien.Mirrored(model)(moved(images, degrees=way[0], scale=way[1])).probs for way in product(DEGREES, SCALES)
    }
    for what, degrees, scales in (
        ("mirrored", (0,), (1.0,)),
        ("mirrored, of turned ones alone", (-6, 6), (1.0,)),
        ("mirrored, with turned ones", DEGREES, (1.0,)),
        ("mirrored, with scaled ones", (0,), SCALES),
        ("mirrored, with all of these", DEGREES, SCALES),
    ):
        tell(what, np.mean([said[way] for way in product(degrees, scales)], axis=0))


if __name__ == "__main__":
    main()
