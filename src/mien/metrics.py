"""Figures of a classifier's quality: pure functions of numpy arrays.

`labels` are the true classes, (N,) whole numbers from 0; `predicted` are the classes that a classifier chose; `probs`
are (N, K) probabilities. All functions raise DataError where there is no face to measure, or where sizes differ.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError


@dataclass(frozen=True)
class Proportion:
    """A proportion measured on a sample: `right` of `count` faces. Raises DataError where `count` is 0."""

    right: int
    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise DataError("a proportion must be of one face or more, got none")
        if not 0 <= self.right <= self.count:
            raise DataError(f"right must be 0 to {self.count}, got {self.right}")

    def __repr__(self) -> str:
        low, high = self.interval
        return f"<Proportion {self.value:.1%} of {self.count:,} faces, 95% interval {low:.1%} to {high:.1%}>"

    @property
    def value(self) -> float:
        """The proportion itself, in [0, 1]."""
        return self.right / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """The lower and upper end of the 95% score interval (Wilson, 1927), in [0, 1]."""
        return self.interval_at(0.95)

    def interval_at(self, level: float) -> tuple[float, float]:
        """Return the ends of the score interval at another level of confidence, between 0 and 1."""
        z = NormalDist().inv_cdf((1 + level) / 2)
        p, weight = self.value, z * z / self.count
        centre = (p + weight / 2) / (1 + weight)
        half = z * math.sqrt(p * (1 - p) / self.count + weight / (4 * self.count)) / (1 + weight)
        low = 0.0 if self.right == 0 else centre - half
        high = 1.0 if self.right == self.count else centre + half
        return low, high


def difference_interval(one: Proportion, other: Proportion, *, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of the first minus the second of two independent proportions (Newcombe, 1998, method 10)."""
    (low, high), (other_low, other_high) = one.interval_at(level), other.interval_at(level)
    difference = one.value - other.value
    below = math.hypot(one.value - low, other_high - other.value)
    above = math.hypot(high - one.value, other.value - other_low)
    return difference - below, difference + above


def accuracy(labels: NDArray[Any], predicted: NDArray[Any]) -> Proportion:
    """Count the faces whose class was predicted right."""
    labels, predicted = _paired(labels, predicted)
    return Proportion(int((labels == predicted).sum()), len(labels))


