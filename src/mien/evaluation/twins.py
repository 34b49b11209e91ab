"""Faces that a net has met in training: as the very same picture, or as a near-identical one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.duplicates import has_near_duplicate
from mien.types import FaceSet, Progress


@dataclass(frozen=True, eq=False)
class Twins:
    """Faces that have a twin in training.

    Parameters
    ----------
    identical
        (N,) bool: an identical one.
    near
        (N,) bool: an identical or a near-identical one.
    """

    identical: NDArray[np.bool_]
    near: NDArray[np.bool_]


def find_twins(faces: FaceSet, train_faces: FaceSet, *, progress: Progress | None = None) -> Twins:
    """Find the faces that have a twin among those of training. `progress` is told the blocks of pairs compared."""
    known = {image.tobytes() for image in train_faces.images}
    identical = np.array([image.tobytes() in known for image in faces.images], np.bool_)
    return Twins(identical, identical | has_near_duplicate(faces.images, train_faces.images, progress=progress))
