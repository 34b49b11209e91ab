"""The faces of a video, each with its track: detected on some frames, predicted on those between."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mien.detect.boxes import box_iou
from mien.errors import DataError
from mien.track.cuts import CutDetector
from mien.track.tracker import Tracker
from mien.types import Detections, Detector

STRIDE = 4  # frames: the most from one search to the next
_LONGEST = 0.15  # seconds: the most from one search to the next, too
_NEAR, _FAR = 0.9, 0.8  # IoU of predicted and detected boxes: from 0.9 on the step grows, below 0.8 it becomes 1

_TrackedFaces = tuple[Detections, NDArray[np.int64]]


class VideoFaceDetector:
    """Detects and tracks the faces of one video: called with its frames in order.

    Faces are searched for on some frames; on the frames between, they are where their motion takes them. The step
    from one search to the next grows by a frame when all faces were found where they were predicted. It becomes 1
    when a face comes or goes, when one was found elsewhere, and at a shot cut.

    Parameters
    ----------
    detector
        Finds the faces of a frame.
    keep
        Selects the faces that are large and sure enough.
    stride
        The longest step in frames; no step is longer than 0.15 seconds. 1: search on each frame.

    Raises
    ------
    DataError
        If `stride` is less than 1.
    """

    def __init__(self, detector: Detector, *, keep: Callable[[Detections], Detections], stride: int = STRIDE) -> None:
        if stride < 1:
            raise DataError(f"stride must be 1 frame or more, got {stride}")
        self._detector = detector
        self._keep = keep
        self._stride = stride
        self._tracker = Tracker()
        self._is_cut = CutDetector()
        self._step = 1  # frames from the last search to the next
        self._since = 0  # frames since the last search
        self._searched = -np.inf  # seconds: when that was
        self._found: NDArray[np.int64] = np.zeros(0, np.int64)  # the tracks that were found then

    def __call__(self, picture: NDArray[np.uint8], *, seconds: float) -> _TrackedFaces:
        """Return the M faces of the next frame, (H, W, 3) uint8 RGB, and their tracks (M,)."""
        self._since += 1
        if self._is_cut(picture):
            self._tracker.reset()
            self._found = self._found[:0]
            self._step = 1
        elif self._since < self._step and seconds - self._searched < _LONGEST:
            return self._predict(picture, seconds)
        return self._detect(picture, seconds)

    def _detect(self, picture: NDArray[np.uint8], seconds: float) -> _TrackedFaces:
        """Search for faces, and set the step to the next search."""
        predicted = self._tracker.predict(seconds=seconds)
        faces = self._keep(self._detector(picture))
        tracks = self._tracker.update(faces, seconds=seconds)
        if set(tracks.tolist()) != set(self._found.tolist()):
            self._step = 1
        else:
            iou = _least_iou((faces, tracks), predicted)
            self._step = 1 if iou < _FAR else min(self._step + (iou >= _NEAR), self._stride)
        self._since, self._searched, self._found = 0, seconds, tracks
        return faces, tracks

    def _predict(self, picture: NDArray[np.uint8], seconds: float) -> _TrackedFaces:
        """Return where the faces of the last search are by now, without those that have left the picture."""
        faces, tracks = self._tracker.predict(seconds=seconds)
        centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
        inside = np.flatnonzero(((centres >= 0) & (centres < picture.shape[1::-1])).all(axis=1))
        return faces[inside], tracks[inside]


def _least_iou(detected: _TrackedFaces, predicted: _TrackedFaces) -> float:
    """Return the least intersection over union of a track's detected and predicted boxes; 1 without a track in both."""
    boxes = dict(zip(predicted[1].tolist(), predicted[0].boxes, strict=True))
    pairs = [
        (box, boxes[track])
        for box, track in zip(detected[0].boxes, detected[1].tolist(), strict=True)
        if track in boxes
    ]
    return min((float(box_iou(one, other[None])[0]) for one, other in pairs), default=1.0)
