"""Figures by the votes of FER+ (Barsoum et al., 2016): how often a classifier names the expression that people name."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.errors import DataError
from mien.labels import VOTES, parse_vote
from mien.metrics import Proportion
from mien.types import FaceSet

SURE = 0.8  # share of the votes: at so many for one expression, people agree
PANEL = 10  # annotators of a face
_DRAWS = 100  # new panels for each face


@dataclass(frozen=True, eq=False)
class FerPlusReport:
    """The answers of a classifier beside those of people.

    A face is clear where one kind of vote has more than each other, and is an expression that the classifier tells.

    Parameters
    ----------
    confusion
        (K, K) int64: the clear faces by the plurality of the votes (row) and by the classifier's answer (column).
    confidence
        The mean confidence on the clear faces.
    sure
        The accuracy where eight or more of ten votes go to one expression; None where no face is so.
    sure_confidence
        The mean confidence there; 0 where no face is so.
    ece
        The expected calibration error of the answers on the clear faces, in [0, 1].
    kl
        The mean Kullback-Leibler divergence, in nats, of the probabilities from the votes for the classes, on all
        faces that have such votes.
    annotator
        A yardstick: how often one of a clear face's own annotators chose its plurality.
    new_panel
        A yardstick: how often ten new annotators, who vote as the face's own did, would come to the same plurality.
    """

    confusion: NDArray[np.int64]
    confidence: float
    sure: Proportion | None
    sure_confidence: float
    ece: float
    kl: float
    annotator: float
    new_panel: float

    def __repr__(self) -> str:
        return f"<FerPlusReport {self.accuracy.value:.1%} of {self.accuracy.count:,} clear faces as people say>"

    @property
    def accuracy(self) -> Proportion:
        """The proportion of the clear faces that were given people's expression."""
        return Proportion(int(self.confusion.trace()), int(self.confusion.sum()))

    @property
    def recall(self) -> NDArray[np.float64]:
        """(K,) float64 for each expression; 0 where it has no clear face."""
        return metrics.recall(self.confusion)

    @property
    def mean_recall(self) -> float:
        """The plain mean of the recalls of the expressions that have clear faces, so that rare ones count as much."""
        return metrics.balanced_accuracy(self.confusion)

    def card_scores(self, split: str) -> dict[str, float]:
        """Return the figures that a model card holds, such as `valid_people_accuracy`."""
        low, high = self.accuracy.interval
        figures = {
            "accuracy": self.accuracy.value,
            "accuracy_low": low,
            "accuracy_high": high,
            "faces": float(self.accuracy.count),
            "mean_recall": self.mean_recall,
            "confidence": self.confidence,
            "kl": self.kl,
        }
        if self.sure is not None:
            figures |= {"sure_accuracy": self.sure.value, "sure_confidence": self.sure_confidence}
        return {f"{split}_people_{name}": value for name, value in figures.items()}


def ferplus_report(probs: NDArray[np.float32], faces: FaceSet) -> FerPlusReport:
    """Measure probabilities of the faces' classes, (N, K), against their votes.

    Raises DataError where the faces have no votes, or none of them is clear.
    """
    if faces.votes is None:
        raise DataError("people's answers can only be measured on faces with FER+ votes")
    classes = len(faces.class_names)
    if probs.shape != (len(faces), classes):
        raise DataError(f"probs must be {(len(faces), classes)}, a row a face, got {probs.shape}")
    named, predicted, confidence = faces.plurality, probs.argmax(axis=1), probs.max(axis=1)
    clear = named >= 0
    if not clear.any():
        raise DataError("none of the faces has an expression that most annotators named")
    shares = _shares(faces.votes)
    kinds = np.array([_kind_of(name) for name in faces.class_names])  # of votes, by class; -1 where it is none
    sure = clear & (shares.max(axis=1) >= SURE - 1e-6)
    return FerPlusReport(
        confusion=metrics.confusion_matrix(named[clear], predicted[clear], classes=classes),
        confidence=float(confidence[clear].mean()),
        sure=metrics.accuracy(named[sure], predicted[sure]) if sure.any() else None,
        sure_confidence=float(confidence[sure].mean()) if sure.any() else 0.0,
        ece=metrics.ece(named[clear], probs[clear]),
        kl=_mean_kl(np.where(kinds >= 0, faces.votes[:, kinds], 0), probs),
        annotator=float(shares[clear, kinds[named[clear]]].mean()),
        new_panel=_new_panel_agreement(shares[clear], kinds[named[clear]]),
    )


def _kind_of(name: str) -> int:
    vote = parse_vote(name)
    return VOTES.index(vote) if vote else -1


def _shares(votes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the votes of each face as shares of all its votes; 0 where it has none."""
    total = votes.sum(axis=1, keepdims=True, dtype=np.float64)
    shares: NDArray[np.float64] = np.divide(votes, total, out=np.zeros(votes.shape), where=total > 0)
    return shares


def _mean_kl(votes: NDArray[np.float32], probs: NDArray[np.float32]) -> float:
    voted = votes.sum(axis=1) > 0
    shares, said = _shares(votes[voted]), probs[voted].astype(np.float64)
    ratio = np.log(np.maximum(shares, 1e-38)) - np.log(np.maximum(said, 1e-38))
    return float((shares * ratio).sum(axis=1).mean())


def _new_panel_agreement(shares: NDArray[np.float64], named: NDArray[np.int64]) -> float:
    """Return how often a new panel's plurality is the one that was named; a tie is none."""
    rng = np.random.default_rng(0)
    agreed = 0
    for _ in range(_DRAWS):
        votes = rng.multinomial(PANEL, shares / shares.sum(axis=1, keepdims=True))
        chosen = votes[np.arange(len(named)), named]
        others = votes.copy()
        others[np.arange(len(named)), named] = -1
        agreed += int((chosen > others.max(axis=1)).sum())
    return agreed / (_DRAWS * len(named))
