"""Confident learning: a search for wrong labels (Northcutt, Jiang, Chuang, 2021, arXiv:1911.00068)."""

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError

Labels = NDArray[np.int64]
Probs = NDArray[np.float32] | NDArray[np.float64]


def find_label_issues(labels: Labels, probs: Probs) -> NDArray[np.int64]:
    """Return the rows whose label is probably wrong, the surest first: (M,) int64.

    Such a face confidently belongs to another class than its label, and the model's first choice is not its label
    either. Rows are sorted by the probability of the label that was given (the self-confidence), the least first. A
    class that no face is labelled with is never suggested.

    Parameters
    ----------
    labels
        (N,) whole numbers in 0..K-1.
    probs
        (N, K) probabilities. Each row must come from a model that has not learnt that face, as in cross-validation.

    Raises
    ------
    DataError
        Where the shapes do not fit, or a label is out of range.
    """
    labels, wide = _check(labels, probs)
    confident = _confident_classes(labels, wide)
    rows = np.flatnonzero((confident >= 0) & (confident != labels) & (wide.argmax(axis=1) != labels))
    return rows[np.argsort(wide[rows, labels[rows]], kind="stable")]


def _confident_classes(labels: Labels, wide: NDArray[np.float64]) -> Labels:
    """Return the class that each face confidently belongs to, or -1: (N,) int64.

    It is the most probable of the classes whose probability reaches their threshold.
    """
    reached = wide >= _class_thresholds(labels, wide) - 1e-6  # as float32 rounds
    best: Labels = np.where(reached, wide, -1.0).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1)


def _class_thresholds(labels: Labels, wide: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean probability of each class over the faces labelled with it; inf if there is none: (K,) float64."""
    classes = wide.shape[1]
    own = wide[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=own, minlength=classes)
    means: NDArray[np.float64] = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    return means


def _check(labels: Labels, probs: Probs) -> tuple[Labels, NDArray[np.float64]]:
    labels, wide = np.asarray(labels), np.asarray(probs, np.float64)
    if labels.ndim != 1 or wide.ndim != 2 or len(labels) != len(wide):
        raise DataError(f"labels must be (N,) and probs (N, K), got {labels.shape} and {wide.shape}")
    bad = labels[(labels < 0) | (labels >= wide.shape[1])]
    if len(bad):
        raise DataError(f"labels must be 0 to {wide.shape[1] - 1}, got {bad[0]}")
    return labels, wide
