"""Track numbers for the faces of a video: SORT (Bewley et al., 2016), by each face's motion and overlap."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.detect.boxes import box_iou
from mien.errors import DataError
from mien.track.kalman import Floats, KalmanFilter
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
_GROWTH, _MIN_IOU = 4.0, 0.4  # boxes are made so many times larger; their least intersection over union
_LOOKS_MISSED = 2.5  # a face may be missed in one look, however far apart the looks are
_INTERVALS = 8  # of the latest intervals between looks, the longest one counts


class Tracker:
    """Gives each face of a video a number that it keeps from look to look: from 1 on, each number once.

    A look is a frame in which faces were searched for. A face of the next look gets the number of the track whose
    predicted box overlaps most with it. Tracks are told apart by motion alone: two faces that meet, hide one another
    and turn back may swap numbers.

    Parameters
    ----------
    max_gap_seconds
        How long a face may be out of sight and keep its number. Where looks are further apart than that, it may be
        missed in one of them.
    min_hits
        Looks in a row in which a new face must be found; before, a look without it ends its track.

    Raises
    ------
    DataError
        If `max_gap_seconds` is negative or no number, or `min_hits` is less than 1.
    """

    def __init__(self, *, max_gap_seconds: float = MAX_GAP_SECONDS, min_hits: int = 1) -> None:
        if not max_gap_seconds >= 0:
            raise DataError(f"max_gap_seconds must be 0 or more, got {max_gap_seconds}")
        if min_hits < 1:
            raise DataError(f"min_hits must be 1 or more, got {min_hits}")
        self._max_gap = max_gap_seconds
        self._min_hits = min_hits
        self._tracks: list[_Track] = []
        self._last_id = 0
        self._seconds: float | None = None  # of the latest look
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)

    def update(self, faces: Detections, *, seconds: float) -> NDArray[np.int64]:
        """Number the M faces of the next look.

        Parameters
        ----------
        faces
            What was found in that frame.
        seconds
            When that was, from the start; an earlier time than before counts as the same.

        Returns
        -------
        NDArray
            (M,) the track of each face.
        """
        seconds = self._advance(seconds)
        ids = np.zeros(len(faces), np.int64)
        predicted = np.array([track.box(seconds) for track in self._tracks], np.float32).reshape(-1, 4)
        for row, face in match_boxes(predicted, faces.boxes):
            self._tracks[row].update(faces, face, seconds)
            ids[face] = self._tracks[row].id
        self._tracks = [track for track in self._tracks if track.seconds == seconds or track.hits >= self._min_hits]
        for face in np.flatnonzero(ids == 0).tolist():
            self._last_id += 1
            ids[face] = self._last_id
            self._tracks.append(_Track.start(self._last_id, faces, face, seconds))
        return ids

    def predict(self, *, seconds: float) -> tuple[Detections, NDArray[np.int64]]:
        """Predict where the faces of the latest look are at a later time, with that look's confidence.

        Returns
        -------
        tuple
            The predicted faces, whose landmarks move along with their boxes, and their tracks.
        """
        tracks = [track for track in self._tracks if track.seconds == self._seconds]
        boxes = np.array([track.box(seconds) for track in tracks], np.float32).reshape(-1, 4)
        order = np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(axis=1), kind="stable")  # as `Detections` sorts
        tracks = [tracks[row] for row in order]
        confidence = np.array([track.confidence for track in tracks], np.float32)
        points = [track.points(seconds) for track in tracks]
        landmarks = None if any(each is None for each in points) else np.array(points, np.float32)
        return Detections(boxes[order], confidence, landmarks), np.array([track.id for track in tracks], np.int64)

    def hits(self, track: int) -> int:
        """Return in how many looks the face of a track was found; 0 if the track has ended."""
        return next((each.hits for each in self._tracks if each.id == track), 0)

    def reset(self) -> None:
        """End all tracks, as at a cut; numbers are not given again."""
        self._tracks.clear()

    def _advance(self, seconds: float) -> float:
        """Go to the time of a look, and end the tracks that have been out of sight for too long."""
        if self._seconds is not None:
            seconds = max(seconds, self._seconds)
            interval = seconds - self._seconds
            usual = max(self._intervals, default=interval)
            longest = max(self._max_gap, _LOOKS_MISSED * usual)
            self._tracks = [track for track in self._tracks if seconds - track.seconds <= longest]
            self._intervals.append(interval)
        self._seconds = seconds
        return seconds


@dataclass
class _Track:
    """One face: its motion, how it was last detected, `seconds` from the start, and in how many looks it was found."""

    id: int
    seconds: float
    motion: KalmanFilter
    found: NDArray[np.float32]  # (4,) the box of the latest detection
    confidence: float
    landmarks: NDArray[np.float32] | None
    hits: int = 1

    @staticmethod
    def start(number: int, faces: Detections, face: int, seconds: float) -> "_Track":
        box = faces.boxes[face]
        landmarks = None if faces.landmarks is None else faces.landmarks[face]
        motion = KalmanFilter.start(_centre_and_size(box))
        return _Track(number, seconds, motion, box, float(faces.confidence[face]), landmarks)

    def update(self, faces: Detections, face: int, seconds: float) -> None:
        """Take in the face's next detection."""
        self.found, self.confidence = faces.boxes[face], float(faces.confidence[face])
        self.landmarks = None if faces.landmarks is None else faces.landmarks[face]
        z = _centre_and_size(self.found)
        side = float(np.sqrt(z[2] * z[3]))
        self.motion = self.motion.predict(seconds - self.seconds, side=side).update(z)
        self.seconds = seconds
        self.hits += 1

    def box(self, seconds: float) -> Floats:
        """(4,) left, top, right, bottom: where the face is predicted to be."""
        centre, size = np.split(self.motion.predict(seconds - self.seconds).x[:, 0], 2)
        least = (self.found[2:] - self.found[:2]) / 2  # by speed alone, no face shrinks to nothing
        half = np.maximum(size, least) / 2
        return np.concatenate([centre - half, centre + half])

    def points(self, seconds: float) -> Floats | None:
        """(5, 2): where its landmarks are predicted to be, or None."""
        if self.landmarks is None:
            return None
        box = self.box(seconds)
        growth = (box[2:] - box[:2]) / (self.found[2:] - self.found[:2])
        return (self.landmarks - self.found[:2]) * growth + box[:2]


def match_boxes(one: NDArray[np.float32], other: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Pair rows of boxes (T, 4) with rows of boxes (M, 4), each row once, the largest overlap first.

    Boxes are made larger before they are compared, so that a face that moved by more than its side is found again
    (Yang et al., 2023, "Hard to track objects with irregular motions and similar appearances?").
    """
    ours, theirs = _grow(one), _grow(other)
    iou = np.array([box_iou(box, theirs) for box in ours], np.float64).reshape(len(one), len(other))
    while iou.size and iou.max() >= _MIN_IOU:
        row, column = divmod(int(iou.argmax()), len(other))
        yield row, column
        iou[row], iou[:, column] = -1, -1


def _grow(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes (N, 4) made larger about their centres."""
    low, high = boxes[:, :2], boxes[:, 2:]
    more = (high - low) * np.float32((_GROWTH - 1) / 2)
    return np.concatenate([low - more, high + more], axis=1)


def _centre_and_size(box: NDArray[np.float32]) -> Floats:
    """(4,) left, top, right, bottom -> (4,) centre x, centre y, width, height."""
    low, high = np.split(box.astype(np.float64), 2)
    return np.concatenate([(low + high) / 2, high - low])
