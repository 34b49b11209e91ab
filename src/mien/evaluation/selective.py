"""Selective classification: which answers to keep, so that few of them are wrong, with a guarantee.

The guarantees hold for faces that are drawn like those that the thresholds were fitted on, and that fitted nothing
else: neither the net nor its calibration.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.metrics import Proportion

DELTA = 0.05  # how often, over draws of the fitting faces, a guarantee may fail


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The risk-coverage curve of N answers, the surest first.

    Parameters
    ----------
    coverage
        (N,) float64: the share of the answers that is kept.
    risk
        (N,) float64: the share of the kept answers that is wrong.
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]

    @property
    def aurc(self) -> float:
        """The area under the curve: the mean risk over all coverages (Geifman et al., 2019)."""
        return float(self.risk.mean())


@dataclass(frozen=True)
class ErrorThreshold:
    """A confidence from which on answers are kept.

    Parameters
    ----------
    confidence
        The threshold; over 1 where no threshold keeps the promise, so that every answer is left out.
    max_error
        The promise: of the kept answers, at most this share is wrong.
    coverage
        The share of the fitting faces that is kept.
    errors
        The share of these that is wrong; None where none is kept.
    """

    confidence: float
    max_error: float
    coverage: float
    errors: Proportion | None


def risk_coverage(right: NDArray[np.bool_], confidence: NDArray[np.floating]) -> RiskCoverage:
    """Return the risk-coverage curve of answers: whether each is right, and how confident it is."""
    right, confidence = _checked(right, confidence)
    order = np.argsort(-confidence, kind="stable")
    kept = np.arange(1, len(right) + 1)
    return RiskCoverage(kept / len(right), np.cumsum(~right[order]) / kept)


def error_bound(wrong: int, count: int, *, delta: float = DELTA) -> float:
    """Return the exact upper bound of an error rate at the level 1 - delta (Clopper and Pearson, 1934)."""
    if wrong >= count:
        return 1.0
    numbers = np.arange(1, wrong + 1)
    log_ways = np.concatenate([[0.0], np.cumsum(np.log(count + 1 - numbers) - np.log(numbers))])
    numbers = np.arange(wrong + 1)
    low, high = wrong / count, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        log_chances = log_ways + numbers * math.log(middle) + (count - numbers) * math.log1p(-middle)
        low, high = (middle, high) if np.exp(log_chances).sum() > delta else (low, middle)
    return high


def fit_threshold(
    right: NDArray[np.bool_], confidence: NDArray[np.floating], *, max_error: float, delta: float = DELTA
) -> ErrorThreshold:
    """Find the threshold that keeps the most answers with a guaranteed error (Geifman and El-Yaniv, 2017).

    With probability 1 - delta over the fitting faces, at most `max_error` of the answers with this confidence or more
    are wrong. The search halves the confidences, and each step that it takes has its share of delta.
    """
    right, confidence = _checked(right, confidence)
    if not 0 < max_error < 1:
        raise DataError(f"the largest error must be between 0 and 1, got {max_error}")
    order = np.argsort(-confidence, kind="stable")
    levels, wrong = confidence[order], np.cumsum(~right[order])
    steps = math.ceil(math.log2(len(right))) + 1
    best, low, high = -1, 0, len(right) - 1
    for _ in range(steps):
        if low > high:
            break
        middle = (low + high) // 2
        last = int(np.searchsorted(-levels, -levels[middle], side="right")) - 1  # with all of the same confidence
        if error_bound(int(wrong[last]), last + 1, delta=delta / steps) <= max_error:
            best, low = last, last + 1
        else:
            high = middle - 1
    if best < 0:
        return ErrorThreshold(math.inf, max_error, 0.0, None)
    kept = best + 1
    return ErrorThreshold(float(levels[best]), max_error, kept / len(right), Proportion(int(wrong[best]), kept))


def fit_set_threshold(probs: NDArray[np.floating], labels: NDArray[np.int64], *, max_error: float) -> float:
    """Find the probability from which on an expression belongs to the set of a face (split conformal prediction).

    The set holds the true expression of a new face with a probability of at least 1 - `max_error` (Sadinle et al.,
    2019). It may be empty or hold several. 0 where there are too few faces, so that every set holds all.
    """
    true = np.sort(np.asarray(probs)[np.arange(len(labels)), labels])
    allowed = math.floor(max_error * (len(labels) + 1)) - 1  # so many true probabilities may lie below
    return float(true[allowed]) if allowed >= 0 else 0.0


def prediction_sets(probs: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Return which expressions belong to each face's set: (N, K) probabilities -> (N, K) bool."""
    return np.asarray(probs) >= threshold


def _checked(
    right: NDArray[np.bool_], confidence: NDArray[np.floating]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    answers, sure = np.asarray(right, np.bool_), np.asarray(confidence, np.float64)
    if answers.ndim != 1 or answers.shape != sure.shape or not len(answers):
        raise DataError(f"answers and confidences must be (N,) of one face or more, got {answers.shape}, {sure.shape}")
    return answers, sure
