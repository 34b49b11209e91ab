"""The same number for the same face over time: SORT's idea (Bewley et al., 2016), each face's motion and overlap."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.detect.boxes import box_iou
from mien.errors import DataError
from mien.types import Detections

# Chosen on 40 scenes of 10 s, drawn by chance: 1 to 7 faces of 35 to 220 pixels that hold still, talk, move about,
# cross, turn away for up to 0.25 s, leave, and are followed by others close by. Numbers that faces lost, and numbers
# that went over to others, at 30, 10 and 5 looks a second, of 180 to 186 appearances:
#   grown 4 times, overlap 0.4     5 + 10    14 + 15    21 + 16
#   grown 3 times, overlap 0.4    10 +  9    22 + 12    57 + 15
#   grown 2 times, overlap 0.4    32 +  4   103 + 13   257 + 16
#   not grown, overlap 0.2        48 +  7   197 + 20   449 + 28
#   not grown, overlap 0.3       120 +  6   432 + 23   779 + 32    as SORT does
# and grown 3 times, overlap 0.3, with gaps of up to
#   0.5 s                         25 +  8    32 +  9    67 + 13
#   1 s                            7 + 13    16 + 16    25 + 19
#   2 s                            7 + 20    16 + 22    26 + 26
# The best of all assignments, in place of the best pair first, changed a number by 2 at most.
MAX_GAP_SECONDS = 1.0
_GROWN, _LEAST_OVERLAP = 4.0, 0.4  # times: boxes that large are compared; their intersection over union
_LOOKS_MISSED = 2.5  # a face may be missed in one look, however far apart the looks are
_STEPS = 8  # of the latest steps between looks, the longest one counts

# Centre x, centre y, width, height, in sides (the root of the box's area): how far the detector is off (measured on a
# face of 24 to 160 pixels, moved by fractions of a pixel: 0.01 to 0.024 and 0.017 to 0.064), how fast a new face may be
# moving, and how fast that may change. Half or twice the last one predicts worse.
_NOISE = np.array([0.02, 0.02, 0.035, 0.035])
_SPEED = np.array([1.5, 1.5, 0.3, 0.3])  # a second
_SHOVE = np.array([2.5, 2.5, 0.25, 0.25])  # a second, to the power 1.5
_COAST = 0.5  # seconds: what is no longer seen slows down, and comes to rest after this time at its last speed


class Tracker:
    """Gives each face a number that it keeps from frame to frame: from 1 on, and never given again.

    A face is the one that should be there by now, as far as it moved so far (a Kalman filter of position, size and
    their speeds); the pairs that overlap most go first. A face has its number from its first frame on, since rows are
    written as they come: what the detector takes for a face for a moment has a number, too.

    max_gap_seconds: how long a face may be out of sight and keep its number; where looks are further apart than that,
                     it may be missed in one of them.

    Faces are told apart by their motion alone: two that meet, hide one another and turn back may swap numbers.
    Raises DataError where `max_gap_seconds` is negative or no number.
    """

    def __init__(self, *, max_gap_seconds: float = MAX_GAP_SECONDS) -> None:
        if not max_gap_seconds >= 0:
            raise DataError(f"max_gap_seconds must be 0 or more, got {max_gap_seconds}")
        self._max_gap = max_gap_seconds
        self._tracks: list[_Track] = []
        self._given = 0
        self._seconds: float | None = None  # of the latest look
        self._steps: deque[float] = deque(maxlen=_STEPS)

    def update(self, faces: Detections, *, seconds: float) -> NDArray[np.int64]:
        """The numbers (M,) of the M faces of a look, at a time from the start that never goes back."""
        seconds = self._advance(seconds)
        ids = np.zeros(len(faces), np.int64)
        expected = np.array([track.box(seconds) for track in self._tracks], np.float32).reshape(-1, 4)
        for row, face in match_boxes(expected, faces.boxes):
            self._tracks[row].see(faces, face, seconds)
            ids[face] = self._tracks[row].id
        for face in np.flatnonzero(ids == 0).tolist():
            self._given += 1
            ids[face] = self._given
            self._tracks.append(_Track.of(faces, face, seconds, self._given))
        return ids

    def predict(self, *, seconds: float) -> tuple[Detections, NDArray[np.int64]]:
        """Where the faces of the latest look should be at a later time, and their numbers.

        With the confidence of that look; landmarks move along with their box.
        """
        tracks = [track for track in self._tracks if track.seconds == self._seconds]
        boxes = np.array([track.box(seconds) for track in tracks], np.float32).reshape(-1, 4)
        order = np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(axis=1), kind="stable")  # as `Detections` does
        tracks = [tracks[row] for row in order]
        confidence = np.array([track.confidence for track in tracks], np.float32)
        points = [track.points(seconds) for track in tracks]
        landmarks = None if any(each is None for each in points) else np.array(points, np.float32)
        return Detections(boxes[order], confidence, landmarks), np.array([track.id for track in tracks], np.int64)

    def reset(self) -> None:
        """A new shot begins: no face goes on."""
        self._tracks.clear()

    def _advance(self, seconds: float) -> float:
        """Go to the time of a look, and end what has been out of sight for too long."""
        if self._seconds is not None:
            seconds = max(seconds, self._seconds)
            step = seconds - self._seconds
            usual = max(self._steps, default=step)
            longest = max(self._max_gap, _LOOKS_MISSED * usual)
            self._tracks = [track for track in self._tracks if seconds - track.seconds <= longest]
            self._steps.append(step)
        self._seconds = seconds
        return seconds


@dataclass
class _Track:
    """A face's motion: a Kalman filter for each of centre x, centre y, width and height.

    state: (2, 4): value in pixels, and its speed in pixels a second, at the time of the latest look at it.
    spread: (2, 2, 4): the covariance of value and speed.
    """

    id: int
    seconds: float
    confidence: float
    state: NDArray[np.float64]
    spread: NDArray[np.float64]
    seen: NDArray[np.float32]  # (4,): the latest box as it was found
    landmarks: NDArray[np.float32] | None

    @staticmethod
    def of(faces: Detections, face: int, seconds: float, number: int) -> "_Track":
        value, side = _measured(faces.boxes[face])
        spread = np.zeros((2, 2, 4))
        spread[0, 0], spread[1, 1] = (_NOISE * side) ** 2, (_SPEED * side) ** 2
        landmarks = None if faces.landmarks is None else faces.landmarks[face]
        state = np.stack([value, np.zeros(4)])
        return _Track(number, seconds, float(faces.confidence[face]), state, spread, faces.boxes[face], landmarks)

    def see(self, faces: Detections, face: int, seconds: float) -> None:
        """Take up where the face is now."""
        value, side = _measured(faces.boxes[face])
        step = seconds - self.seconds
        move = _motion(step)
        spread = np.einsum("ij,jkn,lk->iln", move, self.spread, move)
        shove = (_SHOVE * side) ** 2
        spread += np.array([[step**3 / 3, step**2 / 2], [step**2 / 2, step]])[:, :, None] * shove
        gain = spread[:, 0] / (spread[0, 0] + (_NOISE * side) ** 2)
        state = move @ self.state
        self.state = state + gain * (value - state[0])
        self.spread = spread - gain[:, None] * spread[0][None]
        self.seconds, self.confidence, self.seen = seconds, float(faces.confidence[face]), faces.boxes[face]
        self.landmarks = None if faces.landmarks is None else faces.landmarks[face]

    def box(self, seconds: float) -> NDArray[np.float64]:
        """(4,) left, top, right, bottom: where the face should be."""
        centre, size = np.split((_motion(seconds - self.seconds) @ self.state)[0], 2)
        least = (self.seen[2:] - self.seen[:2]) / 2  # by speed alone, no face shrinks to nothing
        half = np.maximum(size, least) / 2
        return np.concatenate([centre - half, centre + half])

    def points(self, seconds: float) -> NDArray[np.float64] | None:
        """(5, 2): where its landmarks should be, or None."""
        if self.landmarks is None:
            return None
        box = self.box(seconds)
        grown = (box[2:] - box[:2]) / (self.seen[2:] - self.seen[:2])
        return (self.landmarks - self.seen[:2]) * grown + box[:2]


def _measured(box: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Centre and size (4,) of a box, and its side: the root of its area."""
    low, high = np.split(box.astype(np.float64), 2)
    size = high - low
    return np.concatenate([(low + high) / 2, size]), math.sqrt(size.prod())


def _motion(step: float) -> NDArray[np.float64]:
    """(2, 2): what value and speed become after a step in seconds, the speed dying away."""
    left = math.exp(-step / _COAST)
    return np.array([[1, _COAST * (1 - left)], [0, left]])


def match_boxes(one: NDArray[np.float32], other: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Rows of boxes (T, 4) and boxes (M, 4) that belong together, each row once: those that overlap most go first.

    Boxes are grown before they are compared, so that faces that moved by more than their side are found again, too
    (Yang et al., 2023, "Hard to track objects with irregular motions and similar appearances?").
    """
    ours, theirs = _grown(one), _grown(other)
    shares: NDArray[Any] = np.array([box_iou(box, theirs) for box in ours]).reshape(len(one), len(other))
    while shares.size and shares.max() >= _LEAST_OVERLAP:
        row, column = divmod(int(shares.argmax()), len(other))
        yield row, column
        shares[row], shares[:, column] = -1, -1


def _grown(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes (N, 4), larger about their centres."""
    low, high = boxes[:, :2], boxes[:, 2:]
    more = (high - low) * np.float32((_GROWN - 1) / 2)
    return np.concatenate([low - more, high + more], axis=1)
