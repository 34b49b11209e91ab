"""How often a classifier names the expression that people name: figures by the votes of FER+ (Barsoum et al., 2016)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.errors import DataError
from mien.labels import EXPRESSIONS
from mien.metrics import Proportion
from mien.types import FaceSet

SURE = 0.8  # share of the votes: at so many for one expression, people agree


@dataclass(frozen=True, eq=False)
class FerPlusReport:
    """What a classifier says of faces that ten people have judged.

    A face is clear where one kind of vote has more than each other, and is an expression that the classifier tells.

    confusion:       (K, K) int64: the clear faces of each expression (row), by people's plurality, that were given each
                     one (column).
    confidence:      the mean confidence on the clear faces.
    sure:            the accuracy where eight or more of ten votes go to one expression; None where no face is so.
    sure_confidence: the mean confidence there; 0 where no face is so.
    """

    confusion: NDArray[np.int64]
    confidence: float
    sure: Proportion | None
    sure_confidence: float

    @property
    def accuracy(self) -> Proportion:
        """The share of the clear faces that were given people's expression."""
        return Proportion(int(self.confusion.trace()), int(self.confusion.sum()))

    @property
    def recall(self) -> NDArray[np.float64]:
        """(K,) float64 for each expression; 0 where it has no clear face."""
        return metrics.recall(self.confusion)

    @property
    def mean_recall(self) -> float:
        """The plain mean of the recalls of the expressions that have clear faces, so that rare ones count as much."""
        return float(self.recall[self.confusion.sum(axis=1) > 0].mean())

    def card_scores(self, split: str) -> dict[str, float]:
        """The figures that a model card holds, such as `valid_people_accuracy`."""
        low, high = self.accuracy.interval
        figures = {
            "accuracy": self.accuracy.value,
            "accuracy_low": low,
            "accuracy_high": high,
            "faces": float(self.accuracy.count),
            "mean_recall": self.mean_recall,
            "confidence": self.confidence,
        }
        if self.sure is not None:
            figures |= {"sure_accuracy": self.sure.value, "sure_confidence": self.sure_confidence}
        return {f"{split}_people_{name}": value for name, value in figures.items()}


def ferplus_report(probs: NDArray[np.float32], faces: FaceSet) -> FerPlusReport:
    """Measure probabilities of the seven expressions, (N, 7), against the votes of the faces.

    Raises DataError where the faces have no votes, or none of them is clear.
    """
    if faces.votes is None:
        raise DataError("people's answers can only be measured on faces with FER+ votes")
    if probs.shape != (len(faces), len(EXPRESSIONS)):
        raise DataError(f"probs must be {(len(faces), len(EXPRESSIONS))}, a row a face, got {probs.shape}")
    named, predicted, confidence = faces.plurality, probs.argmax(axis=1), probs.max(axis=1)
    clear = named >= 0
    if not clear.any():
        raise DataError("none of the faces has an expression that most annotators named")
    share = faces.votes.max(axis=1) / np.maximum(faces.votes.sum(axis=1), 1)
    sure = clear & (share >= SURE - 1e-6)
    return FerPlusReport(
        confusion=metrics.confusion_matrix(named[clear], predicted[clear], classes=len(EXPRESSIONS)),
        confidence=float(confidence[clear].mean()),
        sure=metrics.accuracy(named[sure], predicted[sure]) if sure.any() else None,
        sure_confidence=float(confidence[sure].mean()) if sure.any() else 0.0,
    )