def confusion_matrix(labels: NDArray[Any], predicted: NDArray[Any], *, classes: int) -> NDArray[np.int64]:
    """Count the faces of each true class (row) by their predicted class (column): (K, K) int64."""
    labels, predicted = _paired(labels, predicted)
    for name, values in (("labels", labels), ("predicted", predicted)):
        bad = values[(values < 0) | (values >= classes)]
        if bad.size:
            raise DataError(f"{name} must be 0 to {classes - 1}, got {bad[0]}")
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def precision(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's precision, (K,): how many of the faces predicted as it are of it; 0 where there are none."""
    return _ratio(matrix.diagonal(), matrix.sum(axis=0))


def recall(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's recall, (K,): how many of its faces are predicted as it; 0 where there are none."""
    return _ratio(matrix.diagonal(), matrix.sum(axis=1))


def f1(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's F1, (K,): the harmonic mean of precision and recall; 0 where both are 0."""
    return _ratio(2 * matrix.diagonal(), matrix.sum(axis=0) + matrix.sum(axis=1))


def macro_average(figures: NDArray[np.float64], matrix: NDArray[np.int64]) -> float:
    """Average per-class figures over the classes that the confusion matrix has, as a label or as a prediction."""
    present = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
    if not present.any():
        raise DataError("a mean over classes must have one face or more, got none")
    return float(figures[present].mean())


def nll(labels: NDArray[Any], probs: NDArray[Any]) -> float:
    """Return the mean negative log-likelihood of the true class, in nats; a probability of 0 counts as 1e-38."""
    labels, probs = _scored(labels, probs)
    true = probs[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true, 1e-38)).mean())


def balanced_accuracy(matrix: NDArray[np.int64]) -> float:
    """Return the mean recall over the classes that have faces: a rare class counts as much as a common one."""
    there = matrix.sum(axis=1) > 0
    if not there.any():
        raise DataError("balanced accuracy needs one labelled face or more, got none")
    return float(recall(matrix)[there].mean())


def top_k_accuracy(labels: NDArray[Any], probs: NDArray[Any], k: int) -> Proportion:
    """Count the faces whose class is among the k most probable ones; of equal ones, the first comes first."""
    labels, probs = _scored(labels, probs)
    true = np.take_along_axis(probs, labels[:, None], axis=1)
    earlier = np.arange(probs.shape[1]) < labels[:, None]
    ranks = (probs > true).sum(axis=1) + ((probs == true) & earlier).sum(axis=1)
    return Proportion(int((ranks < k).sum()), len(labels))


def brier_score(labels: NDArray[Any], probs: NDArray[Any]) -> float:
    """Return the mean squared distance between the probabilities and the truth (Brier, 1950), from 0 to 2."""
    labels, probs = _scored(labels, probs)
    truth = np.eye(probs.shape[1])[labels]
    return float(((probs - truth) ** 2).sum(axis=1).mean())


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability curve: faces in bins of equal width by their confidence; a bin holds its upper end.

    Parameters
    ----------
    counts
        (B,) int64: the faces of each bin.
    confidence
        (B,) float64: their mean confidence; 0 in an empty bin.
    accuracy
        (B,) float64: the share of them that is right; 0 in an empty bin.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """The mean gap between confidence and accuracy, weighted by faces."""
        return float((np.abs(self.confidence - self.accuracy) * self.counts).sum() / self.counts.sum())


def reliability(right: NDArray[Any], confidence: NDArray[Any], *, bins: int = 15) -> Reliability:
    """Return the reliability curve of N answers: whether each is right, and how confident it was, in [0, 1]."""
    right, confidence = np.asarray(right, np.float64), np.asarray(confidence, np.float64)
    if right.ndim != 1 or right.shape != confidence.shape:
        raise DataError(f"answers and confidences must be (N,) both, got {right.shape} and {confidence.shape}")
    _require_faces(right)
    place = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    counts = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights=values, minlength=bins) for values in (confidence, right))
    means = [np.divide(each, counts, out=np.zeros(bins), where=counts > 0) for each in sums]
    return Reliability(counts.astype(np.int64), *means)


def ece(labels: NDArray[Any], probs: NDArray[Any], *, bins: int = 15) -> float:
    """Return the expected calibration error of the most probable class (Guo et al., 2017), in [0, 1]."""
    labels, probs = _scored(labels, probs)
    return reliability(probs.argmax(axis=1) == labels, probs.max(axis=1), bins=bins).ece


def classwise_ece(labels: NDArray[Any], probs: NDArray[Any], *, bins: int = 15) -> NDArray[np.float64]:
    """Return the calibration error of each class's probability, (K,), in [0, 1] (Nixon et al., 2019)."""
    labels, probs = _scored(labels, probs)
    return np.array([reliability(labels == k, probs[:, k], bins=bins).ece for k in range(probs.shape[1])])


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _paired(labels: NDArray[Any], predicted: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.ndim != 1 or labels.shape != predicted.shape:
        raise DataError(f"labels and predictions must be (N,) both, got {labels.shape} and {predicted.shape}")
    _require_faces(labels)
    return labels.astype(np.int64), predicted.astype(np.int64)


def _scored(labels: NDArray[Any], probs: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    labels, probs = np.asarray(labels), np.asarray(probs)
    if labels.ndim != 1 or probs.ndim != 2 or len(probs) != len(labels):
        raise DataError(f"labels must be (N,) and probs (N, K), got {labels.shape} and {probs.shape}")
    _require_faces(labels)
    bad = labels[(labels < 0) | (labels >= probs.shape[1])]
    if bad.size:
        raise DataError(f"labels must be 0 to {probs.shape[1] - 1}, got {bad[0]}")
    return labels.astype(np.int64), probs.astype(np.float64)


def _require_faces(labels: NDArray[Any]) -> None:
    if not len(labels):
        raise DataError("a figure needs one labelled face or more, got none")
