"""A slice by how far each face leans, as the face detector finds its eyes."""

import numpy as np

from mien.detect.align import roll_angle
from mien.evaluation.slices import Slice
from mien.types import Detector, FaceSet, Progress

_EDGES = (5.0, 15.0)  # degrees to either side


def roll_slice(faces: FaceSet, detector: Detector, *, progress: Progress | None = None) -> Slice:
    """Divide faces by the angle between the line through their eyes and the horizontal.

    Faces whose eyes are not found are a group of their own. `progress` is told how many faces the detector has seen.
    """
    codes = np.empty(len(faces), np.int64)
    for row, image in enumerate(faces.images):
        found = detector(np.repeat(image[:, :, None], 3, axis=2))
        points = found.landmarks if len(found) else None
        codes[row] = len(_EDGES) + 1 if points is None else np.digitize(abs(roll_angle(points[0])), _EDGES)
        if progress is not None:
            progress(row + 1, len(faces))
    small, large = _EDGES
    names = (f"upright: up to {small:g}°", f"{small:g}° to {large:g}°", f"leaning: over {large:g}°", "no eyes found")
    return Slice("roll", names, codes)
