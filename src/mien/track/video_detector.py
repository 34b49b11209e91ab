"""The faces of a video from frame to frame: found on some frames, foreseen on those between, each with its track."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mien.detect.boxes import box_iou
from mien.errors import DataError
from mien.track.cuts import CutDetector
from mien.track.tracker import Tracker
from mien.types import Detections, Detector

STRIDE = 4  # frames: at the most, from one that faces are searched for in to the next
_LONGEST = 0.15  # seconds: as well
_NEAR, _FAR = 0.9, 0.8  # overlap of a foreseen box with the one found: from here on a longer, below here the least step


class VideoFaceDetector:
    """Finds and follows the faces of one video: called with its frames in order.

    detector: finds faces; wanted: leaves out those that are too small or too doubtful.
    stride:   faces are searched for at least on each such frame, and within 0.15 seconds. On the frames between they
              are where their motion takes them. The step grows by a frame when all faces are found where they were
              foreseen, with an overlap of 0.9, and falls back to 1 where a face comes or goes, or one is overlapped by
              less than 0.8, and at a shot cut. 1: on each frame.

    Raises DataError where stride is less than 1.
    """

    def __init__(self, detector: Detector, *, keep: Callable[[Detections], Detections], stride: int = STRIDE) -> None:
        if stride < 1:
            raise DataError(f"stride must be 1 frame or more, got {stride}")
        self._detector = detector
        self._keep = keep
        self._stride = stride
        self._tracker = Tracker()
        self._cuts = CutDetector()
        self._step = 1  # frames from the last search to the next
        self._since = 0  # frames since then
        self._searched = -np.inf  # seconds: when that was
        self._seen: NDArray[np.int64] = np.zeros(0, np.int64)  # the tracks that were found then

    def __call__(self, picture: NDArray[np.uint8], *, seconds: float) -> tuple[Detections, NDArray[np.int64]]:
        """The M faces of the next frame, (H, W, 3) uint8 RGB, and their tracks (M,) int64."""
        self._since += 1
        if self._cuts(picture):
            self._tracker.reset()
            self._seen = self._seen[:0]
            self._step = 1
        elif self._since < self._step and seconds - self._searched < _LONGEST:
            return self._foreseen(picture, seconds)
        return self._found(picture, seconds)

    def _found(self, picture: NDArray[np.uint8], seconds: float) -> tuple[Detections, NDArray[np.int64]]:
        foreseen, known = self._tracker.predict(seconds=seconds)
        faces = self._keep(self._detector(picture))
        tracks = self._tracker.update(faces, seconds=seconds)
        if set(tracks.tolist()) != set(self._seen.tolist()):
            self._step = 1
        else:
            nearness = _least_overlap(faces, tracks, foreseen, known)
            self._step = 1 if nearness < _FAR else min(self._step + (nearness >= _NEAR), self._stride)
        self._since, self._searched, self._seen = 0, seconds, tracks
        return faces, tracks

    def _foreseen(self, picture: NDArray[np.uint8], seconds: float) -> tuple[Detections, NDArray[np.int64]]:
        """Where the faces that were found last should be by now, as far as that is in the picture."""
        faces, tracks = self._tracker.predict(seconds=seconds)
        middle = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
        inside = np.flatnonzero(((middle >= 0) & (middle < picture.shape[1::-1])).all(axis=1))
        return faces[inside], tracks[inside]


def _least_overlap(
    faces: Detections, tracks: NDArray[np.int64], foreseen: Detections, known: NDArray[np.int64]
) -> float:
    """The least intersection over union of the box in which a track was found and the one where it was foreseen."""
    where = {track: place for place, track in enumerate(known.tolist())}
    pairs = [(face, where[track]) for face, track in enumerate(tracks.tolist()) if track in where]
    return min((float(box_iou(faces.boxes[a], foreseen.boxes[b][None])[0]) for a, b in pairs), default=1.0)
