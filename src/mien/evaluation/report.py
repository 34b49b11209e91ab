"""The report of one classifier on one set of faces: its figures, as values, rows, JSON and card scores."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien._version import __version__
from mien.errors import DataError
from mien.evaluation.ferplus import FerPlusReport
from mien.evaluation.slices import SliceReport
from mien.labels import EXPRESSIONS
from mien.metrics import Proportion, Reliability
from mien.types.html_repr import table_html, titled_html


@dataclass(frozen=True, eq=False)
class Report:
    """The figures of a classifier on labelled faces.

    Parameters
    ----------
    model
        The classifier's name.
    model_hashes
        SHA-256 of each model file that it is made of; "" where it is not known.
    faces_hash
        `FaceSet.hash` of the labelled faces, which are the ones that count.
    confusion
        (K, K) int64: faces of each expression (row) that were given each one (column).
    top2
        How often the label is one of the two most probable expressions.
    brier
        Brier score of the probabilities, from 0 to 2.
    nll
        Negative log-likelihood of the labels, in nats.
    reliability
        The reliability curve of the most probable expression.
    classwise_ece
        (K,) float64: the calibration error of each expression's probability.
    without_identical, without_near
        The accuracy on faces that have no pixel-identical, or neither an identical nor a near-identical twin among the
        train faces; None where these are not known or no face is left.
    ferplus
        The answers beside the votes of FER+; None where there are no votes, or no face with a clear one.
    slices
        The accuracy on groups of faces; None where none were made.
    class_names
        The classes, in the order of the confusion matrix.
    version
        Of mien.

    Raises
    ------
    DataError
        Where the confusion matrix counts no face, or other classes.
    """

    model: str
    model_hashes: tuple[str, ...]
    faces_hash: str
    confusion: NDArray[np.int64]
    top2: Proportion
    brier: float
    nll: float
    reliability: Reliability
    classwise_ece: NDArray[np.float64]
    without_identical: Proportion | None = None
    without_near: Proportion | None = None
    ferplus: FerPlusReport | None = None
    slices: SliceReport | None = None
    class_names: tuple[str, ...] = EXPRESSIONS
    version: str = __version__

    def __post_init__(self) -> None:
        matrix = np.asarray(self.confusion, np.int64).view()
        classes = len(self.class_names)
        if matrix.shape != (classes, classes) or matrix.min() < 0 or not matrix.any():
            raise DataError(f"confusion must count one face or more of {classes} classes, got {matrix}")
        matrix.flags.writeable = False
        object.__setattr__(self, "confusion", matrix)

    def __repr__(self) -> str:
        low, high = self.accuracy.interval
        return f"<Report {self.model}: {self.accuracy.value:.1%} ({low:.1%} to {high:.1%}) of {self.count:,} faces>"

    def _repr_html_(self) -> str:
        rows = self.rows()
        shown = [[f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
        return titled_html(repr(self), table_html(list(rows[0]), shown))

    @property
    def count(self) -> int:
        """The number of labelled faces."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> Proportion:
        """The proportion of faces that were given their own expression, with its 95% interval."""
        return Proportion(int(self.confusion.trace()), self.count)

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall over the expressions that have faces."""
        return metrics.balanced_accuracy(self.confusion)

    @property
    def precision(self) -> NDArray[np.float64]:
        """(K,) float64 for each expression; 0 where it was never given."""
        return metrics.precision(self.confusion)

    @property
    def recall(self) -> NDArray[np.float64]:
        """(K,) float64 for each expression; 0 where it has no faces."""
        return metrics.recall(self.confusion)

    @property
    def f1(self) -> NDArray[np.float64]:
        """(K,) float64 for each expression."""
        return metrics.f1(self.confusion)

    @property
    def macro_f1(self) -> float:
        """The plain mean of F1 over the expressions that occur, as a label or as an answer."""
        return metrics.macro_average(self.f1, self.confusion)

    @property
    def ece(self) -> float:
        """The expected calibration error of the most probable expression, in [0, 1]."""
        return self.reliability.ece

    def rows(self) -> list[dict[str, str | int | float]]:
        """Return a row for each expression: its name, faces, precision, recall, F1 and calibration error."""
        figures = (self.confusion.sum(axis=1), self.precision, self.recall, self.f1, self.classwise_ece)
        columns = ("expression", "faces", "precision", "recall", "f1", "ece")
        each = zip(self.class_names, *(values.tolist() for values in figures), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in each]

    def card_scores(self, split: str) -> dict[str, float]:
        """Return the figures that a model card holds, by names that begin with the split, such as `valid_accuracy`."""
        low, high = self.accuracy.interval
        figures = {
            "accuracy": self.accuracy.value,
            "accuracy_low": low,
            "accuracy_high": high,
            "faces": float(self.count),
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "top2": self.top2.value,
            "brier": self.brier,
            "ece": self.ece,
            "nll": self.nll,
        }
        if self.without_identical is not None:
            figures["accuracy_without_twins"] = self.without_identical.value
        if self.without_near is not None:
            figures["accuracy_without_near_twins"] = self.without_near.value
        by_people = {} if self.ferplus is None else self.ferplus.card_scores(split)
        return {**{f"{split}_{name}": value for name, value in figures.items()}, **by_people}

    def to_json(self) -> str:
        """Return everything as JSON text, as `to_dict` does."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; proportions with their 95% interval."""
        return {
            "model": self.model,
            "model_hashes": self.model_hashes,
            "faces_hash": self.faces_hash,
            "faces": self.count,
            "accuracy": _plain(self.accuracy),
            "accuracy_without_identical_twins": _plain(self.without_identical),
            "accuracy_without_near_twins": _plain(self.without_near),
            "balanced_accuracy": self.balanced_accuracy,
            "top2_accuracy": _plain(self.top2),
            "macro": {
                "precision": metrics.macro_average(self.precision, self.confusion),
                "recall": metrics.macro_average(self.recall, self.confusion),
                "f1": self.macro_f1,
            },
            "ece": self.ece,
            "brier": self.brier,
            "nll_nats": self.nll,
            "ferplus": None if self.ferplus is None else _ferplus_json(self.ferplus),
            "reliability": {
                "faces": self.reliability.counts.tolist(),
                "confidence": self.reliability.confidence.tolist(),
                "accuracy": self.reliability.accuracy.tolist(),
            },
            "expressions": self.rows(),
            "confusion": self.confusion.tolist(),
            "slices": None if self.slices is None else self.slices.to_dict(),
            "version": self.version,
        }


def _ferplus_json(ferplus: FerPlusReport) -> dict[str, Any]:
    return {
        "accuracy": _plain(ferplus.accuracy),
        "mean_recall": ferplus.mean_recall,
        "sure_accuracy": _plain(ferplus.sure),
        "ece": ferplus.ece,
        "kl_nats": ferplus.kl,
        "one_annotator": ferplus.annotator,
        "ten_new_annotators": ferplus.new_panel,
        "confusion": ferplus.confusion.tolist(),
    }


def _plain(proportion: Proportion | None) -> dict[str, float] | None:
    if proportion is None:
        return None
    low, high = proportion.interval
    return {"value": proportion.value, "low": low, "high": high, "right": proportion.right, "faces": proportion.count}
