"""Pictures and videos in, predictions out: find faces, crop them as the classifier knows them, classify in batches."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from mien.classify.ensemble import class_names_of
from mien.detect.align import crop_faces
from mien.detect.quality import quality
from mien.detect.whole_image import whole_image
from mien.detect.yunet import YuNet
from mien.errors import DataError, ModelError
from mien.io.frame import Frame, FrameSelection
from mien.io.image import read_picture
from mien.io.pixels import to_face
from mien.io.reader import read_frames
from mien.io.source import OnError, Sources, display_name, find_sources, is_video, log_error
from mien.pipeline.prefetch import ahead
from mien.track.smoothing import SMOOTHING_SECONDS, Smoother
from mien.track.video_detector import STRIDE, VideoFaceDetector
from mien.types import FACE_SIDE, Classifier, Detections, Detector, Prediction, Scores, batches

DEFAULT_MODEL = "swift"
MIN_FACE = YuNet.min_face  # pixels

_FRAMES = 16  # of a video: classified together, at the most, and searched ahead of that
_KEPT = 4  # frames that are read ahead, or searched ahead where they are kept
_BYTES = 1 << 24  # of pictures that are kept for whoever wants them: with more, nothing waits for others


@dataclass(frozen=True, eq=False)
class _Seen:
    """A picture or frame in which M faces were found: their crops (M, 48, 48), and their tracks in a video."""

    frame: Frame
    faces: Detections
    crops: NDArray[np.uint8]
    tracks: NDArray[np.int64] | None = None


class Predictor:
    """Reads the expressions of all faces of a picture, or of any number of pictures and videos.

    classifier:     what tells the expressions, or the name or file of a model; None: the model that ships.
    detector:       what finds the faces; None: `YuNet`. With `whole_image` every picture is one face, cropped already.
    min_face:       pixels; narrower faces are left out. The detector scales big pictures down to what that needs.
    min_detection:  in [0, 1]; what is less surely a face is left out. None: as the detector has it.
    min_confidence: in [0, 1]; faces whose expression is less certain are left out.
    batch:          faces that are classified at a time.
    smooth:         seconds: over about this time the probabilities of a face in a video are averaged; 0: as they come.
    stride:         frames of a video: faces are searched for at least on each such frame; see `VideoFaceDetector`.

    Raises DataError or ModelError where one of these is out of range or no model.
    """

    def __init__(
        self,
        classifier: Classifier | str | Path | None = None,
        *,
        detector: Detector | None = None,
        min_face: float = MIN_FACE,
        min_detection: float | None = None,
        min_confidence: float = 0.0,
        batch: int = 64,
        smooth: float = SMOOTHING_SECONDS,
        stride: int = STRIDE,
    ) -> None:
        for name, share in (("min_detection", min_detection), ("min_confidence", min_confidence)):
            if share is not None and not 0 <= share <= 1:
                raise DataError(f"{name} must be 0 to 1, got {share}")
        for name, least, value in (("batch", 1, batch), ("stride", 1, stride), ("smooth", 0, smooth)):
            if not value >= least:
                raise DataError(f"{name} must be {least} or more, got {value}")
        if classifier is None or isinstance(classifier, (str, Path)):
            from mien.classify.onnx import load

            classifier = load(classifier or DEFAULT_MODEL, threads=threads_beside(detector))
        threshold = YuNet.threshold if min_detection is None else max(min_detection, 0.01)
        self._classifier = classifier
        self._names = class_names_of(classifier)
        self._detector = detector or YuNet(min_face=min_face, threshold=threshold)
        self._min_face = min_face
        self._min_detection = min_detection or 0.0
        self._min_confidence = min_confidence
        self._batch = batch
        self._smooth = smooth
        self._stride = stride

    def __call__(self, picture: NDArray[np.uint8] | Path | str | IO[bytes], *, source: str | None = None) -> Prediction:
        """The expressions of all faces of one picture: (H, W, 3) uint8 RGB, or a file.

        source: what the prediction calls the picture; None: the file's name.
        A picture without a face gives a prediction without faces. Raises DataError where it cannot be read.
        """
        if not isinstance(picture, np.ndarray):
            if source is None and isinstance(picture, (Path, str)):
                source = display_name(str(picture))
            picture = read_picture(picture)
        faces = self._found(picture)
        frame = Frame(source or "", 0.0, picture)
        (prediction,) = self._classified([_Seen(frame, faces, self._crops(picture, faces))])
        return prediction

    def stream(
        self,
        sources: Sources,
        *,
        every: float | None = None,
        start: float = 0.0,
        end: float | None = None,
        max_side: int | None = None,
        on_error: OnError | None = None,
    ) -> Generator[Prediction]:
        """The predictions of pictures, folders, patterns, videos, cameras and streams, in order, as they are asked for.

        One for each picture and each frame; `find_sources` says how sources are named. In videos each face has a track,
        and its probabilities are smoothed. Videos are decoded and searched ahead of what is asked for, in threads that
        end with the iterator; of cameras and streams the newest frame is taken, and those it overtook are left out.
        Faces of several pictures are classified together; only a batch of crops is held.

        every:      seconds from one frame of a video to the next; None: all frames.
        start, end: seconds from the start of each video.
        max_side:   pixels; larger pictures are made smaller than this first.
        on_error:   is called with the name of what cannot be read, and why, and the rest goes on; None: it is logged.

        Raises DataError where an option is out of range, a source does not exist, matches nothing or holds no picture.
        """
        selection = FrameSelection(every=every, start=start, end=end, max_side=max_side)
        return _second(self._all(sources, selection, on_error or log_error, keep=False))

    def stream_with_frames(
        self,
        sources: Sources,
        *,
        every: float | None = None,
        start: float = 0.0,
        end: float | None = None,
        max_side: int | None = None,
        on_error: OnError | None = None,
    ) -> Generator[tuple[Frame, Prediction]]:
        """What `stream` gives, each prediction after the picture or frame that it is of, to draw or to show it."""
        selection = FrameSelection(every=every, start=start, end=end, max_side=max_side)
        return self._all(sources, selection, on_error or log_error, keep=True)

    def _all(
        self, sources: Sources, selection: FrameSelection, on_error: OnError, *, keep: bool
    ) -> Generator[tuple[Frame, Prediction]]:
        waiting: list[_Seen] = []
        names = find_sources(sources)
        while True:
            try:
                name = next(names, None)
            except DataError:  # what could be read before comes first
                yield from self._told(waiting)
                raise
            if name is None:
                break
            try:
                if is_video(name):
                    yield from self._told(waiting)
                    waiting = []
                    yield from self._video(name, selection, keep=keep)
                    continue
                for frame in read_frames(name, selection=selection):
                    faces = self._found(frame.picture)
                    crops = self._crops(frame.picture, faces)
                    waiting.append(_Seen(frame if keep else frame.without_picture(), faces, crops))
            except DataError as error:
                on_error(name, error)
            if self._full(waiting, self._batch):
                yield from self._told(waiting)
                waiting = []
        yield from self._told(waiting)

    def _video(self, name: str, selection: FrameSelection, *, keep: bool) -> Iterator[tuple[Frame, Prediction]]:
        """The predictions of the frames of one video, decoded in one thread and searched in another."""
        frames = ahead(read_frames(name, selection=selection), size=_KEPT, overtakes=lambda frame: frame.live)
        followed = self._followed(frames, keep=keep)
        seen = ahead(followed, size=_KEPT if keep else _FRAMES, overtakes=lambda one: one.frame.live)
        smoother = Smoother(seconds=self._smooth)
        waiting: list[_Seen] = []
        error = None
        with closing(seen):
            try:
                for one in seen:
                    waiting.append(one)
                    if one.frame.live or self._full(waiting, _FRAMES):
                        yield from self._told(waiting, smoother)
                        waiting = []
            except DataError as caught:  # it comes after the frames that could be read
                error = caught
            yield from self._told(waiting, smoother)
        if error is not None:
            raise error

    def _followed(self, frames: Generator[Frame], *, keep: bool) -> Generator[_Seen]:
        """The faces of each frame of a video, with their tracks."""
        with closing(frames):
            follower = VideoFaceDetector(self._detector, keep=self._wanted, stride=self._stride)
            for frame, faces, tracks in follower.track(frames):
                crops = self._crops(frame.picture, faces)
                yield _Seen(frame if keep else frame.without_picture(), faces, crops, tracks)

    def _found(self, picture: NDArray[np.uint8]) -> Detections:
        return self._wanted(self._detector(picture))

    def _wanted(self, faces: Detections) -> Detections:
        """The faces that are large enough and surely enough faces."""
        if self._detector is whole_image:
            return faces
        wide = faces.boxes[:, 2] - faces.boxes[:, 0] >= self._min_face
        return faces[wide & (faces.confidence >= self._min_detection)]

    def _crops(self, picture: NDArray[np.uint8], faces: Detections) -> NDArray[np.uint8]:
        """The M faces of a picture as (M, 48, 48)."""
        if self._detector is whole_image:
            return to_face(picture)[None]
        return crop_faces(picture, faces)

    def _full(self, waiting: list[_Seen], most: int) -> bool:
        """Whether enough pictures, faces or bytes wait to be classified."""
        kept = sum(one.frame.picture.nbytes for one in waiting)
        return len(waiting) >= most or sum(len(one.faces) for one in waiting) >= self._batch or kept >= _BYTES

    def _told(self, seen: list[_Seen], smoother: Smoother | None = None) -> Iterator[tuple[Frame, Prediction]]:
        for one, prediction in zip(seen, self._classified(seen, smoother), strict=True):
            yield one.frame, prediction

    def _classified(self, seen: list[_Seen], smoother: Smoother | None = None) -> Iterator[Prediction]:
        crops = np.concatenate([one.crops for one in seen]) if seen else np.zeros((0, FACE_SIDE, FACE_SIDE), np.uint8)
        scores = self._scores(crops)
        start = 0
        for one in seen:
            own = scores[start : start + len(one.crops)]
            start += len(one.crops)
            if smoother is not None and one.tracks is not None:
                own = smoother(own, one.tracks, seconds=one.frame.seconds)
            sure = own.confidence >= self._min_confidence
            faces = one.faces[sure]
            tracks = None if one.tracks is None else one.tracks[sure]
            yield Prediction(one.frame.source, one.frame.seconds, faces, own[sure], tracks, quality(faces))

    def _scores(self, crops: NDArray[np.uint8]) -> Scores:
        """A row a crop; the classifier is not asked about none."""
        if not len(crops):
            return Scores(np.zeros((0, len(self._names)), np.float32), self._names)
        parts = [self._classifier(crops[some]) for some in batches(len(crops), self._batch)]
        scores = Scores(np.concatenate([part.probs for part in parts]), parts[0].class_names)
        if len(scores) != len(crops):
            raise ModelError(f"a classifier must give a row for each face, got {len(scores)} for {len(crops)}")
        return scores


def threads_beside(detector: Detector | None) -> int:
    """The threads that a classifier should have: all, 0, where no face is searched for, and else 1, since the search
    takes longer, on processors that threads that wait for faces would keep busy."""
    return 0 if detector is whole_image else 1


def _second(pairs: Generator[tuple[Frame, Prediction]]) -> Generator[Prediction]:
    with closing(pairs):
        for _, prediction in pairs:
            yield prediction
