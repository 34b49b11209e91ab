"""Saliency: a map of the areas of a face that speak for an expression, and a test of whether it means anything.

`rise` and `occlusion` hide parts of the face and watch the probability of the expression, so they work with any
classifier. A hidden pixel gets the value of the strongly blurred face, which looks more like a face than black does.
`grad-cam` needs a classifier that has gradients, such as `mien.train.NetClassifier`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mien.classify.ensemble import classifier_name
from mien.errors import DataError, ModelError
from mien.evaluation.corruptions import blurred
from mien.labels import parse_class
from mien.types import FACE_SIDE, Classifier, Scores, batches, require_faces

Method = Literal["rise", "occlusion", "grad-cam"]
Map = NDArray[np.float64]  # (48, 48)

MASKS = 2000  # of RISE, unless another number is asked for
_CELL = 7.0  # pixels: the side of a cell of RISE's masks
_WINDOW = 9  # pixels: the side of the window that occlusion moves
_HIDING = 8.0  # pixels: the deviation of the blur that hides
_STEPS = 24  # in which pixels are deleted and inserted
_RANDOM_MAPS = 10
_BATCH = 256
_CHANCE = 2.0  # standard deviations of random maps: so far above their mean a map must be
_CLEARLY = 0.5  # the same, above the centred blob: a medium effect by Cohen (1988)


@runtime_checkable
class HasGradCam(Protocol):
    """A classifier with gradients."""

    def grad_cam(self, face: NDArray[np.uint8], target: int, /) -> Map:
        """(48, 48) uint8 and the place of a class -> what speaks for the class, (48, 48) float64."""
        ...


@dataclass(frozen=True)
class Faithfulness:
    """The areas under the deletion and the insertion curve of a map (Petsiuk et al., 2018), in [0, 1].

    Parameters
    ----------
    deletion
        The mean probability of the expression while the pixels are hidden, those with the highest values first. Low
        is good.
    insertion
        The mean probability while the pixels of the hidden face are shown, in the same order. High is good.
    """

    deletion: float
    insertion: float

    @property
    def gain(self) -> float:
        """Insertion minus deletion: 0 for a map that says nothing about an additive classifier, higher is better."""
        return self.insertion - self.deletion


@dataclass(frozen=True, eq=False)
class Saliency:
    """The areas of a face that speak for an expression.

    Parameters
    ----------
    model
        The classifier's name.
    face
        (48, 48) uint8.
    scores
        What the classifier says of the face: one row.
    expression
        The class that the map is of.
    map
        (48, 48) float64: by how much the probability of the expression is higher on average when the pixel is shown
        than when it is hidden; of `grad-cam`, which has no such unit, the weighted sum of a net's maps. Negative values
        speak against the expression.
    faithfulness, of_blob, of_random
        The test of the map, of a centred blob, and the mean of random smooth maps.
    spread
        The standard deviation of the gains of the random maps.
    """

    model: str
    face: NDArray[np.uint8]
    scores: Scores
    expression: str
    map: Map
    faithfulness: Faithfulness
    of_blob: Faithfulness
    of_random: Faithfulness
    spread: float

    def __repr__(self) -> str:
        return f"<Saliency of {self.expression} {self.probability:.0%} for {self.model}: {self.verdict}>"

    @property
    def probability(self) -> float:
        """The probability of the expression on the whole face."""
        return float(self.scores.probs[0, self.scores.class_names.index(self.expression)])

    @property
    def bars(self) -> tuple[float, float]:
        """The gains that the map must exceed to be better than the centred blob, and than random maps.

        The first is the blob's gain and half a standard deviation of the random maps' gains, the second is their mean
        and two.
        """
        return self.of_blob.gain + _CLEARLY * self.spread, self.of_random.gain + _CHANCE * self.spread

    @property
    def is_meaningful(self) -> bool:
        """Tell whether the map is clearly better than the centred blob and than random maps."""
        return self.faithfulness.gain > max(self.bars)

    @property
    def verdict(self) -> str:
        """Say in a few words whether the map means anything."""
        if self.is_meaningful:
            return "better than chance and than the middle"
        near_random = self.faithfulness.gain <= self.bars[1]
        return f"not clearly better than {'random maps' if near_random else 'a blob in the middle'}"

    @property
    def thirds(self) -> tuple[float, float, float]:
        """The shares of what speaks for the expression in the upper, middle and lower third of the face."""
        rows = self.map.clip(min=0).reshape(3, -1).sum(axis=1)
        upper, middle, lower = (rows / (rows.sum() or 1)).tolist()
        return upper, middle, lower

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the face, JSON-safe."""
        tests = {"map": self.faithfulness, "centred_blob": self.of_blob, "random_maps": self.of_random}
        upper, middle, lower = self.thirds
        return {
            "model": self.model,
            "expression": self.expression,
            "probability": self.probability,
            "probabilities": dict(zip(self.scores.class_names, self.scores.probs[0].tolist(), strict=True)),
            "meaningful": self.is_meaningful,
            "tests": {name: {"deletion": test.deletion, "insertion": test.insertion} for name, test in tests.items()},
            "random_maps_spread": self.spread,
            "needed": max(self.bars),
            "speaks_for": {"upper_third": upper, "middle_third": middle, "lower_third": lower},
            "map": self.map.tolist(),
        }


