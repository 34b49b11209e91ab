"""Things that cover a part of a face: glasses, a hand, a mask. `corruptions` says what the functions take and return.

The places are those of FER2013's mean face, in pixels of a crop: the eyes lie 17 pixels below the upper edge, 9 to
either side of the middle; the tip of the nose lies at 28 and the mouth at 37.
"""

import numpy as np
from numpy.typing import NDArray

from mien.types import FACE_SIDE

_Faces = NDArray[np.floating]
_MIDDLE = (FACE_SIDE - 1) / 2
_EYES, _MOUTH = 17.0, 37.0  # pixels below the upper edge
_JITTER = 1.5  # pixels: the largest distance of a cover from its place, along either axis
_SKIN = FACE_SIDE**2 * 7 // 10  # so many of a face's pixels are darker than its skin, for all we know
_ROUGHNESS = 6.0  # the deviation of what covers a face, in grey levels


def cover_eyes(faces: _Faces, severity: int, rng: np.random.Generator) -> _Faces:
    """Cover both eyes by a dark bar of 4 to 18 pixels' height, as sunglasses, a fringe or a cap do."""
    high, wide = ((4, 26), (6, 28), (9, 32), (13, 38), (18, 44))[severity]
    level = rng.uniform(0, 70, (len(faces), 1, 1))
    return _lay(faces, _rectangle(len(faces), _EYES, wide, high, rng), level, rng)


def cover_mouth(faces: _Faces, severity: int, rng: np.random.Generator) -> _Faces:
    """Cover the mouth by a rectangle of 5 to 20 pixels' height and any grey, as a cup or a microphone does."""
    high, wide = ((5, 10), (8, 15), (11, 20), (15, 26), (20, 34))[severity]
    level = rng.uniform(0, 255, (len(faces), 1, 1))
    return _lay(faces, _rectangle(len(faces), _MOUTH, wide, high, rng), level, rng)


def put_on_mask(faces: _Faces, severity: int, rng: np.random.Generator) -> _Faces:
    """Put a bright mask on each face, from below the mouth up to 38, 34, 31, 28 or 24 pixels below the upper edge.

    The first is pulled down to the chin, the third leaves the nose out, and the last one covers it.
    """
    top = (38.0, 34.0, 31.0, 28.0, 24.0)[severity]
    x, y = _places(len(faces), rng)
    inside = (y > top + 0.006 * x**2) & (np.abs(x) < 19 - 0.02 * (y - 24).clip(min=0) ** 2)
    level = rng.uniform(150, 240, (len(faces), 1, 1)) * (1 - 0.0006 * x**2)
    folds = 8 * np.sin((y - top) * 1.3)
    return _lay(faces, inside, level + folds, rng)


def lay_hand(faces: _Faces, severity: int, rng: np.random.Generator) -> _Faces:
    """Lay a hand on each face, which reaches 8 to 26 pixels in from the left, the right or below.

    It is about as bright as the face's skin, and has four fingers.
    """
    reach = (8.0, 12.0, 16.0, 21.0, 26.0)[severity]
    x, y = _places(len(faces), rng)
    angle = rng.choice(np.radians([20.0, 55.0, 90.0, 125.0, 160.0]), (len(faces), 1, 1))
    out = np.cos(angle) * x + np.sin(angle) * (y - _EYES - 8)  # pixels from below the nose towards where it comes from
    along = np.cos(angle) * (y - _EYES - 8) - np.sin(angle) * x
    finger = np.abs((along / 5.5 + 2) % 1 - 0.5)  # 0 in the middle of a finger, 0.5 between two
    tip = 24 - reach + 1.5 * np.abs(along) / 5.5 + 6 * finger**2
    inside = (out > tip) & (np.abs(along) < 11)
    ranked = np.sort(faces.reshape(len(faces), FACE_SIDE**2))
    skin = ranked[:, _SKIN, None, None] * rng.uniform(0.85, 1.1, (len(faces), 1, 1))
    return _lay(faces, inside, skin * (1 - 2.4 * finger**3), rng)


def _lay(faces: _Faces, inside: NDArray[np.bool_], level: NDArray[np.floating], rng: np.random.Generator) -> _Faces:
    """Fill the pixels inside with a grey level and a little noise."""
    filling = level + _ROUGHNESS * rng.standard_normal(faces.shape, dtype=np.float32)
    return np.where(inside, filling, faces).astype(np.float32)


def _rectangle(count: int, middle: float, wide: float, high: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which pixels of each face lie in a rectangle about a place below its upper edge."""
    x, y = _places(count, rng)
    inside: NDArray[np.bool_] = (np.abs(x) < wide / 2) & (np.abs(y - middle) < high / 2)
    return inside


def _places(count: int, rng: np.random.Generator) -> tuple[_Faces, _Faces]:
    """Return the pixels' places, x from the middle and y from the upper edge, moved a little for each face."""
    line = np.arange(FACE_SIDE, dtype=np.float32)
    moved = rng.uniform(-_JITTER, _JITTER, (2, count, 1, 1)).astype(np.float32)
    return line - _MIDDLE + moved[0], line[:, None] + moved[1]
