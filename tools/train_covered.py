"""Learns when a mouth is covered: draws masks, scarves and hands over FER2013's training faces, and fits the weights.

    python tools/train_covered.py faces.npz -o src/mien/assets/covered.f32

Prints, for the valid faces: how many plain ones are called covered, and how many of each kind of covering are found.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from sklearn.linear_model import LogisticRegression

import mien
from mien.detect.covered import covered_features
from mien.io.atomic_write import atomic_write

FINE = 4  # times the resolution of a face: at which coverings are drawn
SIDE = 48 * FINE
PLAIN = 0.01  # share of plain valid faces that may be called covered, which sets the bias

Face = NDArray[np.uint8]
Draw = Callable[[Image.Image, np.random.Generator], None]


def at(x: float, y: float) -> tuple[float, float]:
    """Return a place in pixels of a face as one of the fine drawing."""
    return x * FINE, y * FINE


def cloth(rng: np.random.Generator) -> Image.Image:
    """Return cloth of one tone with shading, perhaps folds or a pattern, as large as the drawing."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    tone = rng.uniform(5, 250)
    values = tone + x * rng.normal(0, 40) + y * rng.normal(0, 40) - (x**2) * rng.uniform(0, 120)
    if rng.random() < 0.5:  # pleats
        bent = y - 0.4 * rng.uniform(-1, 1) * x**2
        values += rng.uniform(3, 25) * np.sin(2 * np.pi * rng.uniform(3, 14) * bent + rng.uniform(0, 6))
    if rng.random() < 0.2:  # a pattern or a knit
        wave = np.sin(2 * np.pi * rng.uniform(8, 24) * x) * np.sin(2 * np.pi * rng.uniform(8, 24) * y)
        values += rng.uniform(5, 45) * wave
    values += rng.normal(0, rng.uniform(0, 5), values.shape)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def mask(image: Image.Image, rng: np.random.Generator) -> None:
    """Draw a mask over nose tip, mouth and chin, with ribbons."""
    bridge, cheek, chin = rng.uniform(19, 28), rng.uniform(24, 31), rng.uniform(44, 54)
    left, right = rng.uniform(0, 9), rng.uniform(39, 48)
    middle = rng.uniform(21, 27)
    low = rng.uniform(38, 46)
    points = [at(left, cheek), at(middle - 6, bridge + 1), at(middle, bridge), at(middle + 6, bridge + 1)]
    points += [at(right, cheek), at(right - rng.uniform(0, 4), low), at(middle + rng.uniform(4, 9), chin)]
    points += [at(middle - rng.uniform(4, 9), chin), at(left + rng.uniform(0, 4), low)]
    shape = Image.new("L", image.size)
    ImageDraw.Draw(shape).polygon(points, fill=255)
    fabric = cloth(rng)
    image.paste(fabric, mask=shape.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3))))
    pen = ImageDraw.Draw(image)
    for side, end in ((left, -2), (right, 50)):
        if rng.random() < 0.6:
            tone = int(rng.uniform(0, 255))
            pen.line([at(side, cheek), at(end, cheek - rng.uniform(0, 8))], fill=tone, width=int(rng.integers(2, 7)))


def scarf(image: Image.Image, rng: np.random.Generator) -> None:
    """Draw a scarf, a collar or a veil over all below a line under the nose."""
    line = rng.uniform(26, 33)
    points = [at(-2, line + rng.normal(0, 3)), at(24, line + rng.normal(0, 2)), at(50, line + rng.normal(0, 3))]
    shape = Image.new("L", image.size)
    ImageDraw.Draw(shape).polygon([*points, at(50, 50), at(-2, 50)], fill=255)
    image.paste(cloth(rng), mask=shape.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3))))


