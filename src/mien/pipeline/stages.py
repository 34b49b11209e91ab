"""The stages that a picture goes through: find its faces, cut them out, classify them with those of other pictures."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.detect.align import crop_faces
from mien.detect.quality import quality
from mien.detect.whole_image import doubt_crop, whole_image
from mien.errors import ModelError
from mien.io.frame import Frame
from mien.io.pixels import to_face
from mien.track.smoothing import Smoother
from mien.types import FACE_SIDE, Classifier, Detections, Detector, Prediction, Preview, Scores, batches

_BYTES = 1 << 24  # of pictures that are kept for whoever wants them: with more, nothing waits for others


@dataclass(frozen=True, eq=False)
class PendingFrame:
    """A picture or frame whose M faces wait to be classified: their crops (M, 48, 48), quality words and tracks."""

    frame: Frame
    faces: Detections
    crops: NDArray[np.uint8]
    quality: tuple[str, ...]
    tracks: NDArray[np.int64] | None = None
    preview: Preview | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Stages:
    """Finds, crops and classifies faces, and leaves out the doubtful ones. The fields are those of `Predictor`."""

    classifier: Classifier
    class_names: tuple[str, ...]
    detector: Detector
    min_face: float
    min_detection: float
    min_confidence: float
    batch: int
    threads: int

    def detect(self, frame: Frame, *, keep: bool = True, preview: Preview | None = None) -> PendingFrame:
        """Find the faces of a picture."""
        return self.pending(frame, self.keep_large_and_sure(self.detector(frame.picture)), keep=keep, preview=preview)

    def pending(
        self,
        frame: Frame,
        faces: Detections,
        *,
        keep: bool,
        tracks: NDArray[np.int64] | None = None,
        preview: Preview | None = None,
    ) -> PendingFrame:
        """Cut the faces out of a frame; keep: whether the frame keeps its picture."""
        crops = self.crop(frame.picture, faces)
        words = quality(faces, crops, self._doubt(frame.picture))
        return PendingFrame(frame if keep else frame.without_picture(), faces, crops, words, tracks, preview)

    def keep_large_and_sure(self, faces: Detections) -> Detections:
        """Return the faces that are large enough and surely enough faces."""
        if self.detector is whole_image:
            return faces
        wide = faces.boxes[:, 2] - faces.boxes[:, 0] >= self.min_face
        return faces[wide & (faces.confidence >= self.min_detection)]

    def crop(self, picture: NDArray[np.uint8], faces: Detections) -> NDArray[np.uint8]:
        """Return the M faces of a picture as (M, 48, 48)."""
        return to_face(picture)[None] if self.detector is whole_image else crop_faces(picture, faces)

    def _doubt(self, picture: NDArray[np.uint8]) -> str:
        """Return what is doubtful about a picture that should be one face."""
        return doubt_crop(picture) if self.detector is whole_image else ""

    def is_full(self, pending: list[PendingFrame], most: int) -> bool:
        """Tell whether enough pictures, faces or bytes wait to be classified."""
        kept = sum(one.frame.picture.nbytes for one in pending)
        return len(pending) >= most or sum(len(one.faces) for one in pending) >= self.batch or kept >= _BYTES

    def pair_with_frames(
        self, pending: list[PendingFrame], smoother: Smoother | None = None
    ) -> Iterator[tuple[Frame, Prediction]]:
        """Classify what waits, and pair each frame with its prediction."""
        for one, prediction in zip(pending, self.classify(pending, smoother), strict=True):
            yield one.frame, prediction

    def classify(self, pending: list[PendingFrame], smoother: Smoother | None = None) -> Iterator[Prediction]:
        """Classify the faces of all frames together, and yield a prediction for each frame."""
        none = np.zeros((0, FACE_SIDE, FACE_SIDE), np.uint8)
        scores = self._score(np.concatenate([none, *(one.crops for one in pending)]))
        start = 0
        for one in pending:
            own = scores[start : start + len(one.crops)]
            start += len(one.crops)
            if smoother is not None and one.tracks is not None:
                own = smoother(own, one.tracks, seconds=one.frame.seconds)
            sure = own.confidence >= self.min_confidence
            words = tuple(word for word, which in zip(one.quality, sure.tolist(), strict=True) if which)
            tracks = None if one.tracks is None else one.tracks[sure]
            frame = one.frame
            yield Prediction(frame.source, frame.seconds, one.faces[sure], own[sure], tracks, words, one.preview)

    def _score(self, crops: NDArray[np.uint8]) -> Scores:
        """Return a row for each crop; the classifier is not asked about none."""
        if not len(crops):
            return Scores(np.zeros((0, len(self.class_names)), np.float32), self.class_names)
        parts = [self.classifier(crops[some]) for some in batches(len(crops), self.batch)]
        first = parts[0]
        scores = Scores(np.concatenate([part.probs for part in parts]), first.class_names, first.certain_from)
        if len(scores) != len(crops):
            raise ModelError(f"a classifier must give a row for each face, got {len(scores)} for {len(crops)}")
        return scores
