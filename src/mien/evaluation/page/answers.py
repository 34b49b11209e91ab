"""The answers of a model on the faces of a page, with the figures that its charts show."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.evaluation.selective import RiskCoverage, risk_coverage
from mien.metrics import Proportion, Reliability


@dataclass(frozen=True, eq=False)
class Answers:
    """The probabilities of one model on N faces.

    Parameters
    ----------
    model
        The model's name.
    labels
        (N,) int64: the right class of each face.
    probs
        (N, K) float32.
    class_names
        The K classes.
    """

    model: str
    labels: NDArray[np.int64]
    probs: NDArray[np.float32]
    class_names: tuple[str, ...]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) int64: the most probable class of each face."""
        return np.asarray(self.probs.argmax(axis=1), np.int64)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """(N,) float32: the probability of that class."""
        return np.asarray(self.probs.max(axis=1), np.float32)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """(N,) bool: whether it is the right one."""
        return np.asarray(self.predicted == self.labels, np.bool_)

    @cached_property
    def accuracy(self) -> Proportion:
        """The share of right answers."""
        return metrics.accuracy(self.labels, self.predicted)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """(K, K) int64: faces by right class (row) and by answer (column)."""
        return metrics.confusion_matrix(self.labels, self.predicted, classes=len(self.class_names))

    @cached_property
    def reliability(self) -> Reliability:
        """The reliability curve, in ten bins of equal width."""
        return metrics.reliability(self.right, self.confidence, bins=10)

    @cached_property
    def ece(self) -> float:
        """The expected calibration error, in 15 bins as papers have it."""
        return metrics.ece(self.labels, self.probs)

    @cached_property
    def risk(self) -> RiskCoverage:
        """The risk-coverage curve."""
        return risk_coverage(self.right, self.confidence)

    @property
    def recalls(self) -> list[Proportion | None]:
        """The recall of each class; None where it has no face."""
        return _proportions(self.confusion.diagonal(), self.confusion.sum(axis=1))

    @property
    def precisions(self) -> list[Proportion | None]:
        """The precision of each class; None where it was never the answer."""
        return _proportions(self.confusion.diagonal(), self.confusion.sum(axis=0))

    def error_at(self, coverage: float) -> float:
        """Return the share of wrong ones among the surest answers, where that share of all is kept."""
        kept = max(1, round(coverage * len(self.labels)))
        return float(self.risk.risk[kept - 1])


def _proportions(part: NDArray[np.int64], whole: NDArray[np.int64]) -> list[Proportion | None]:
    pairs = zip(part.tolist(), whole.tolist(), strict=True)
    return [Proportion(right, count) if count else None for right, count in pairs]
