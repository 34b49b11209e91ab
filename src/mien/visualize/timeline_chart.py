"""The data of a timeline: what each face showed over time, in words, colours and numbers."""

import math
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from mien.labels import COLOURS

# Of classes that have no colour of their own.
_OTHER_COLOURS = ((96, 96, 112), (140, 120, 90), (60, 60, 60), (200, 190, 170))
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)  # seconds
_DAY = 86400.0
_SHORT = 10.0  # seconds: below, times are told in tenths


@dataclass
class Band:
    """One face over time.

    Attributes
    ----------
    source, track
        The video, and the face's track in it.
    first, last
        Seconds: when it was first and last seen.
    shown
        (K,) the seconds for which each expression was the most probable.
    bins
        By number, (K + 1,): each expression's probability times the seconds that the face was seen, then these seconds.
    view
        (S, S, 3) uint8 RGB: a thumbnail of the face, or None.
    view_worth
        How good that view is.
    """

    source: str
    track: int
    first: float
    last: float
    shown: NDArray[np.float64]
    bins: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    view: NDArray[np.uint8] | None = None
    view_worth: float = 0.0

    @property
    def seconds(self) -> float:
        """The time for which it was seen."""
        return float(self.shown.sum())

    def runs(self) -> list[tuple[int, NDArray[np.float64]]]:
        """Return the stretches in which it was seen: the first bin, and the mean probabilities (B, K) from there on."""
        numbers = np.array(sorted(self.bins))
        parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
        return [(int(part[0]), self._means(part)) for part in parts if len(part)]

    def _means(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        sums = np.array([self.bins[number] for number in numbers.tolist()])
        means: NDArray[np.float64] = sums[:, :-1] / sums[:, -1:]
        return means


@dataclass(frozen=True)
class Chart:
    """The content of a timeline.

    Attributes
    ----------
    sources
        The videos, in order.
    class_names
        The K expressions.
    bands
        The faces, in the order in which they were first seen.
    left_out
        How many more faces there were.
    start, end
        Seconds.
    width
        Seconds of a bin; bin 0 begins at second 0.
    """

    sources: tuple[str, ...]
    class_names: tuple[str, ...]
    bands: list[Band]
    left_out: int
    start: float
    end: float
    width: float

    @property
    def title(self) -> str:
        """The name of the video without its folders, and how many more there are."""
        first, *more = [PurePath(source).name or source for source in self.sources] or ["nothing"]
        return f"{first} and {len(more)} more" if more else first

    @property
    def remark(self) -> str:
        """A line on reading the chart, and on the faces that it leaves out."""
        if not self.bands:
            return "No face was seen."
        how = (
            "Heights are probabilities; the percentage is of the time for which that expression was the most probable."
        )
        if not self.left_out:
            return how
        return f"{how} Left out, as seen for less time: {self.left_out} {'face' if self.left_out == 1 else 'faces'}."

    def colour(self, name: str) -> tuple[int, int, int]:
        """Return the (red, green, blue) of an expression."""
        others = [each for each in self.class_names if each not in COLOURS]
        return COLOURS[name] if name in COLOURS else _OTHER_COLOURS[others.index(name) % len(_OTHER_COLOURS)]

    def words(self, band: Band) -> tuple[str, str]:
        """Return when a face was seen, and its expression for most of that time."""
        shares = band.shown / max(band.seconds, 1e-12)
        top = int(shares.argmax())
        fine = self.end - self.start < _SHORT
        first, last = format_clock(band.first, fine=fine), format_clock(band.last, fine=fine)
        return first if first == last else f"{first} to {last}", f"{self.class_names[top]} {shares[top]:.0%}"

    def ticks(self, *, most: int = 10) -> list[tuple[float, str]]:
        """Return round seconds of the time axis, and their names."""
        step = next((step for step in _STEPS if (self.end - self.start) / step <= most), _DAY)
        step = max(step, _DAY * math.ceil((self.end - self.start) / most / _DAY)) if step == _DAY else step
        numbers = range(math.ceil(self.start / step - 1e-9), math.floor(self.end / step + 1e-9) + 1)
        return [(number * step, format_clock(number * step, fine=step < 1)) for number in numbers]


def format_clock(seconds: float, *, fine: bool = False) -> str:
    """Format seconds as m:ss, or h:mm:ss from an hour on; `fine` adds tenths."""
    tenths = round(seconds * 10) if fine else round(seconds) * 10
    whole, rest = divmod(max(tenths, 0), 10)
    minutes, last = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{last:02}" if hours else f"{minutes}:{last:02}"
    return f"{text}.{rest}" if fine else text
