"""Confident learning: which labels are probably wrong (Northcutt, Jiang, Chuang, 2021, arXiv:1911.00068).

labels are (N,) whole numbers in 0..K-1; probs are (N, K) probabilities, each row from a model that has not learnt that
face, as in cross-validation. A class that no face is labelled with is never suggested.
"""

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError

Labels = NDArray[np.int64]
Probs = NDArray[np.float32] | NDArray[np.float64]


def thresholds(labels: Labels, probs: Probs) -> NDArray[np.float64]:
    """(K,) how sure the model is, on average, of each class among the faces labelled with it; inf where none is."""
    labels, wide = _checked(labels, probs)
    classes = wide.shape[1]
    own = wide[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=own, minlength=classes)
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    return means


def confident_classes(labels: Labels, probs: Probs) -> Labels:
    """(N,) the class that each face confidently belongs to, -1 where it is none.

    That is, of the classes whose probability reaches their threshold, the most probable.
    """
    labels, wide = _checked(labels, probs)
    reached = wide >= thresholds(labels, wide) - 1e-6  # as float32 rounds
    best: Labels = np.where(reached, wide, -1.0).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1)


def confident_joint(labels: Labels, probs: Probs) -> NDArray[np.int64]:
    """(K, K) int64: how many faces of each label (row) confidently belong to each class (column)."""
    classes = np.asarray(probs).shape[-1]
    confident = confident_classes(labels, probs)
    known = confident >= 0
    counts = np.bincount(np.asarray(labels)[known] * classes + confident[known], minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def find_label_issues(labels: Labels, probs: Probs) -> NDArray[np.int64]:
    """(M,) rows whose label is probably wrong, the surest first.

    They lie off the diagonal of the confident joint, and the model's first choice is not their label; they are ordered
    by how little probability is left for the label that was given (its self-confidence).
    """
    labels, wide = _checked(labels, probs)
    confident = confident_classes(labels, wide)
    rows = np.flatnonzero((confident >= 0) & (confident != labels) & (wide.argmax(axis=1) != labels))
    return rows[np.argsort(wide[rows, labels[rows]], kind="stable")]


def _checked(labels: Labels, probs: Probs) -> tuple[Labels, NDArray[np.float64]]:
    labels, wide = np.asarray(labels), np.asarray(probs, np.float64)
    if labels.ndim != 1 or wide.ndim != 2 or len(labels) != len(wide):
        raise DataError(f"labels must be (N,) and probs (N, K), got {labels.shape} and {wide.shape}")
    bad = labels[(labels < 0) | (labels >= wide.shape[1])]
    if len(bad):
        raise DataError(f"labels must be 0 to {wide.shape[1] - 1}, got {bad[0]}")
    return labels, wide
