"""Boxes against boxes: their overlap, and which of several that overlap stays. A box is left, top, right, bottom."""

import numpy as np
from numpy.typing import NDArray


def box_iou(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection over union, (M,), of a box (4,) with each of several (M, 4)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    iou: NDArray[np.float32] = shared / ((box[2:] - box[:2]).prod() + areas - shared)
    return iou


def non_max_suppression(boxes: NDArray[np.float32], scores: NDArray[np.float32], *, overlap: float) -> NDArray[np.intp]:
    """Return the rows of the boxes that stay, best first: greedy non-maximum suppression.

    A box stays where its intersection over union with each better box that stays is at most `overlap`.

    Parameters
    ----------
    boxes
        (M, 4).
    scores
        (M,); of two alike the first counts as the better one.
    overlap
        From 0 to 1.
    """
    left = np.argsort(-scores, kind="stable")
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[box_iou(boxes[best], boxes[left]) <= overlap]
    return np.array(kept, np.intp)
