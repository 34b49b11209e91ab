"""Pictures in, predictions out: find the faces, crop them as the classifier knows them, classify them in batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, ModelError
from mien.infer.detector import YuNet, whole
from mien.infer.sources import OnError, Sources, printable, read_frames
from mien.pixels import crop_face, read_picture, tilt, to_face
from mien.types import FACE_SIDE, Classifier, Detections, Detector, Prediction, Scores, batches

DEFAULT_MODEL = "swift"
MIN_FACE = YuNet.min_face  # pixels
MARGIN = -0.03  # share of a box's longer side: what makes a crop show what FER2013's show (benchmarks/crop_margin.py)


class Predictor:
    """Reads the expressions of all faces of a picture, or of any number of pictures.

    classifier:     what tells the expressions, or the name or file of a model; None: the model that ships.
    detector:       what finds the faces; None: `YuNet`. With `whole` every picture is one face, cropped already.
    min_face:       pixels; narrower faces are left out. The detector scales big pictures down to what that needs.
    min_confidence: in [0, 1]; faces whose expression is less certain are left out.
    batch:          faces that are classified at a time.

    Raises DataError or ModelError where one of these is out of range or no model.
    """

    def __init__(
        self,
        classifier: Classifier | str | Path | None = None,
        *,
        detector: Detector | None = None,
        min_face: float = MIN_FACE,
        min_confidence: float = 0.0,
        batch: int = 64,
    ) -> None:
        if not 0 <= min_confidence <= 1:
            raise DataError(f"min_confidence must be 0 to 1, got {min_confidence}")
        if batch < 1:
            raise DataError(f"batch must be 1 or more, got {batch}")
        if classifier is None or isinstance(classifier, (str, Path)):
            from mien.infer.classifier import load

            classifier = load(classifier or DEFAULT_MODEL)
        self._classifier = classifier
        self._detector = detector or YuNet(min_face=min_face)
        self._min_face = min_face
        self._min_confidence = min_confidence
        self._batch = batch

    def __call__(self, picture: NDArray[np.uint8] | Path | str | IO[bytes], *, source: str | None = None) -> Prediction:
        """The expressions of all faces of one picture: (H, W, 3) uint8 RGB, or a file.

        source: what the prediction calls the picture; None: the file's name.
        A picture without a face gives a prediction without faces. Raises DataError where it cannot be read.
        """
        if not isinstance(picture, np.ndarray):
            if source is None and isinstance(picture, (Path, str)):
                source = printable(str(picture))
            picture = read_picture(picture)
        (prediction,) = self._classified([(source or "", 0.0, *self._found(picture))])
        return prediction

    def stream(self, sources: Sources, *, on_error: OnError | None = None) -> Iterator[Prediction]:
        """The predictions of files, folders and glob patterns, one a picture, in order, as they are asked for.

        Faces of several pictures are classified together; only a batch of crops is held. A picture that cannot be
        read goes to `on_error(name, error)`, or is logged, and the rest goes on. Raises DataError where a source
        does not exist, matches nothing or holds no picture.
        """
        waiting: list[tuple[str, float, Detections, NDArray[np.uint8]]] = []
        faces = 0
        for frame in read_frames(sources, on_error=on_error):
            waiting.append((frame.source, frame.seconds, *self._found(frame.picture)))
            faces += len(waiting[-1][2])
            if faces >= self._batch or len(waiting) >= self._batch:
                yield from self._classified(waiting)
                waiting, faces = [], 0
        yield from self._classified(waiting)

    def _found(self, picture: NDArray[np.uint8]) -> tuple[Detections, NDArray[np.uint8]]:
        """The M faces of a picture, and their crops (M, 48, 48)."""
        faces = self._detector(picture)
        if self._detector is whole:
            return faces, to_face(picture)[None]
        faces = faces[faces.boxes[:, 2] - faces.boxes[:, 0] >= self._min_face]
        tilts = [0.0] * len(faces) if faces.landmarks is None else [tilt(points) for points in faces.landmarks]
        crops = [
            crop_face(picture, box, margin=MARGIN, degrees=degrees)
            for box, degrees in zip(faces.boxes, tilts, strict=True)
        ]
        return faces, np.array(crops, np.uint8).reshape(-1, FACE_SIDE, FACE_SIDE)

    def _classified(self, seen: list[tuple[str, float, Detections, NDArray[np.uint8]]]) -> Iterator[Prediction]:
        crops = np.concatenate([crops for *_, crops in seen]) if seen else np.zeros((0, FACE_SIDE, FACE_SIDE), np.uint8)
        scores = self._scores(crops)
        start = 0
        for source, seconds, faces, crops in seen:
            own = scores[start : start + len(crops)]
            start += len(crops)
            sure = own.confidence >= self._min_confidence
            yield Prediction(source, seconds, faces[sure], own[sure])

    def _scores(self, crops: NDArray[np.uint8]) -> Scores:
        """A row a crop; the classifier is not asked about none."""
        if not len(crops):
            return Scores(np.zeros((0, len(Scores.names)), np.float32))
        parts = [self._classifier(crops[some]) for some in batches(len(crops), self._batch)]
        scores = Scores(np.concatenate([part.probs for part in parts]), parts[0].names)
        if len(scores) != len(crops):
            raise ModelError(f"a classifier must give a row for each face, got {len(scores)} for {len(crops)}")
        return scores
