"""Time by track and expression: how long each face of a video was seen, and what it showed for how much of that."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.types import Prediction

_INSTANT = 1e-9  # seconds: what the only frame of a source lasts, so that there are shares of time
_NOTHING = 1e-6  # seconds: what is less is 0

FrameDuration = tuple[Prediction, float, float]  # a frame, and from when to when it lasts


class FrameDurations:
    """Tells how long each frame lasts: until the next one of its source, and the last one as long as the one before."""

    def __init__(self) -> None:
        self._latest: Prediction | None = None
        self._counted = 0.0  # seconds: the latest frame's duration was told up to here
        self._step = _INSTANT

    def add(self, prediction: Prediction) -> Iterator[FrameDuration]:
        """Take in the next frame, and give the one before, now that its duration is known."""
        before, counted = self._latest, self._counted
        if before is not None and before.source != prediction.source:
            yield from self.rest()
            self._step, before = _INSTANT, None
        self._latest, self._counted = prediction, prediction.seconds
        if before is not None:
            self._step = max(prediction.seconds - before.seconds, _INSTANT)
            yield before, counted, max(before.seconds + self._step, counted)

    def rest(self) -> Iterator[FrameDuration]:
        """Give the last frame, once, as it may be the end."""
        if self._latest is not None and self._counted == self._latest.seconds:
            start, self._counted = self._counted, self._counted + self._step
            yield self._latest, start, self._counted


def require_same_classes(class_names: tuple[str, ...] | None, prediction: Prediction) -> tuple[str, ...] | None:
    """Return the expressions of all predictions so far; None as long as no face was seen.

    class_names: those before. Raises ModelError where the next prediction has others.
    """
    own = prediction.scores.class_names
    if not len(prediction.faces):
        return class_names
    if class_names not in (None, own):
        raise ModelError(f"expressions must be {class_names}, as before, got {own}")
    return own


@dataclass
class _TrackTotal:
    """The sums of a track: when it was first and last seen, and (K,) the seconds of each expression."""

    first: float
    last: float
    shown: NDArray[np.float64]


class Summary:
    """Adds up, for each face of a video, the time that it was seen and that it showed each expression.

    A frame lasts until the next one, whatever the frame rate; its expression is the most probable one. Faces without
    a track, of pictures, count among all faces only.
    """

    def __init__(self) -> None:
        self._class_names: tuple[str, ...] | None = None
        self._durations = FrameDurations()
        self._totals: dict[tuple[str, int | None], _TrackTotal] = {}

    def __repr__(self) -> str:
        tracks = sum(track is not None for _, track in self._totals)
        return f"<Summary {tracks:,} track{'' if tracks == 1 else 's'}>"

    def add(self, prediction: Prediction) -> None:
        """Take in the next prediction; those of a video in their order, one video after the other.

        Raises ModelError where its expressions are others than those before.
        """
        self._class_names = require_same_classes(self._class_names, prediction)
        for ended in self._durations.add(prediction):
            self._count(*ended)

    def rows(self) -> list[dict[str, str | int | float]]:
        """Return a row a track, the longest seen first, then one of all faces together (`track` is `all`).

        Columns: source; track; seconds that it was seen, in the last row the sum; first and last, the seconds from the
        start between which it was seen; then for each expression the part of the time seen, in [0, 1].
        """
        for ended in self._durations.rest():
            self._count(*ended)
        tracks = [(key, total) for key, total in self._totals.items() if key[1] is not None]
        tracks.sort(key=lambda item: (-item[1].shown.sum(), item[0]))
        rows = [self._row(source, str(track), total) for (source, track), total in tracks]
        if self._totals:
            every = list(self._totals.values())
            shown = np.sum([total.shown for total in every], axis=0)
            together = _TrackTotal(min(total.first for total in every), max(total.last for total in every), shown)
            sources = {source for source, _ in self._totals}
            rows.append(self._row(sources.pop() if len(sources) == 1 else "all", "all", together))
        return rows

    def _count(self, prediction: Prediction, start: float, end: float) -> None:
        tracks = [None] * len(prediction.faces) if prediction.tracks is None else prediction.tracks.tolist()
        for track, top in zip(tracks, prediction.scores.top.tolist(), strict=True):
            new = _TrackTotal(start, end, np.zeros(len(prediction.scores.class_names)))
            total = self._totals.setdefault((prediction.source, track), new)
            total.first, total.last = min(total.first, start), max(total.last, end)
            total.shown[top] += end - start

    def _row(self, source: str, track: str, total: _TrackTotal) -> dict[str, str | int | float]:
        seconds = float(total.shown.sum())
        row: dict[str, str | int | float] = {"source": source, "track": track}
        row |= {"seconds": seconds if seconds > _NOTHING else 0.0, "first": total.first, "last": total.last}
        return row | dict(zip(self._class_names or (), (total.shown / seconds).tolist(), strict=True))
