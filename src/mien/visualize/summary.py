"""How long each face of a video was seen, and which expressions it showed for which share of that time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.types import Prediction

_INSTANT = 1e-9  # seconds: what the only look at something lasts, so that there are shares
_NOTHING = 1e-6  # seconds: what is less is 0


Span = tuple[Prediction, float, float]  # what was seen from a second to another


class FrameDurations:
    """Predictions with their spans: each until the next one of its source, the last as long as the one before it."""

    def __init__(self) -> None:
        self._latest: Prediction | None = None
        self._told = 0.0  # seconds: the latest one's span was told up to here
        self._step = _INSTANT

    def add(self, prediction: Prediction) -> Iterator[Span]:
        """The one before, now that it is known how long it lasts."""
        before, told = self._latest, self._told
        if before is not None and before.source != prediction.source:
            yield from self.rest()
            self._step, before = _INSTANT, None
        self._latest, self._told = prediction, prediction.seconds
        if before is not None:
            self._step = max(prediction.seconds - before.seconds, _INSTANT)
            yield before, told, max(before.seconds + self._step, told)

    def rest(self) -> Iterator[Span]:
        """The last one, once, as it may be the end."""
        if self._latest is not None and self._told == self._latest.seconds:
            start, self._told = self._told, self._told + self._step
            yield self._latest, start, self._told


def same_names(names: tuple[str, ...] | None, prediction: Prediction) -> tuple[str, ...] | None:
    """The expressions of all predictions so far; None as long as no face was seen.

    Raises ModelError where the next one has others.
    """
    own = prediction.scores.class_names
    if not len(prediction.faces):
        return names
    if names not in (None, own):
        raise ModelError(f"expressions must be {names}, as before, got {own}")
    return own


@dataclass
class _Seen:
    """A track. first, last: seconds; shown: (K,) seconds of each expression."""

    first: float
    last: float
    shown: NDArray[np.float64]


class Summary:
    """Adds up, for each face of a video, the time that it was seen and that it showed each expression.

    A frame lasts until the next one, whatever the frame rate; its expression is the most probable one. Faces without
    a track, of pictures, count among all faces only.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] | None = None
        self._spans = FrameDurations()
        self._seen: dict[tuple[str, int | None], _Seen] = {}

    def add(self, prediction: Prediction) -> None:
        """Take up the next prediction; those of a video in their order, one video after the other.

        Raises ModelError where its expressions are others than those before.
        """
        self._names = same_names(self._names, prediction)
        for span in self._spans.add(prediction):
            self._count(*span)

    def rows(self) -> list[dict[str, str | int | float]]:
        """A row a track, the longest seen first, then one of all faces together (`track` is `all`).

        Columns: source; track; seconds that it was seen, in all faces' row the sum; first and last, the seconds
        from the start between which it was seen; then for each expression the share of the time seen, in [0, 1].
        """
        for span in self._spans.rest():
            self._count(*span)
        tracks = [(key, seen) for key, seen in self._seen.items() if key[1] is not None]
        tracks.sort(key=lambda item: (-item[1].shown.sum(), item[0]))
        rows = [self._row(source, str(track), seen) for (source, track), seen in tracks]
        if self._seen:
            every = list(self._seen.values())
            shown = np.sum([seen.shown for seen in every], axis=0)
            together = _Seen(min(seen.first for seen in every), max(seen.last for seen in every), shown)
            sources = {source for source, _ in self._seen}
            rows.append(self._row(sources.pop() if len(sources) == 1 else "all", "all", together))
        return rows

    def _count(self, prediction: Prediction, start: float, end: float) -> None:
        tracks = [None] * len(prediction.faces) if prediction.tracks is None else prediction.tracks.tolist()
        for track, top in zip(tracks, prediction.scores.top.tolist(), strict=True):
            new = _Seen(start, end, np.zeros(len(prediction.scores.class_names)))
            seen = self._seen.setdefault((prediction.source, track), new)
            seen.first, seen.last = min(seen.first, start), max(seen.last, end)
            seen.shown[top] += end - start

    def _row(self, source: str, track: str, seen: _Seen) -> dict[str, str | int | float]:
        total = float(seen.shown.sum())
        row: dict[str, str | int | float] = {"source": source, "track": track}
        row |= {"seconds": total if total > _NOTHING else 0.0, "first": seen.first, "last": seen.last}
        return row | dict(zip(self._names or (), (seen.shown / total).tolist(), strict=True))
