"""A face cut out of its picture, upright and as large as classifiers take it: the whole arithmetic of a crop.

1. The square has the box's centre and its longer side, plus a margin.
2. It is turned by the angle between the line through the eyes and the horizontal, so that the eyes are level.
3. Its pixels are made grey (luma of ITU-R 601) and resampled to 48x48, bicubic with antialiasing.
4. Beyond the picture's edge, its edge pixels go on.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from mien.io.pixels import require_picture, to_grey
from mien.types import FACE_SIDE, Detections

MARGIN = -0.03  # share of a box's longer side: what makes a crop show what FER2013's show (benchmarks/crop_margin.py)

_FILTER = Image.Resampling.BICUBIC  # antialiased by Pillow when it makes a picture smaller
_BORDER = 4  # pixels around a crop that the filter may look at


def crop_faces(picture: NDArray[np.uint8], faces: Detections) -> NDArray[np.uint8]:
    """Cut the M faces out of a picture, (H, W, 3) RGB or (H, W) grey -> (M, 48, 48) uint8, each upright by its eyes."""
    angles = [0.0] * len(faces) if faces.landmarks is None else [roll_angle(points) for points in faces.landmarks]
    crops = [
        crop_face(picture, box, margin=MARGIN, degrees=degrees)
        for box, degrees in zip(faces.boxes, angles, strict=True)
    ]
    return np.array(crops, np.uint8).reshape(-1, FACE_SIDE, FACE_SIDE)


def crop_face(
    picture: NDArray[np.uint8], box: ArrayLike, *, margin: float = 0.0, degrees: float = 0.0
) -> NDArray[np.uint8]:
    """Cut the square around a box out of a picture, (H, W, 3) RGB or (H, W) grey -> (48, 48) uint8.

    Parameters
    ----------
    box
        Left, top, right, bottom in pixels; fractions count.
    margin
        What is added on every side, as a share of the box's longer side; a negative margin takes away.
    degrees
        How far the square is turned clockwise; with a face's `roll_angle`, the face stands upright in it.

    Raises
    ------
    DataError
        Where the picture is another array.
    """
    require_picture(picture, grey=True)
    left, top, right, bottom = np.asarray(box, np.float64)
    side = max(right - left, bottom - top) * (1 + 2 * margin)
    across = side / 2 * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    down = np.array([-across[1], across[0]])
    centre = np.array([left + right, top + bottom]) / 2
    start = np.floor(centre - np.abs(across) - np.abs(down)).astype(int) - _BORDER
    end = np.ceil(centre + np.abs(across) + np.abs(down)).astype(int) + _BORDER
    region = Image.fromarray(_grey_region(picture, start, end))
    corner = centre - across - down - start
    if not degrees:
        return np.asarray(region.resize((FACE_SIDE, FACE_SIDE), _FILTER, box=(*corner, *(corner + side))))
    fine = FACE_SIDE * max(1, int(np.ceil(side / FACE_SIDE)))  # at least the picture's own resolution
    (a, d), (b, e), (c, f) = 2 * across / fine, 2 * down / fine, corner
    turned = region.transform((fine, fine), Image.Transform.AFFINE, (a, b, c, d, e, f), _FILTER)
    return np.asarray(turned.resize((FACE_SIDE, FACE_SIDE), _FILTER))


def roll_angle(landmarks: NDArray[np.float32]) -> float:
    """Return how far a face leans, in degrees clockwise: the slope of the line between its eyes.

    landmarks: (5, 2) as in `Detections`; where they are not finite numbers, the face counts as upright.
    """
    x, y = landmarks[1] - landmarks[0]
    degrees = float(np.degrees(np.arctan2(y, x)))
    return degrees if np.isfinite(degrees) else 0.0


def _grey_region(picture: NDArray[np.uint8], start: NDArray[np.int_], end: NDArray[np.int_]) -> NDArray[np.uint8]:
    """Return the picture in grey from x, y `start` up to `end`, its edge pixels repeated beyond its edges."""
    height, width = picture.shape[:2]
    columns = np.arange(start[0], end[0]).clip(0, width - 1)
    rows = np.arange(start[1], end[1]).clip(0, height - 1)
    inside = to_grey(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    region: NDArray[np.uint8] = inside[rows - rows[0]][:, columns - columns[0]]
    return region
