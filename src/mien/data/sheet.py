"""Many faces in one picture, to look at."""

import math

import numpy as np
from numpy.typing import NDArray

from mien.types import FACE_SIDE, FaceSet

_GAP = 2  # pixels between faces


def contact_sheet(faces: FaceSet) -> NDArray[np.uint8]:
    """(H, W) uint8 grey: the faces in rows, from the left and top, in about a square; white where there are none."""
    columns = max(1, math.isqrt(max(len(faces) - 1, 0)) + 1)
    rows = max(1, -(-len(faces) // columns))
    step = FACE_SIDE + _GAP
    sheet = np.full((rows * step + _GAP, columns * step + _GAP), 255, np.uint8)
    for number, image in enumerate(faces.images):
        top, left = (_GAP + place * step for place in divmod(number, columns))
        sheet[top : top + FACE_SIDE, left : left + FACE_SIDE] = image
    return sheet
