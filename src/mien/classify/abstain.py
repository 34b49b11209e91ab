"""A classifier that says when not to believe it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.types import Classifier, Scores

UNCERTAIN = "uncertain"


@dataclass(frozen=True, eq=False)
class Decisions:
    """The answers of an abstaining classifier.

    Parameters
    ----------
    scores
        The classifier's probabilities.
    certain
        (N,) bool: for which faces it stands by its answer.
    """

    scores: Scores
    certain: NDArray[np.bool_]

    def __repr__(self) -> str:
        return f"<Decisions {len(self.certain)} faces, {int(self.certain.sum())} of them certain>"

    @property
    def names(self) -> list[str]:
        """The most probable class of each face, or "uncertain"."""
        tops = (self.scores.class_names[top] for top in self.scores.top.tolist())
        return [name if sure else UNCERTAIN for name, sure in zip(tops, self.certain.tolist(), strict=True)]


class Abstaining:
    """A classifier that leaves out the answers of which too many would be wrong.

    At most `max_error` of its certain answers are wrong, with a probability of 95% over the faces that the threshold
    was fitted on. That holds for faces that are drawn like those, and for the classifier as it was then: not under
    another prior, nor averaged with others.

    Parameters
    ----------
    classifier
        The classifier.
    max_error
        The largest share of wrong answers, one of those that the classifier's card has a threshold for.
    threshold
        The confidence from which on it is certain, where it is not in the card.

    Raises
    ------
    ModelError
        Where no threshold is given, and the classifier's card has none.
    """

    def __init__(self, classifier: Classifier, *, max_error: float = 0.1, threshold: float | None = None) -> None:
        self.classifier = classifier
        self.max_error = max_error
        self.threshold = _card_threshold(classifier, max_error) if threshold is None else threshold

    def __call__(self, images: NDArray[np.uint8]) -> Scores:
        """Return the classifier's scores as they are: (N, 48, 48) uint8 -> Scores with N rows."""
        return self.classifier(images)

    def decide(self, images: NDArray[np.uint8]) -> Decisions:
        """Classify faces, (N, 48, 48) uint8, and say for which the answer is certain."""
        scores = self.classifier(images)
        return Decisions(scores, scores.confidence >= self.threshold)


def threshold_name(max_error: float) -> str:
    """Return the name of the threshold for an error rate among a card's scores."""
    return f"confidence_for_error_{max_error:g}"


def _card_threshold(classifier: Classifier, max_error: float) -> float:
    card: Any = getattr(classifier, "card", None)
    scores: dict[str, float] = card.scores if card is not None else {}
    if threshold_name(max_error) in scores:
        return scores[threshold_name(max_error)]
    start = threshold_name(0.0).removesuffix("0")
    known = ", ".join(sorted(name.removeprefix(start) for name in scores if name.startswith(start)))
    raise ModelError(
        f"the model's card has no threshold for an error of {max_error:g} (it has: {known or 'none'});"
        " fit one with: mien calibrate MODEL FACES -o OUT"
    )
