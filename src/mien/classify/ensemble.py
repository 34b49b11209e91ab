"""Classifiers made of classifiers. Each is itself a `Classifier`, so they nest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.types import FACE_SIDE, Classifier, ModelCard, Scores, checked_faces


@dataclass(frozen=True)
class Mirrored:
    """The mean of what a classifier says of a face and of its mirror image, since an expression has no handedness."""

    classifier: Classifier

    @property
    def name(self) -> str:
        """Of what it is made."""
        return f"{_nested(self.classifier)} mirrored"

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """(N, 48, 48) uint8 -> Scores with N rows. Raises DataError for any other array."""
        images = checked_faces(images)
        plain = self.classifier(images)
        mirrored = self.classifier(np.ascontiguousarray(images[..., ::-1]))
        return Scores((plain.probs + mirrored.probs) / np.float32(2), plain.names)


@dataclass(frozen=True)
class FiveCrop:
    """The mean of what a classifier says of a face's four corners and its middle, crops of `side` pixels made 48 again.

    `Mirrored(FiveCrop(classifier))` is the ten-crop that papers on FER2013 test with. It takes five times as long.
    Raises ModelError where side is not from 24 to 48 pixels.
    """

    classifier: Classifier
    side: int = 44

    def __post_init__(self) -> None:
        if not (isinstance(self.side, (int, np.integer)) and FACE_SIDE // 2 <= self.side <= FACE_SIDE):
            raise ModelError(f"crops must be {FACE_SIDE // 2} to {FACE_SIDE} whole pixels wide, got {self.side}")

    @property
    def name(self) -> str:
        """Of what it is made."""
        return f"{_nested(self.classifier)} five-crop"

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """(N, 48, 48) uint8 -> Scores with N rows. Raises DataError for any other array."""
        images = checked_faces(images)
        last = FACE_SIDE - self.side
        corners = [(0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 2)]
        grow = _bilinear(self.side, FACE_SIDE)
        crops = (images[:, top : top + self.side, left : left + self.side] for top, left in corners)
        heard = [self.classifier(np.rint(grow @ crop.astype(np.float32) @ grow.T).astype(np.uint8)) for crop in crops]
        return Scores(np.mean([scores.probs for scores in heard], axis=0, dtype=np.float32), heard[0].names)


@dataclass(frozen=True, init=False)
class Ensemble:
    """The mean of what several classifiers say, each weighted (all alike unless `weights` are given).

    Raises ModelError where there is no classifier, where the weights do not fit, and, when it is called, where the
    classifiers do not name the same classes in the same order.
    """

    classifiers: tuple[Classifier, ...]
    weights: tuple[float, ...]

    def __init__(self, *classifiers: Classifier, weights: Sequence[float] | None = None) -> None:
        object.__setattr__(self, "classifiers", classifiers)
        object.__setattr__(self, "weights", shares(len(classifiers), weights))

    @property
    def name(self) -> str:
        """Of what it is made; weights are named where they differ."""
        names = [_nested(classifier) for classifier in self.classifiers]
        if len(set(self.weights)) > 1:
            names = [f"{weight:.3g} {name}" for weight, name in zip(self.weights, names, strict=True)]
        return " + ".join(names)

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """(N, 48, 48) uint8 -> Scores with N rows."""
        first, *others = (classifier(images) for classifier in self.classifiers)
        probs = self.weights[0] * first.probs.astype(np.float64)
        for weight, scores in zip(self.weights[1:], others, strict=True):
            if scores.names != first.names:
                raise ModelError(f"classifiers must name the same classes, got {first.names} and {scores.names}")
            if len(scores) != len(first):
                raise ModelError(f"classifiers must return a row for each face, got {len(first)} and {len(scores)}")
            probs += weight * scores.probs
        return Scores(probs.astype(np.float32), first.names)


def shares(count: int, weights: Sequence[float] | None) -> tuple[float, ...]:
    """What each member of an ensemble counts, 1 in all: by its weight, or all alike. Raises ModelError."""
    if not count:
        raise ModelError("an ensemble must have one classifier or more, got none")
    given = tuple(float(weight) for weight in weights) if weights is not None else (1.0,) * count
    if len(given) != count:
        raise ModelError(f"weights must be {count}, one a classifier, got {len(given)}")
    if not all(math.isfinite(weight) and weight >= 0 for weight in given) or not sum(given):
        raise ModelError(f"weights must be 0 or more and not all 0, got {list(given)}")
    return tuple(weight / sum(given) for weight in given)


def averaged(classifier: Classifier, *, mirror: bool = False, five_crop: bool = False) -> Classifier:
    """A classifier that averages over each face's mirror image, its crops, both or neither."""
    if five_crop:
        classifier = FiveCrop(classifier)
    return Mirrored(classifier) if mirror else classifier


def name_of(classifier: Classifier) -> str:
    """What to call a classifier in a report: its `name`, a function's own name, or else its type's."""
    own = getattr(classifier, "name", None) or getattr(classifier, "__name__", None)
    return str(own or type(classifier).__name__)


def labels_of(classifier: Classifier) -> tuple[str, ...]:
    """The names of the classes that a classifier tells, as its model file says; of any other, those of `Scores`."""
    card = getattr(parts(classifier)[0], "card", None)
    return card.labels if isinstance(card, ModelCard) else Scores.names


def parts(classifier: Classifier) -> tuple[Classifier, ...]:
    """The classifiers that one is made of; itself where it is not made of others."""
    match classifier:
        case Mirrored() | FiveCrop():
            return parts(classifier.classifier)
        case Ensemble():
            return tuple(part for member in classifier.classifiers for part in parts(member))
        case _:
            return (classifier,)


def _bilinear(side: int, wanted: int) -> NDArray[np.float32]:
    """(wanted, side) what each pixel of a line so long takes from those of a shorter one: pixel centres are aligned."""
    places = np.clip((np.arange(wanted) + 0.5) * side / wanted - 0.5, 0, side - 1)
    nearness: NDArray[np.float64] = np.maximum(1 - np.abs(places[:, None] - np.arange(side)), 0)
    return nearness.astype(np.float32)


def _nested(classifier: Classifier) -> str:
    name = name_of(classifier)
    return f"({name})" if isinstance(classifier, Ensemble) and len(classifier.classifiers) > 1 else name
