"""Thirty pictures, and what Python reads in them: what the browser has to come to."""

import io
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from clips import Actor, at, scene
from mien.io.row_writers import Row, round_row
from mien.labels import EXPRESSIONS
from mien.pipeline.predictor import Predictor
from serving import portrait

Picture = NDArray[np.uint8]

BOX = ("left", "top", "right", "bottom")


@cache
def pictures() -> dict[str, Picture]:
    """Return the pictures by name: faces that are small and large, turned, dark and bright, cut off, and many."""
    astronaut = Image.fromarray(skimage.data.astronaut())
    with Image.open(io.BytesIO(portrait())) as image:
        shipped = image.convert("RGB")
    found = {f"side-{side}": astronaut.resize((side, side)) for side in (96, 150, 191, 230, 333, 512, 701)}
    found |= {f"turned-{angle}": astronaut.rotate(angle) for angle in (-20, 15, 40, 60, 90, 135, 180, 270)}
    found |= {
        f"light-{power}": shipped.point([255 * (each / 255) ** power for each in range(256)] * 3)
        for power in (0.5, 1, 2.5)
    }
    found |= {
        "cut-left": astronaut.crop((210, 60, 500, 400)),
        "cut-top": astronaut.crop((100, 90, 400, 300)),
        "flat": astronaut.resize((512, 150)),
        "close": astronaut.crop((170, 55, 275, 185)).resize((700, 880)),
        "small-on-its-side": astronaut.crop((100, 0, 350, 250)).resize((140, 140)).rotate(90),
        "blank": Image.new("RGB", (320, 240), "grey"),
    }
    drawn = {f"look-{look}": scene([Actor(at(160, 120), side=70, look=look)], 0) for look in range(4)}
    pair = [Actor(at(80, 110), side=90), Actor(at(230, 130), side=40, look=1)]
    crowd = [
        Actor(at(100 + 240 * x, 120 + 220 * y), side=32 + 9 * ((x + y) % 4), look=x % 4)
        for x in range(9)
        for y in range(5)
    ]
    drawn |= {"pair": scene(pair, 0), "crowd": scene(crowd, 0, seed=3, size=(2200, 1100))}
    return {name: np.asarray(image) for name, image in found.items()} | drawn


@cache
def expected() -> dict[str, list[Row]]:
    """Return the rows of each picture."""
    predictor = Predictor("swift-nano")
    return {name: [round_row(row) for row in predictor(each, source=name).rows()] for name, each in pictures().items()}


def assert_same_rows(name: str, rows: Sequence[Mapping[str, str | float]]) -> None:
    """Require that rows are those of Python: boxes within a pixel, probabilities within 0.01, the same words."""
    wanted = expected()[name]
    assert len(rows) == len(wanted), name
    for row, want in zip(rows, wanted, strict=True):
        assert list(row) == list(want)
        for column in BOX:
            assert abs(float(row[column]) - float(want[column])) < 1, (name, column)
        for column in ("detection", "confidence", *EXPRESSIONS):
            assert abs(float(row[column]) - float(want[column])) < 0.01, (name, column)
        for column in ("quality", "expression"):
            assert row[column] == want[column], name
