"""Slices: how good a classifier is on groups of faces, and where it is worse than on the rest.

A gap is the accuracy of a group minus that of the other faces of the same slice. Who looks at many groups finds one
that is worse by chance alone. So a group is called worse or better only where its gap differs from none with 95%
confidence for all groups together (Bonferroni). The interval that is shown is of that gap alone; where it alone leaves
out no gap, the group is perhaps worse or better.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.metrics import Proportion, difference_interval

NOTABLE = 0.10  # a gap that matters: where the interval reaches further to either side, faces are too few
WORSE, BETTER, ALIKE, TOO_FEW = "worse", "better", "no clear gap", "too few faces"
PERHAPS_WORSE, PERHAPS_BETTER = "perhaps worse", "perhaps better"


@dataclass(frozen=True, eq=False)
class Slice:
    """A division of N faces into groups.

    Parameters
    ----------
    name
        Name of the property that divides them, such as `brightness`.
    groups
        The names of the groups, in the order that they are shown in.
    codes
        (N,) int64: the place of each face's group in `groups`; -1 where it is not known.

    Raises
    ------
    DataError
        Where a code is of no group.
    """

    name: str
    groups: tuple[str, ...]
    codes: NDArray[np.int64]

    def __post_init__(self) -> None:
        codes = np.asarray(self.codes, np.int64)
        if codes.ndim != 1 or ((codes < -1) | (codes >= len(self.groups))).any():
            raise DataError(f"codes of {self.name} must be (N,), each -1 to {len(self.groups) - 1}")
        object.__setattr__(self, "codes", codes)

    def __repr__(self) -> str:
        return f"<Slice {self.name}: {', '.join(self.groups)}>"

    def __len__(self) -> int:
        return len(self.codes)

    def chosen(self, rows: NDArray[np.bool_]) -> "Slice":
        """Return the same division of some of the faces.

        rows: (N,) bool, which ones. Raises DataError where it is of another number of faces.
        """
        if len(rows) != len(self):
            raise _other_faces(self, len(rows))
        return Slice(self.name, self.groups, self.codes[rows])


@dataclass(frozen=True)
class Group:
    """The accuracy on one group of faces, beside that on the rest.

    Parameters
    ----------
    slice, name
        The division, and the group's name in it.
    accuracy
        On the faces of the group.
    rest
        The accuracy on the faces of all other groups of the slice.
    interval
        The 95% interval of the gap.
    verdict
        `worse` or `better` than the rest; `perhaps worse` or `perhaps better`, where the interval leaves 0 out, which
        one group in twenty does by chance; `too few faces`, where the interval reaches more than ten points to either
        side of its middle; or `no clear gap`.
    """

    slice: str
    name: str
    accuracy: Proportion
    rest: Proportion
    interval: tuple[float, float]
    verdict: str

    def __repr__(self) -> str:
        return f"<Group {self.slice}, {self.name}: {self.accuracy.value:.1%}, {100 * self.gap:+.1f} points>"

    @property
    def gap(self) -> float:
        """The accuracy on the group minus that on the rest."""
        return self.accuracy.value - self.rest.value

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        low, high = self.accuracy.interval
        return {
            "slice": self.slice,
            "group": self.name,
            "faces": self.accuracy.count,
            "accuracy": self.accuracy.value,
            "low": low,
            "high": high,
            "gap": self.gap,
            "gap_low": self.interval[0],
            "gap_high": self.interval[1],
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class SliceReport:
    """The groups of all slices.

    Parameters
    ----------
    truth
        The answers counted as right: those that agree with the faces' `labels`, or with most of the `votes`.
    groups
        All groups that have faces, slice by slice.
    """

    truth: str
    groups: tuple[Group, ...]

    def __repr__(self) -> str:
        return f"<SliceReport {len(self.groups)} groups, {len(self.worst)} of them worse than the rest>"

    @property
    def worst(self) -> tuple[Group, ...]:
        """The groups that are worse than the rest, the largest gap first."""
        return self._judged(WORSE)

    @property
    def perhaps_worse(self) -> tuple[Group, ...]:
        """The groups that are perhaps worse than the rest, the largest gap first."""
        return self._judged(PERHAPS_WORSE)

    def _judged(self, verdict: str) -> tuple[Group, ...]:
        return tuple(sorted((group for group in self.groups if group.verdict == verdict), key=lambda group: group.gap))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "truth": self.truth,
            "worst": [{"slice": group.slice, "group": group.name, "gap": group.gap} for group in self.worst],
            "groups": [group.to_dict() for group in self.groups],
        }


def measure_slices(right: NDArray[np.bool_], slices: Sequence[Slice], *, truth: str = "labels") -> SliceReport:
    """Compare each group of each slice with the rest of its slice.

    Parameters
    ----------
    right
        (N,) bool: whether each answer is right.
    slices
        Divisions of the same N faces. One that leaves a single group is left out, since there is no rest.
    truth
        Name of what the answers are compared with.

    Raises
    ------
    DataError
        Where a slice is of another number of faces, or two have the same name.
    """
    names = [each.name.lower() for each in slices]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"each slice must have a name of its own, got {twice[0]} twice")
    counted = [(each.name, *figures) for each in slices for figures in _count(right, each)]
    level = 1 - 0.05 / max(len(counted), 1)
    groups = [
        Group(name, group, own, rest, difference_interval(own, rest), _judge(own, rest, level))
        for name, group, own, rest in counted
    ]
    return SliceReport(truth, tuple(groups))


def _count(right: NDArray[np.bool_], division: Slice) -> list[tuple[str, Proportion, Proportion]]:
    """Return the name, the proportion and the rest's proportion of each group that has faces and a rest."""
    if len(division) != len(right):
        raise _other_faces(division, len(right))
    known = division.codes >= 0
    faces = np.bincount(division.codes[known], minlength=len(division.groups)).tolist()
    hits = np.bincount(division.codes[known & right], minlength=len(division.groups)).tolist()
    return [
        (name, Proportion(hit, count), Proportion(sum(hits) - hit, sum(faces) - count))
        for name, hit, count in zip(division.groups, hits, faces, strict=True)
        if 0 < count < sum(faces)
    ]


def _other_faces(division: Slice, count: int) -> DataError:
    return DataError(f"the slice {division.name} must be of {count} faces, got {len(division)}")


def _judge(own: Proportion, rest: Proportion, level: float) -> str:
    low, high = difference_interval(own, rest, level=level)
    if high < 0:
        return WORSE
    if low > 0:
        return BETTER
    low, high = difference_interval(own, rest)
    if high < 0:
        return PERHAPS_WORSE
    if low > 0:
        return PERHAPS_BETTER
    return TOO_FEW if (high - low) / 2 > NOTABLE else ALIKE
