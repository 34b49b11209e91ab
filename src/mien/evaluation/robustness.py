"""Robustness: how much of its accuracy a classifier keeps when faces are corrupted (Hendrycks and Dietterich, 2019)."""

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.classify.ensemble import classifier_name
from mien.errors import DataError
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mien.evaluation.evaluate import score_faces
from mien.evaluation.truth import Against, Truth, find_truth
from mien.metrics import Proportion
from mien.types import Classifier, FaceSet, Progress, batches

SAMPLE = 1000  # faces that are corrupted, unless another number is asked for
_AT_ONCE = 1024  # faces that are corrupted at a time
_RESAMPLED = 1000  # times that the faces are drawn for an interval


@dataclass(frozen=True, eq=False)
class Robustness:
    """The answers of a classifier on the same faces, clean and corrupted.

    Parameters
    ----------
    model
        The classifier's name.
    truth
        What answers were compared with, `votes` or `labels`; see `Truth`.
    faces_hash
        `FaceSet.hash` of the faces that were drawn.
    clean
        (N,) bool: whether the answer on each face is right.
    right
        (C, 5, N) bool: the same for each corruption and severity.
    corruptions
        The C names.
    seed
        Of the draw of faces, and of the corruptions.
    """

    model: str
    truth: str
    faces_hash: str
    clean: NDArray[np.bool_]
    right: NDArray[np.bool_]
    corruptions: tuple[str, ...] = tuple(CORRUPTIONS)
    seed: int = 0

    def __post_init__(self) -> None:
        wanted = (len(self.corruptions), SEVERITIES, len(self.clean))
        if self.right.shape != wanted or not self.right.size:
            raise DataError(f"right must be {wanted}, none of them 0, got {self.right.shape}")

    def __repr__(self) -> str:
        corrupted = f"{self.mean_accuracy:.1%} over {len(self.corruptions)} corruptions"
        return f"<Robustness {self.model}: {self.clean_accuracy.value:.1%} clean, {corrupted}>"

    @property
    def count(self) -> int:
        """The number of faces."""
        return len(self.clean)

    @property
    def clean_accuracy(self) -> Proportion:
        """The accuracy on the faces as they are."""
        return Proportion(int(self.clean.sum()), self.count)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(C, 5) float64: the accuracy at each corruption and severity."""
        accuracy: NDArray[np.float64] = self.right.mean(axis=2)
        return accuracy

    @property
    def mean_accuracy(self) -> float:
        """The mean accuracy over all corruptions and severities."""
        return float(self.right.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the mean accuracy, over draws of faces."""
        each = self.right.mean(axis=(0, 1))  # by face, since its answers depend on one another
        half = NormalDist().inv_cdf(0.975) * float(each.std()) / self.count**0.5
        return max(0.0, self.mean_accuracy - half), min(1.0, self.mean_accuracy + half)

    def card_scores(self, split: str) -> dict[str, float]:
        """Return the figures that a model card holds, such as `valid_corrupted_accuracy` and `valid_corrupted_mask`."""
        low, high = self.interval
        means = zip(self.corruptions, self.accuracy.mean(axis=1).tolist(), strict=True)
        figures = {
            "accuracy": self.mean_accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
            "faces": float(self.count),
            "clean": self.clean_accuracy.value,
        }
        return {f"{split}_corrupted_{name}": value for name, value in (*figures.items(), *means)}

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the single answers, JSON-safe."""
        low, high = self.interval
        return {
            "model": self.model,
            "truth": self.truth,
            "faces": self.count,
            "faces_hash": self.faces_hash,
            "seed": self.seed,
            "clean_accuracy": self.clean_accuracy.value,
            "mean_accuracy": {"value": self.mean_accuracy, "low": low, "high": high},
            "accuracy": dict(zip(self.corruptions, self.accuracy.tolist(), strict=True)),
        }


@dataclass(frozen=True, eq=False)
class CorruptionError:
    """The errors of one classifier on corrupted faces, as shares of those of another on the same faces.

    The corruption error of a corruption c is CE_c = sum_s E_(s,c) / sum_s F_(s,c), where E and F are the error rates of
    the two at severity s; mCE is the mean over the corruptions. The relative one takes what is lost: CE_c =
    sum_s (E_(s,c) - E_clean) / sum_s (F_(s,c) - F_clean). Under 1, the first is the better one.

    Raises DataError where the two were not measured on the same faces, seed, truth and corruptions.
    """

    first: Robustness
    second: Robustness

    def __post_init__(self) -> None:
        same = ("truth", "faces_hash", "corruptions", "seed")
        if any(getattr(self.first, name) != getattr(self.second, name) for name in same):
            raise DataError(f"two models must be corrupted alike: the same {', '.join(same)}")

    def __repr__(self) -> str:
        low, high = self.interval
        told = f"{self.mean:.2f} ({low:.2f} to {high:.2f})" if self.exists else "none, the second makes no error"
        return f"<CorruptionError of {self.first.model} by {self.second.model}: {told}>"

    @property
    def exists(self) -> bool:
        """Tell whether there is any, since the second makes an error on some corrupted face."""
        return bool(np.isfinite(self.each).any())

    @property
    def each(self) -> NDArray[np.float64]:
        """(C,) float64: CE of each corruption; NaN where the second makes no error."""
        return _ratio(*(1 - one.accuracy.mean(axis=1) for one in (self.first, self.second)))

    @property
    def mean(self) -> float:
        """The mean corruption error, over the corruptions on which the second makes errors; NaN if on none."""
        return _mean(self.each)

    @property
    def relative(self) -> float:
        """The relative mean corruption error; corruptions by which the second loses nothing do not count."""
        return _mean(_ratio(*(one.clean.mean() - one.accuracy.mean(axis=1) for one in (self.first, self.second))))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the mean corruption error, over draws of the faces (percentile bootstrap, seeded)."""
        rng = np.random.default_rng(0)
        count = self.first.count
        drawn = rng.multinomial(count, np.full(count, 1 / count), _RESAMPLED) / count  # (B, N)
        errors = [drawn @ (1 - one.right.mean(axis=1)).T for one in (self.first, self.second)]  # (B, C)
        means = [_mean(row) for row in _ratio(*errors)]
        low, high = np.nanquantile(means, (0.025, 0.975)) if np.isfinite(means).any() else (np.nan, np.nan)
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-safe: None where there is none."""
        low, high = self.interval
        figures = {"mce": self.mean, "low": low, "high": high, "relative_mce": self.relative}
        plain = {name: _or_none(value) for name, value in figures.items()}
        each = zip(self.first.corruptions, map(_or_none, self.each.tolist()), strict=True)
        return {"model": self.second.model, **plain, "corruption_error": dict(each)}


def robustness(
    classifier: Classifier,
    faces: FaceSet,
    *,
    against: Against = "auto",
    sample: int = SAMPLE,
    seed: int = 0,
    progress: Progress | None = None,
) -> Robustness:
    """Measure a classifier on faces, clean and with each corruption in each severity.

    Parameters
    ----------
    faces
        The faces; those for which the right answer is not known do not count.
    against
        What answers are compared with: `labels`, `votes`, or `auto`, as `find_truth` says.
    sample
        How many faces are drawn; 0: all.
    seed
        Of the draw, and of the corruptions.
    progress
        Is told how many faces are done.

    Raises
    ------
    DataError
        Where the right answer is known for no face, or `sample` is negative.
    """
    truth = find_truth(faces, classifier, against)
    rows = _draw(truth, sample, seed)
    drawn, answers = faces[rows], truth.classes[rows]
    total = len(drawn) * (1 + len(CORRUPTIONS) * SEVERITIES)
    done = 0

    def right(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
        nonlocal done
        probs = score_faces(classifier, replace(drawn, images=images))
        done += len(images)
        if progress is not None:
            progress(done, total)
        found: NDArray[np.bool_] = probs.argmax(axis=1) == answers
        return found

    clean = right(drawn.images)
    corrupted = [
        [right(_corrupted(drawn.images, name, severity, seed)) for severity in range(1, SEVERITIES + 1)]
        for name in CORRUPTIONS
    ]
    return Robustness(classifier_name(classifier), truth.name, drawn.hash, clean, np.array(corrupted), seed=seed)


def _draw(truth: Truth, sample: int, seed: int) -> NDArray[np.int64]:
    """Draw the rows of faces for which the right answer is known."""
    if sample < 0:
        raise DataError(f"the number of faces must be 0 (all) or more, got {sample}")
    rows = np.flatnonzero(truth.known)
    if not len(rows):
        raise DataError("robustness needs faces with a label or clear votes, got none")
    return np.sort(np.random.default_rng(seed).choice(rows, sample, replace=False)) if 0 < sample < len(rows) else rows


def _corrupted(images: NDArray[np.uint8], name: str, severity: int, seed: int) -> NDArray[np.uint8]:
    """Corrupt faces, some at a time, so that memory stays flat."""
    parts = enumerate(batches(len(images), _AT_ONCE))
    return np.concatenate([corrupt(images[rows], name, severity, seed=seed + place) for place, rows in parts])


def _ratio(errors: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide where the divisor is positive; NaN elsewhere."""
    ratio: NDArray[np.float64] = np.divide(errors, others, out=np.full(errors.shape, np.nan), where=others > 0)
    return ratio


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
