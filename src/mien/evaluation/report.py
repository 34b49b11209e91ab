"""How good a classifier is, in figures: one `Report` of one classifier on one set of faces."""

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien._version import __version__
from mien.classify.ensemble import base_classifiers, classifier_name
from mien.errors import DataError, ModelError
from mien.labels import EXPRESSIONS, parse_expression
from mien.metrics import Proportion
from mien.types import Classifier, FaceSet, Progress, Scores, batches


@dataclass(frozen=True, eq=False)
class Report:
    """What a classifier got right and wrong on labelled faces.

    model:          the classifier's name; model_hashes: SHA-256 of each model file it is made of ("" where unknown).
    faces_hash:     `FaceSet.hash` of the faces that counted, which are the labelled ones.
    confusion:      (K, K) int64: faces of each expression (row) that were given each one (column).
    without_twins:  the accuracy on faces that have no pixel-identical twin among those seen in training, or None
                    where those are not known or no face is left.
    votes_agreed:   how often it agrees with the plurality of FER+ annotators, where there is one, or None.
    ece, nll:       expected calibration error in [0, 1]; negative log likelihood in nats.
    version:        of mien.

    Raises DataError where the confusion matrix is none.
    """

    model: str
    model_hashes: tuple[str, ...]
    faces_hash: str
    confusion: NDArray[np.int64]
    without_twins: Proportion | None
    votes_agreed: Proportion | None
    ece: float
    nll: float
    version: str = __version__

    def __post_init__(self) -> None:
        matrix = np.asarray(self.confusion, np.int64).view()
        if matrix.shape != (len(EXPRESSIONS), len(EXPRESSIONS)) or matrix.min() < 0 or not matrix.any():
            raise DataError(f"confusion must count one face or more of {len(EXPRESSIONS)} expressions, got {matrix}")
        matrix.flags.writeable = False
        object.__setattr__(self, "confusion", matrix)

    @property
    def count(self) -> int:
        """How many faces counted."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> Proportion:
        """The share of faces that were given their own expression, with its 95% interval."""
        return Proportion(int(self.confusion.trace()), self.count)

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

    def rows(self) -> list[dict[str, str | int | float]]:
        """A row an expression: its name, how many faces have it, precision, recall, F1."""
        figures = (self.confusion.sum(axis=1), self.precision, self.recall, self.f1)
        columns = ("expression", "faces", "precision", "recall", "f1")
        each = zip(EXPRESSIONS, *(values.tolist() for values in figures), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in each]

    def card_scores(self, split: str) -> dict[str, float]:
        """The figures that a model card holds, their names beginning with the split: `valid_accuracy` and so on."""
        low, high = self.accuracy.interval
        figures = {
            "accuracy": self.accuracy.value,
            "accuracy_low": low,
            "accuracy_high": high,
            "faces": float(self.count),
            "macro_f1": self.macro_f1,
            "ece": self.ece,
            "nll": self.nll,
        }
        if self.without_twins is not None:
            figures["accuracy_without_twins"] = self.without_twins.value
        if self.votes_agreed is not None:
            figures["votes_agreed"] = self.votes_agreed.value
        return {f"{split}_{name}": value for name, value in figures.items()}

    def to_json(self) -> str:
        """Everything as JSON text; shares with their 95% interval, None as null."""
        content = {
            "model": self.model,
            "model_hashes": self.model_hashes,
            "faces_hash": self.faces_hash,
            "faces": self.count,
            "accuracy": _plain(self.accuracy),
            "accuracy_without_twins": _plain(self.without_twins),
            "votes_agreed": _plain(self.votes_agreed),
            "macro": {
                "precision": metrics.macro_average(self.precision, self.confusion),
                "recall": metrics.macro_average(self.recall, self.confusion),
                "f1": self.macro_f1,
            },
            "ece": self.ece,
            "nll_nats": self.nll,
            "expressions": self.rows(),
            "confusion": self.confusion.tolist(),
            "version": self.version,
        }
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def evaluate(
    classifier: Classifier,
    faces: FaceSet,
    *,
    seen: FaceSet | None = None,
    batch: int = 256,
    progress: Progress | None = None,
) -> Report:
    """Measure a classifier on faces, of which only the labelled count.

    seen:  the faces it was trained on, so that their twins among `faces` can be left out of a second figure.
    batch: faces that are given to the classifier at a time.
    Raises DataError where no face is labelled or `batch` is less than 1, ModelError where the classifier does not know
    these expressions.
    """
    if batch < 1:
        raise DataError(f"batch must be 1 or more, got {batch}")
    labelled = faces[faces.labels >= 0]
    if not len(labelled):
        raise DataError(f"only labelled faces can be measured, got {len(faces)} faces and no label among them")
    probs = _probs(classifier, labelled, batch, progress)
    labels, predicted = labelled.labels, probs.argmax(axis=1)
    voted = None if labelled.votes is None else labelled.plurality
    return Report(
        model=classifier_name(classifier),
        model_hashes=tuple(str(getattr(part, "hash", "")) for part in base_classifiers(classifier)),
        faces_hash=labelled.hash,
        confusion=metrics.confusion_matrix(labels, predicted, classes=len(EXPRESSIONS)),
        without_twins=None if seen is None else _agreement(labels, predicted, _fresh(labelled, seen)),
        votes_agreed=None if voted is None else _agreement(voted, predicted, voted >= 0),
        ece=metrics.ece(labels, probs),
        nll=metrics.nll(labels, probs),
    )


def _probs(classifier: Classifier, faces: FaceSet, batch: int, progress: Progress | None) -> NDArray[np.float32]:
    probs = np.empty((len(faces), len(EXPRESSIONS)), np.float32)
    for rows in batches(len(faces), batch):
        images = faces.images[rows]
        scores = classifier(images)
        if len(scores) != len(images):
            raise ModelError(f"a classifier must return a row for each of {len(images)} faces, got {len(scores)}")
        probs[rows] = scores.probs[:, _columns(scores)]
        if progress is not None:
            progress(rows.stop, len(faces))
    return probs


def _columns(scores: Scores) -> list[int]:
    """Where each of EXPRESSIONS stands among the classifier's names, whatever their order and usual spelling."""
    meant = [parse_expression(name) for name in scores.class_names]
    if sorted(-1 if index is None else index for index in meant) != list(range(len(EXPRESSIONS))):
        raise ModelError(f"the classifier must know {', '.join(EXPRESSIONS)}, got {', '.join(scores.class_names)}")
    return [meant.index(index) for index in range(len(EXPRESSIONS))]


def _fresh(faces: FaceSet, seen: FaceSet) -> NDArray[np.bool_]:
    """(N,) bool: which faces have no pixel-identical twin among those seen."""
    known = {image.tobytes() for image in seen.images}
    return np.array([image.tobytes() not in known for image in faces.images])


def _agreement(wanted: NDArray[np.int64], predicted: NDArray[np.int64], which: NDArray[np.bool_]) -> Proportion | None:
    return metrics.accuracy(wanted[which], predicted[which]) if which.any() else None


def _plain(share: Proportion | None) -> dict[str, float] | None:
    if share is None:
        return None
    low, high = share.interval
    return {"value": share.value, "low": low, "high": high, "right": share.right, "faces": share.count}
