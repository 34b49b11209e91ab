"""The faces of a video, each with its track: detected on some frames, predicted on those between."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from mien.detect.boxes import box_iou
from mien.errors import DataError, MienError
from mien.io.frame import Frame
from mien.track.cuts import CutDetector
from mien.track.tracker import Tracker
from mien.types import Detections, Detector

MIN_HITS = 3  # searches in a row after which a face counts (SORT's)
STRIDE = 4  # frames: the most from one search to the next
_LONGEST = 0.15  # seconds: the most from one search to the next, too
_NEAR, _FAR = 0.9, 0.8  # IoU of predicted and detected boxes: from 0.9 on the step grows, below 0.8 it becomes 1

_TrackedFaces = tuple[Detections, NDArray[np.int64]]


class VideoFaceDetector:
    """Detects and tracks the faces of one video.

    Faces are searched for on some frames; on the frames between, they are where their motion takes them. The step
    from one search to the next grows by a frame when all faces were found where they were predicted. It becomes 1
    when a face comes or goes, when one was found elsewhere, and at a shot cut.

    A face counts once it was found in three searches in a row, or in all searches of a shorter shot: what a detector
    takes for a face is rarely there for longer. Until then its frames wait, so that the first ones count as well. The
    frames of cameras and streams do not wait: in the first three searches of a shot all faces count at once, and a face
    that comes later is there from its third search on.

    Parameters
    ----------
    detector
        Finds the faces of a frame.
    keep
        Selects the faces that are large and sure enough.
    stride
        The longest step in frames; no step is longer than 0.15 seconds. 1: search on each frame.
    min_hits
        The searches in a row after which a face counts.

    Raises
    ------
    DataError
        If `stride` is less than 1 frame, or `min_hits` less than 1 search.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        keep: Callable[[Detections], Detections],
        stride: int = STRIDE,
        min_hits: int = MIN_HITS,
    ) -> None:
        if stride < 1:
            raise DataError(f"stride must be 1 frame or more, got {stride}")
        self._detector = detector
        self._keep = keep
        self._stride = stride
        self._min_hits = min_hits
        self._tracker = Tracker(min_hits=min_hits)
        self._is_cut = CutDetector()
        self._step = 1  # frames from the last search to the next
        self._since = 0  # frames since the last search
        self._searched = -np.inf  # seconds: when that was
        self._found: NDArray[np.int64] = np.zeros(0, np.int64)  # the tracks that were found then
        self._searches = 0  # in this shot
        self._waiting: deque[tuple[Frame, Detections, NDArray[np.int64]]] = deque()
        self._undecided: set[int] = set()  # tracks that may or may not be confirmed
        self._numbers: dict[int, int] = {}  # of confirmed tracks: the number by which they are given

    def track(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections, NDArray[np.int64]]]:
        """Give each frame of the video, in order, with its M faces and their tracks (M,), numbered from 1.

        An error that `frames` raises is raised after the frames before it.
        """
        error = None
        try:
            for frame in frames:
                yield from self._add(frame)
        except MienError as caught:
            error = caught
        self._end_shot()
        yield from self._decided()
        if error is not None:
            raise error

    def _add(self, frame: Frame) -> Iterator[tuple[Frame, Detections, NDArray[np.int64]]]:
        """Take in the next frame, and give the frames whose faces are decided."""
        self._since += 1
        if self._is_cut(frame.picture):
            self._end_shot()
            faces, tracks = self._detect(frame)
        elif self._since < self._step and frame.seconds - self._searched < _LONGEST:
            faces, tracks = self._predict(frame)
        else:
            faces, tracks = self._detect(frame)
        if frame.live:
            if self._searches <= self._min_hits:
                self._confirm(self._undecided)
            self._undecided.clear()
        self._waiting.append((frame, faces, tracks))
        yield from self._decided()

    def _detect(self, frame: Frame) -> _TrackedFaces:
        """Search for faces, and set the step to the next search."""
        predicted = self._tracker.predict(seconds=frame.seconds)
        faces = self._keep(self._detector(frame.picture))
        tracks = self._tracker.update(faces, seconds=frame.seconds)
        if set(tracks.tolist()) != set(self._found.tolist()):
            self._step = 1
        else:
            iou = _least_iou((faces, tracks), predicted)
            self._step = 1 if iou < _FAR else min(self._step + (iou >= _NEAR), self._stride)
        self._since, self._searched, self._found = 0, frame.seconds, tracks
        self._searches += 1
        self._undecided = {track for track in tracks.tolist() if self._tracker.hits(track) < self._min_hits}
        self._confirm(set(tracks.tolist()) - self._undecided)
        return faces, tracks

    def _predict(self, frame: Frame) -> _TrackedFaces:
        """Return where the faces of the last search are by now, without those that have left the picture."""
        faces, tracks = self._tracker.predict(seconds=frame.seconds)
        centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
        inside = np.flatnonzero(((centres >= 0) & (centres < frame.picture.shape[1::-1])).all(axis=1))
        return faces[inside], tracks[inside]

    def _end_shot(self) -> None:
        """End all tracks. Of those not confirmed yet, only faces of a whole short shot count."""
        if self._searches < self._min_hits:
            self._confirm({track for track in self._undecided if self._tracker.hits(track) == self._searches})
        self._undecided.clear()
        self._tracker.reset()
        self._found = self._found[:0]
        self._step, self._searches = 1, 0

    def _confirm(self, tracks: set[int]) -> None:
        for track in sorted(tracks):
            self._numbers.setdefault(track, len(self._numbers) + 1)

    def _decided(self) -> Iterator[tuple[Frame, Detections, NDArray[np.int64]]]:
        """Give the waiting frames up to the first one with an undecided face, with their confirmed faces."""
        while self._waiting and self._undecided.isdisjoint(self._waiting[0][2].tolist()):
            frame, faces, tracks = self._waiting.popleft()
            counts = np.array([track in self._numbers for track in tracks.tolist()], np.bool_)
            numbers = [self._numbers[track] for track in tracks[counts].tolist()]
            yield frame, faces[counts], np.array(numbers, np.int64)


def _least_iou(detected: _TrackedFaces, predicted: _TrackedFaces) -> float:
    """Return the least intersection over union of a track's detected and predicted boxes; 1 without a track in both."""
    boxes = dict(zip(predicted[1].tolist(), predicted[0].boxes, strict=True))
    pairs = [
        (box, boxes[track])
        for box, track in zip(detected[0].boxes, detected[1].tolist(), strict=True)
        if track in boxes
    ]
    return min((float(box_iou(one, other[None])[0]) for one, other in pairs), default=1.0)