def explain(
    classifier: Classifier,
    face: NDArray[np.uint8],
    *,
    expression: str | None = None,
    method: Method = "rise",
    masks: int = MASKS,
    seed: int = 0,
) -> Saliency:
    """Find the areas of a face that speak for an expression, and test the map.

    Parameters
    ----------
    face
        (48, 48) uint8.
    expression
        One of the classifier's classes, in any usual spelling; None: its answer.
    method
        `rise` (Petsiuk et al., 2018): random smooth masks. `occlusion` (Zeiler and Fergus, 2014): a window that moves.
        `grad-cam` (Selvaraju et al., 2017): gradients, of a `HasGradCam`.
    masks
        How many masks RISE draws.
    seed
        Of the masks, and of the random maps of the test.

    Raises
    ------
    DataError
        Where the face is another array, or there is no such expression.
    ModelError
        Where `grad-cam` is asked of a classifier without gradients.
    """
    if method == "grad-cam" and not isinstance(classifier, HasGradCam):
        raise ModelError(
            f"grad-cam needs the gradients of one net, and {classifier_name(classifier)} gives answers alone: take the "
            "method rise or occlusion, or name the folder of a run as the model"
        )
    image = require_faces(np.asarray(face)[None])[0]
    if masks < 2:
        raise DataError(f"the number of masks must be 2 or more, got {masks}")
    scores = classifier(image[None])
    target = int(scores.top[0]) if expression is None else _class_of(expression, scores.class_names)
    hidden = blurred(image[None].astype(np.float32), _HIDING)[0]

    def probability(shown: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of the expression for shares of the face that are shown: (M, 48, 48) -> (M,)."""
        probs = np.empty(len(shown))
        for rows in batches(len(shown), _BATCH):
            mixed = hidden + shown[rows] * (image - hidden)
            probs[rows] = classifier(np.rint(mixed).clip(0, 255).astype(np.uint8)).probs[:, target]
        return probs

    rng = np.random.default_rng(seed)
    if method == "grad-cam" and isinstance(classifier, HasGradCam):
        found = classifier.grad_cam(image, target)
    else:
        found = rise(probability, masks=masks, rng=rng) if method == "rise" else occlusion(probability)
    random = [faithfulness(probability, smooth_masks(1, rng)[0]) for _ in range(_RANDOM_MAPS)]
    return Saliency(
        model=classifier_name(classifier),
        face=image,
        scores=scores,
        expression=scores.class_names[target],
        map=found,
        faithfulness=faithfulness(probability, found),
        of_blob=faithfulness(probability, _centred_blob()),
        of_random=Faithfulness(
            float(np.mean([test.deletion for test in random])), float(np.mean([test.insertion for test in random]))
        ),
        spread=float(np.std([test.gain for test in random], ddof=1)),
    )


def rise(
    probability: Callable[[NDArray[np.floating]], NDArray[np.float64]], *, masks: int, rng: np.random.Generator
) -> Map:
    """Return the slope of the probability over each pixel's being shown, by random masks (Petsiuk et al., 2018).

    Masks come in pairs of opposites, which takes half of the noise out. The mean over masks is centred and divided by
    the variance of each pixel, so that its unit is a difference of probabilities.
    """
    half = smooth_masks(-(-masks // 2), rng)
    total, variance = np.zeros((FACE_SIDE, FACE_SIDE)), np.zeros((FACE_SIDE, FACE_SIDE))
    for rows in batches(len(half), _BATCH):
        centred = half[rows].astype(np.float64) - 0.5
        difference = probability(0.5 + centred) - probability(0.5 - centred)
        total += np.tensordot(difference, centred, axes=1)
        variance += 2 * (centred**2).sum(axis=0)
    slope: Map = total / variance
    return slope


def occlusion(probability: Callable[[NDArray[np.floating]], NDArray[np.float64]]) -> Map:
    """Return how much the probability falls when a window around each pixel is hidden (Zeiler and Fergus, 2014).

    The window moves by a third of its side. A pixel's value is the mean over the windows that hold it.
    """
    starts = range(-_WINDOW + _WINDOW // 3, FACE_SIDE, _WINDOW // 3)
    line = np.array([[start <= place < start + _WINDOW for place in range(FACE_SIDE)] for start in starts], np.float64)
    windows = (line[:, None, :, None] * line[None, :, None, :]).reshape(-1, FACE_SIDE, FACE_SIDE)
    whole = probability(np.ones((1, FACE_SIDE, FACE_SIDE)))
    falls = whole - probability(1 - windows)
    mean: Map = np.tensordot(falls, windows, axes=1) / windows.sum(axis=0)
    return mean


def faithfulness(
    probability: Callable[[NDArray[np.floating]], NDArray[np.float64]], saliency: NDArray[np.floating]
) -> Faithfulness:
    """Hide the pixels of a map in the order of their values, and show them in that order, in 24 steps."""
    order = np.argsort(-saliency, axis=None, kind="stable")
    rank = np.empty(order.size)
    rank[order] = np.arange(order.size) / order.size
    shares = np.linspace(0, 1, _STEPS + 1)[:, None, None]
    first = (rank.reshape(FACE_SIDE, FACE_SIDE) < shares).astype(np.float64)
    return Faithfulness(_area(probability(1 - first)), _area(probability(first)))


def smooth_masks(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw smooth masks, (count, 48, 48) float32 in [0, 1]: cells of 7 pixels, on or off, interpolated and shifted."""
    cells = int(FACE_SIDE // _CELL) + 3  # so that a shifted grid covers the last pixel, too
    grid = rng.integers(0, 2, (count, cells, cells)).astype(np.float32)
    places = (np.arange(FACE_SIDE) + rng.uniform(0, _CELL, (2, count, 1))) / _CELL  # in cells
    down, across = (1 - np.abs(places[..., None] - np.arange(cells))).clip(min=0).astype(np.float32)
    masks: NDArray[np.float32] = down @ grid @ across.swapaxes(1, 2)
    return masks


def _class_of(expression: str, class_names: tuple[str, ...]) -> int:
    found = parse_class(expression, class_names)
    if found is None:
        raise DataError(f"the expression must be one of {', '.join(class_names)}, got {expression}")
    return found


def _area(probs: NDArray[np.float64]) -> float:
    """Return the area under a curve over [0, 1], by trapezoids."""
    return float((probs[1:] + probs[:-1]).mean() / 2)


def _centred_blob() -> Map:
    line = np.arange(FACE_SIDE) - (FACE_SIDE - 1) / 2
    blob: Map = -(line**2 + line[:, None] ** 2)
    return blob
