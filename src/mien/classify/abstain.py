"""A classifier that says when not to believe it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.classify.ensemble import classifier_name
from mien.errors import ModelError
from mien.types import Classifier, Scores

MAX_ERRORS = (0.05, 0.1, 0.15, 0.2)  # those that a model's card has thresholds for
# And the error: the names, among a card's scores, of a threshold and of the share of answers that it keeps.
_THRESHOLD, _COVERAGE = "confidence_for_error_", "coverage_for_error_"


class Abstaining:
    """A classifier that does not stand by the answers of which too many would be wrong: it names them "uncertain".

    At most `max_error` of its other answers are wrong, with a probability of 95% over the faces that the threshold was
    fitted on. That holds for faces that are drawn like those, and for the classifier as it was then: not under another
    prior, nor averaged with others.

    Parameters
    ----------
    classifier
        The classifier.
    max_error
        The largest share of wrong answers, one of those that the classifier's card has a threshold for.
    threshold
        The confidence from which on it stands by its answer, where that is not in the card.

    Raises
    ------
    ModelError
        Where no threshold is given, and the classifier's card has none.
    """

    def __init__(self, classifier: Classifier, *, max_error: float = 0.1, threshold: float | None = None) -> None:
        self.classifier = classifier
        self.threshold = _card_threshold(classifier, max_error) if threshold is None else threshold

    @property
    def name(self) -> str:
        """The classifier's name."""
        return classifier_name(self.classifier)

    def __call__(self, images: NDArray[np.uint8]) -> Scores:
        """(N, 48, 48) uint8 -> Scores with N rows, whose `certain` and `names` say which answers it stands by."""
        return replace(self.classifier(images), certain_from=self.threshold)


def threshold_name(max_error: float) -> str:
    """Return the name of the threshold for an error rate among a card's scores."""
    return f"{_THRESHOLD}{max_error:g}"


def coverage_name(max_error: float) -> str:
    """Return the name, among a card's scores, of the share of answers that the threshold for an error rate keeps."""
    return f"{_COVERAGE}{max_error:g}"


def without_thresholds(scores: Mapping[str, float]) -> dict[str, float]:
    """Return a card's scores without its thresholds, which hold for the probabilities that they were fitted on."""
    return {name: value for name, value in scores.items() if not name.startswith((_THRESHOLD, _COVERAGE))}


def _card_threshold(classifier: Classifier, max_error: float) -> float:
    card: Any = getattr(classifier, "card", None)
    scores: dict[str, float] = card.scores if card is not None else {}
    if threshold_name(max_error) in scores:
        return scores[threshold_name(max_error)]
    known = ", ".join(sorted(name.removeprefix(_THRESHOLD) for name in scores if name.startswith(_THRESHOLD)))
    raise ModelError(
        f"the model's card has no threshold for an error of {max_error:g} (it has: {known or 'none'});"
        " fit one with: mien calibrate MODEL FACES -o OUT"
    )
