"""The scores that a classifier gives faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.labels import EXPRESSIONS, parse_vote
from mien.types.checks import count_of, frozen, require
from mien.types.html_repr import table_html, titled_html

UNCERTAIN = "uncertain"  # the name of an answer that its classifier does not stand by

_SHOWN = 3  # rows that the one-line form names
_TABLE = 14  # rows that a notebook shows


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """The scores that a classifier gives N faces: a probability for each class.

    Parameters
    ----------
    probs
        (N, K) float32, probabilities in [0, 1]; rows sum to 1.
    class_names
        The K classes, in the order of the columns.
    certain_from
        The confidence from which on the classifier stands by its answer; 0: always.

    Raises
    ------
    ModelError
        Where a row is no distribution (NaN, negative, or not summing to 1 within 1e-3).
    """

    probs: NDArray[np.float32]
    class_names: tuple[str, ...] = EXPRESSIONS
    certain_from: float = 0.0

    def __post_init__(self) -> None:
        probs = np.asarray(self.probs)
        require(
            probs.ndim == 2 and probs.shape[1] == len(self.class_names),
            f"probs must be (N, {len(self.class_names)}), a column for each class, got {probs.shape}",
            ModelError,
        )
        object.__setattr__(self, "probs", frozen(probs, np.float32))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        sound = bool(np.all(self.probs >= 0)) and bool(np.all(np.abs(self.probs.sum(axis=1) - 1) < 1e-3))
        require(sound, "each row of probs must be probabilities that sum to 1", ModelError)

    def __len__(self) -> int:
        return len(self.probs)

    def __getitem__(self, chosen: NDArray[Any] | slice) -> "Scores":
        """Select the rows that a mask, indices or a slice choose."""
        return Scores(self.probs[chosen], self.class_names, self.certain_from)

    def __repr__(self) -> str:
        tops = self.describe_tops()
        return f"<Scores {count_of(len(self), 'face')}, {len(self.class_names)} classes{tops and f': {tops}'}>"

    def _repr_html_(self) -> str:
        rows = [[f"{prob:.2f}" for prob in row] for row in self.probs[:_TABLE].tolist()]
        return titled_html(repr(self), table_html(self.class_names, rows))

    def describe_tops(self) -> str:
        """Return the classes and probabilities of the first rows, such as `happy 91%, sad 60%`."""
        tops = [f"{name} {prob:.0%}" for name, prob in zip(self.names, self.confidence, strict=True)]
        return ", ".join(tops[:_SHOWN] + ["..."] * (len(tops) > _SHOWN))

    def reordered(self, class_names: Sequence[str] = EXPRESSIONS) -> "Scores":
        """Return the same scores with their columns in another order, and under these names.

        Names are matched whatever their case and usual spelling: `Anger` is `angry`.
        Raises ModelError where the two do not name the same classes.
        """
        own, wanted = ([parse_vote(name) or name for name in names] for names in (self.class_names, class_names))
        if sorted(own) != sorted(wanted):
            raise ModelError(f"classes must be {', '.join(class_names)}, got {', '.join(self.class_names)}")
        columns = [own.index(name) for name in wanted]
        return Scores(self.probs[:, columns], tuple(class_names), self.certain_from)

    @property
    def top(self) -> NDArray[np.int64]:
        """(N,) int64: the most probable class of each row."""
        top: NDArray[np.int64] = self.probs.argmax(axis=1)
        return top

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(N,) float32: the probability of that class."""
        confidence: NDArray[np.float32] = self.probs.max(axis=1, initial=0)
        return confidence

    @property
    def certain(self) -> NDArray[np.bool_]:
        """(N,) bool: for which rows the classifier stands by its answer."""
        certain: NDArray[np.bool_] = self.confidence >= self.certain_from
        return certain

    @property
    def names(self) -> list[str]:
        """The name of the most probable class of each row, or "uncertain"."""
        return [
            self.class_names[top] if certain else UNCERTAIN
            for top, certain in zip(self.top.tolist(), self.certain.tolist(), strict=True)
        ]
