"""A paired comparison of two classifiers: the same faces, so that most of the chance in them falls out."""

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.metrics import Proportion


@dataclass(frozen=True)
class PairedComparison:
    """Two classifiers on the same faces, by which of them was right.

    Parameters
    ----------
    both, only_first, only_second, neither
        How many faces both classifiers, one of them, or none classified right.
    """

    both: int
    only_first: int
    only_second: int
    neither: int

    def __repr__(self) -> str:
        low, high = self.interval
        return f"<PairedComparison {100 * self.difference:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f})>"

    @property
    def count(self) -> int:
        """The number of faces."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def first(self) -> Proportion:
        """The accuracy of the first classifier."""
        return Proportion(self.both + self.only_first, self.count)

    @property
    def second(self) -> Proportion:
        """The accuracy of the second classifier."""
        return Proportion(self.both + self.only_second, self.count)

    @property
    def difference(self) -> float:
        """The accuracy of the first minus that of the second."""
        return (self.only_first - self.only_second) / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the difference, for paired proportions (Agresti and Min, 2005)."""
        count, one, other = self.count + 2, self.only_first + 0.5, self.only_second + 0.5
        centre = (one - other) / count
        error = math.sqrt(one + other - (one - other) ** 2 / count) / count
        half = NormalDist().inv_cdf(0.975) * error
        return max(-1.0, centre - half), min(1.0, centre + half)

    @property
    def p_value(self) -> float:
        """The exact two-sided p value of McNemar (1947): how likely is such a difference between equally good ones."""
        discordant, fewer = self.only_first + self.only_second, min(self.only_first, self.only_second)
        ways: int = sum(math.comb(discordant, number) for number in range(fewer + 1))
        return min(1.0, float(2 * ways / 2**discordant))

    def to_dict(self) -> dict[str, Any]:
        """Return the counts and all figures, JSON-safe."""
        low, high = self.interval
        figures = {"difference": self.difference, "low": low, "high": high, "mcnemar_p": self.p_value}
        return {**asdict(self), **figures}


def compare_predictions(
    labels: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> PairedComparison:
    """Compare what two classifiers predicted for the same faces: three arrays of classes, (N,).

    Raises DataError where there is no face, or the arrays differ in length.
    """
    if not labels.shape == first.shape == second.shape or labels.ndim != 1 or not len(labels):
        raise DataError(f"all must be (N,) of one face or more, got {labels.shape}, {first.shape} and {second.shape}")
    one, other = first == labels, second == labels
    cells = (one & other, one & ~other, ~one & other, ~one & ~other)
    return PairedComparison(*(int(cell.sum()) for cell in cells))