def hand(image: Image.Image, rng: np.random.Generator) -> None:
    """Draw a hand of about the face's tone over the mouth: a few fingers side by side."""
    tone = float(np.median(np.asarray(image)[SIDE // 2 : SIDE * 3 // 4])) + rng.normal(0, 25)
    angle = rng.uniform(-60, 60)
    layer, shape = Image.new("L", image.size, int(np.clip(tone, 0, 255))), Image.new("L", image.size)
    pen, edge = ImageDraw.Draw(shape), ImageDraw.Draw(layer)
    width, count = rng.uniform(4.5, 7), int(rng.integers(3, 5))
    top = 36 - count * width / 2 + rng.uniform(-2, 2)
    for finger in range(count):
        place = top + finger * width
        start, end = rng.uniform(2, 11), rng.uniform(38, 52)
        box = (*at(start, place), *at(end, place + width))
        pen.rounded_rectangle(box, radius=width * FINE / 2, fill=255)
        edge.line([at(start, place), at(end, place)], fill=int(np.clip(tone - rng.uniform(15, 70), 0, 255)), width=3)
    plain = int(np.clip(tone, 0, 255))
    layer = layer.filter(ImageFilter.GaussianBlur(1.5)).rotate(angle, center=at(24, 36), fillcolor=plain)
    shape = shape.rotate(angle, center=at(24, 36)).filter(ImageFilter.GaussianBlur(1.2))
    image.paste(layer, mask=shape)


def above(image: Image.Image, rng: np.random.Generator) -> None:
    """Draw something that leaves the mouth free: a band on the forehead, or dark glasses."""
    pen = ImageDraw.Draw(image)
    tone = int(rng.uniform(0, 255))
    if rng.random() < 0.5:
        pen.rectangle((*at(0, rng.uniform(-8, 0)), *at(48, rng.uniform(4, 11))), fill=tone)
    else:
        for x in (15, 33):
            pen.ellipse((*at(x - 7, 14), *at(x + 7, 25)), fill=min(tone, 60))


COVERINGS: dict[str, Draw] = {"mask": mask, "scarf": scarf, "hand": hand}


def drawn(face: Face, draw: Draw, rng: np.random.Generator) -> Face:
    """Return a face with a covering drawn over it."""
    image = Image.fromarray(face).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    draw(image, rng)
    return np.asarray(image.resize((48, 48), Image.Resampling.BICUBIC))


def as_cameras_give(face: Face, rng: np.random.Generator) -> Face:
    """Return a face shifted, scaled and leaning a little, perhaps blurred, brighter or darker."""
    image = Image.fromarray(face)
    turn, scale = np.radians(rng.normal(0, 4)), rng.uniform(0.92, 1.1)
    a, b = np.cos(turn) * scale, np.sin(turn) * scale
    x, y = 24 + rng.normal(0, 1.5), 24 + rng.normal(0, 1.5)
    affine = (a, -b, x - a * 24 + b * 24, b, a, y - b * 24 - a * 24)
    image = image.transform((48, 48), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
    if rng.random() < 0.3:
        small = int(rng.integers(16, 40))
        image = image.resize((small, small), Image.Resampling.BICUBIC).resize((48, 48), Image.Resampling.BICUBIC)
    values = np.asarray(image, np.float32)
    return ((values - 128) * rng.uniform(0.6, 1.2) + 128 + rng.normal(0, 15)).clip(0, 255).astype(np.uint8)


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", help="a file of faces, as `mien data import` writes it")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=16_000, help="faces that are learned from")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    faces = mien.load_faces(options.faces)
    train = rng.permutation(faces.images[faces.splits == "train"])[: options.count]
    valid = faces.images[faces.splits == "valid"]
    images, covered = [], []
    for number, face in enumerate(train):
        name = (*COVERINGS, "mask", "mask", *("plain",) * 4, "above")[number % 10]
        draw = COVERINGS.get(name, above if name == "above" else None)
        images.append(as_cameras_give(face if draw is None else drawn(face, draw, rng), rng))
        covered.append(name in COVERINGS)
    fit = LogisticRegression(C=0.3, max_iter=2000).fit(covered_features(np.array(images)), covered)
    weights = np.concatenate([fit.coef_[0], fit.intercept_]).astype("<f4")
    logits = covered_features(valid) @ weights[:-1]
    weights[-1] = -np.quantile(logits, 1 - PLAIN)  # a probability of a half from there on
    print(f"plain {(logits + weights[-1] > 0).mean():.3f}")
    for name, draw in {**COVERINGS, "above": above}.items():
        shown = np.array([drawn(face, draw, rng) for face in valid[:1000]])
        print(f"{name} {(covered_features(shown) @ weights[:-1] + weights[-1] > 0).mean():.3f}")
    with atomic_write(options.out) as file:
        file.write(weights.tobytes())


if __name__ == "__main__":
    main()
