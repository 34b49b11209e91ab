"""The views of a picture that are searched for faces: the whole at one or two scales, and a crowd's tile by tile."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SMALLEST = 16  # pixels: the width from which on the network finds upright faces
LEAST_SIDE = 192  # pixels: no picture's longer side gets below this, so that a face that fills it is found

_LARGE, _CLOSE_UP = 400, 256  # pixels: what is longer than the first is searched again at no more than the second
_SMALL = 400  # pixels: the longer side of a view that is searched several times
_BAND = 1 << 24  # pixels of a huge picture that are made smaller at a time
_TILE = 1024  # pixels: the side of a tile, as it is searched
_WIDEST = 3 * SMALLEST  # pixels of the whole view: wider faces are surely found there, narrower ones in tiles
_CONTEXT = 16  # pixels of the whole view around a face that a tile shows at least


@dataclass(frozen=True, eq=False)
class View:
    """A part of a picture, made smaller or larger.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8 RGB.
    scale
        How many pixels of the picture one of the view stands for.
    left, top
        Where the view begins, in pixels of the picture.
    edges
        Left, top, right, bottom in pixels of the picture; a face that reaches one of them is shown whole by another
        tile.
    widest
        Pixels of the picture: wider faces are left to other views.
    """

    pixels: NDArray[np.uint8]
    scale: float
    left: int = 0
    top: int = 0
    edges: tuple[float, float, float, float] = (-np.inf, -np.inf, np.inf, np.inf)
    widest: float = np.inf


def finest_factor(picture: NDArray[np.uint8], min_face: float) -> int:
    """Return by how much a picture may be made smaller so that faces of `min_face` pixels are still found."""
    return max(1, int(min(min_face / SMALLEST, max(picture.shape[:2]) / LEAST_SIDE)))


def whole_views(picture: NDArray[np.uint8], *, min_face: float, max_side: int | None) -> Iterator[View]:
    """Yield the whole picture at the scale that `min_face` needs and `max_side` allows, then once more, smaller.

    The network misses faces of more than about 400 pixels, hence the second look.
    """
    longest = max(picture.shape[:2])
    if longest < LEAST_SIDE:
        factor = -(-LEAST_SIDE // longest)
        yield View(_enlarge(picture, factor), 1 / factor)
        return
    factor = finest_factor(picture, min_face)
    if max_side is not None:
        factor = max(factor, -(-longest // max_side))
    pixels = shrink(picture, factor)
    yield View(pixels, factor)
    longest = max(pixels.shape[:2])
    if longest > _LARGE:
        further = -(-longest // _CLOSE_UP)
        yield View(shrink(pixels, further), factor * further)


def small_view(view: View) -> View:
    """Return a view of the whole picture that is small enough to be searched several times."""
    factor = -(-max(view.pixels.shape[:2]) // _SMALL)
    return View(shrink(view.pixels, factor), view.scale * factor)


def tiles(picture: NDArray[np.uint8], *, factor: int, whole: float) -> Iterator[View]:
    """Yield a large picture part by part, made smaller by `factor`, for the faces that are too small in the whole view.

    The parts overlap so far that each such face is in the middle of one of them.

    Parameters
    ----------
    factor
        How many pixels of the picture one of a tile stands for.
    whole
        How many pixels of the picture one of the whole view stands for.
    """
    height, width = picture.shape[:2]
    side, shared = _TILE * factor, int((_WIDEST + 2 * _CONTEXT) * whole)
    for top in range(0, max(1, height - shared), side - shared):
        for left in range(0, max(1, width - shared), side - shared):
            right, bottom = min(left + side, width), min(top + side, height)
            edges = (
                left or -np.inf,
                top or -np.inf,
                right if right < width else np.inf,
                bottom if bottom < height else np.inf,
            )
            part = shrink(picture[top:bottom, left:right], factor)
            yield View(part, factor, left, top, edges, _WIDEST * whole)


def shrink(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return the means of squares of factor x factor pixels; a huge picture goes band by band, uncopied."""
    if factor == 1:
        return picture
    height, width = picture.shape[:2]
    rows = max(1, _BAND // (width * factor)) * factor
    bands = (Image.fromarray(picture[top : top + rows]) for top in range(0, height, rows))
    return np.concatenate([np.asarray(band.reduce(factor)) for band in bands])


def _enlarge(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    return np.asarray(image.resize((image.width * factor, image.height * factor), Image.Resampling.BILINEAR))
