"""Splits: faces set aside for validation, and folds of cross-validation."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.duplicates import first_identical_row
from mien.errors import DataError
from mien.types import FaceSet


def split_random(faces: FaceSet, *, valid: float, seed: int, stratified: bool = True) -> FaceSet:
    """Move faces that are drawn at random from train to valid; all others stay where they are.

    Faces with the very same pixels stay together, so that no model is measured on a copy of a face that it has seen. So
    the number that is drawn may be a little smaller. The same faces and seed give the same split.

    Parameters
    ----------
    faces
        The faces.
    valid
        How many faces to move (a whole number), or which share of those in train (a fraction below 1).
    seed
        The seed of the draw.
    stratified
        Let each class, and the faces without a label, give the same share, to within one face.

    Raises
    ------
    DataError
        Where there are not so many faces, none would be left in train, or none can be drawn.
    """
    train = np.flatnonzero(faces.splits == "train")
    count = _count(valid, len(train))
    classes = faces.labels[train] + 1 if stratified else np.zeros(len(train), np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(train))
    chosen = _draw(shuffled, classes, first_identical_row(faces.images[train]), _class_counts(classes, count))
    if not chosen:
        raise DataError(f"valid must be enough faces to take all with the same pixels together, got {count}")
    splits = faces.splits.copy()
    splits[train[chosen]] = "valid"
    return replace(faces, splits=splits)


def assign_folds(faces: FaceSet, *, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold, 0 to folds - 1, of each face: (N,) int64. It is random, with each expression spread evenly.

    Faces with the very same pixels, or each other's mirror image, are in one fold, so that no model is measured on a
    copy of a face that it has seen. Raises DataError where there are fewer than 2 folds or fewer different faces than
    folds.
    """
    first, group = _group_pictures(faces)
    if not 2 <= folds <= len(first):
        raise DataError(f"folds must be 2 to {len(first)}, the number of different faces, got {folds}")
    shuffled = np.random.default_rng(seed).permutation(len(first))
    dealt = shuffled[np.argsort(faces.labels[first][shuffled], kind="stable")]  # one expression after the other
    fold = np.empty(len(first), np.int64)
    fold[dealt] = np.arange(len(first)) % folds
    return fold[group.reshape(-1)]


def _count(valid: float, available: int) -> int:
    """Return how many faces `valid` asks for."""
    whole = isinstance(valid, int)
    if not (valid >= 1 if whole else 0 < valid < 1):
        raise DataError(f"valid must be a number of faces, or a share between 0 and 1, got {valid}")
    count = int(valid) if whole else round(valid * available)
    if not 0 < count < available:
        raise DataError(f"valid must leave faces in both splits: {count} of the {available} train faces were asked for")
    return count


def _class_counts(classes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return how many of `count` faces each class gives: (K,). The largest remainders of the division round up."""
    shares = np.bincount(classes) * (count / len(classes))
    counts: NDArray[np.int64] = np.floor(shares + 1e-9).astype(np.int64)
    counts[np.argsort(counts - shares, kind="stable")[: count - counts.sum()]] += 1
    return counts


def _draw(
    order: NDArray[np.intp], classes: NDArray[np.int64], first: NDArray[np.int64], counts: NDArray[np.int64]
) -> list[int]:
    """Draw rows in this order, at most `counts` of each class; of rows that share their `first`, all or none."""
    groups: dict[int, list[int]] = {}
    for row in order.tolist():
        groups.setdefault(int(first[row]), []).append(row)
    left, chosen = counts.copy(), list[int]()
    for rows in groups.values():
        needed = np.bincount(classes[rows], minlength=len(left))
        if (needed <= left).all():
            left -= needed
            chosen += rows
    return chosen


def _group_pictures(faces: FaceSet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each different picture, mirrored or not, and for each face the number of its picture."""
    flat = faces.images.reshape(len(faces), -1)
    _, first, same = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    place = {faces.images[row].tobytes(): number for number, row in enumerate(first)}
    mirrored = [place.get(faces.images[row, :, ::-1].tobytes(), number) for number, row in enumerate(first)]
    one_of_both = np.minimum(np.arange(len(first)), np.array(mirrored, np.int64))
    _, kept, group = np.unique(one_of_both, return_index=True, return_inverse=True)
    return first[kept], group.reshape(-1)[same.reshape(-1)]
