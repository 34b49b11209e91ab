"""An ensemble of classifiers, and what a classifier that is made of others consists of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.classify.card import ModelCard
from mien.errors import ModelError
from mien.types import Classifier, Scores


@dataclass(frozen=True, init=False)
class Ensemble:
    """Averages over several classifiers, each weighted (all alike unless `weights` are given); itself a classifier.

    Raises ModelError where there is no classifier, where the weights do not fit, and, when it is called, where the
    classifiers do not name the same classes in the same order.
    """

    classifiers: tuple[Classifier, ...]
    weights: tuple[float, ...]

    def __init__(self, *classifiers: Classifier, weights: Sequence[float] | None = None) -> None:
        object.__setattr__(self, "classifiers", classifiers)
        object.__setattr__(self, "weights", normalised_weights(len(classifiers), weights))

    @property
    def name(self) -> str:
        """The names of its classifiers, with their weights where these differ."""
        names = [nested_name(classifier) for classifier in self.classifiers]
        if len(set(self.weights)) > 1:
            names = [f"{weight:.3g} {name}" for weight, name in zip(self.weights, names, strict=True)]
        return " + ".join(names)

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """Classify faces, (N, 48, 48) uint8."""
        first, *others = (classifier(images) for classifier in self.classifiers)
        probs = self.weights[0] * first.probs.astype(np.float64)
        for weight, scores in zip(self.weights[1:], others, strict=True):
            if scores.class_names != first.class_names:
                raise ModelError(
                    f"classifiers must name the same classes, got {first.class_names} and {scores.class_names}"
                )
            if len(scores) != len(first):
                raise ModelError(f"classifiers must return a row for each face, got {len(first)} and {len(scores)}")
            probs += weight * scores.probs
        return Scores(probs.astype(np.float32), first.class_names)


def normalised_weights(count: int, weights: Sequence[float] | None) -> tuple[float, ...]:
    """Return the weights of `count` classifiers, scaled to a sum of 1; None: all alike. Raises ModelError."""
    if not count:
        raise ModelError("an ensemble must have one classifier or more, got none")
    given = tuple(float(weight) for weight in weights) if weights is not None else (1.0,) * count
    if len(given) != count:
        raise ModelError(f"weights must be {count}, one a classifier, got {len(given)}")
    if not all(math.isfinite(weight) and weight >= 0 for weight in given) or not sum(given):
        raise ModelError(f"weights must be 0 or more and not all 0, got {list(given)}")
    return tuple(weight / sum(given) for weight in given)


def classifier_name(classifier: Classifier) -> str:
    """Return what to call a classifier in a report: its `name`, a function's own name, or else its type's."""
    own = getattr(classifier, "name", None) or getattr(classifier, "__name__", None)
    return str(own or type(classifier).__name__)


def nested_name(classifier: Classifier) -> str:
    """Return a classifier's name to stand inside another name: that of a real ensemble in brackets."""
    name = classifier_name(classifier)
    return f"({name})" if isinstance(classifier, Ensemble) and len(classifier.classifiers) > 1 else name


def class_names_of(classifier: Classifier) -> tuple[str, ...]:
    """Return the classes that a classifier tells, as its model file says; of any other classifier, the seven."""
    card = getattr(base_classifiers(classifier)[0], "card", None)
    return card.class_names if isinstance(card, ModelCard) else Scores.class_names


def base_classifiers(classifier: Classifier) -> tuple[Classifier, ...]:
    """Return the classifiers that one is made of; itself where it is not made of others."""
    if isinstance(classifier, Ensemble):
        return tuple(base for member in classifier.classifiers for base in base_classifiers(member))
    inner = getattr(classifier, "classifier", None)  # of `Mirrored`, `FiveCrop`, and others that wrap one
    return (classifier,) if inner is None else base_classifiers(inner)
