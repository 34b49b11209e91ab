"""Pictures and videos in, predictions out: find faces, crop them as the classifier knows them, classify in batches."""

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from os import PathLike
from pathlib import Path

import numpy as np

from mien.classify.ensemble import class_names_of, classifier_name
from mien.classify.onnx import load
from mien.classify.session import CPU, cpu_count
from mien.detect.whole_image import whole_image
from mien.detect.yunet import YuNet
from mien.errors import DataError
from mien.io.any_picture import AnyPicture, as_picture
from mien.io.frame import Frame, FrameSelection
from mien.io.source import OnError, Sources, display_name, log_error
from mien.pipeline.preview import preview_of
from mien.pipeline.stages import PendingFrame, Stages
from mien.pipeline.streaming import stream_sources
from mien.track.smoothing import SMOOTHING_SECONDS
from mien.track.video_detector import STRIDE
from mien.types import Classifier, Detector, Prediction

DEFAULT_MODEL = "swift"
MIN_FACE = YuNet.min_face  # pixels


class Predictor:
    """Reads the expressions of all faces of a picture, or of any number of pictures and videos.

    May be pickled and copied, and used from several threads and processes, as its classifier and detector may; those
    that ship may.

    Parameters
    ----------
    classifier
        What tells the expressions, or the name or file of a model; None: the model that ships.
    detector
        What finds the faces; None: `YuNet`. With `whole_image` every picture is one face, cropped already.
    min_face
        Pixels; narrower faces are left out. The detector scales big pictures down to what that needs.
    min_detection
        In [0, 1]; what is less surely a face is left out. None: as the detector has it.
    min_confidence
        In [0, 1]; faces whose expression is less certain are left out.
    batch
        Faces that are classified at a time.
    smooth
        Seconds: over about this time the probabilities of a face in a video are averaged; 0: as they come.
    stride
        Frames of a video: faces are searched for at least on each such frame; see `VideoFaceDetector`.
    threads
        Pictures that are read and searched at a time, each in a thread of its own. 0: as many as there are CPUs for
        this process where the detector is made here; a detector of your own is called by one thread at a time.
    providers
        Of ONNX Runtime, best first, for the model and the detector where these are made here; None: the CPU.

    Raises
    ------
    DataError, ModelError
        Where one of these is out of range or no model.
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
        threads: int = 0,
        providers: Sequence[str] | None = None,
    ) -> None:
        for name, share in (("min_detection", min_detection), ("min_confidence", min_confidence)):
            if share is not None and not 0 <= share <= 1:
                raise DataError(f"{name} must be 0 to 1, got {share}")
        counts = {"batch": (1, batch), "stride": (1, stride), "smooth": (0, smooth), "threads": (0, threads)}
        for name, (least, value) in counts.items():
            if not value >= least:
                raise DataError(f"{name} must be {least} or more, got {value}")
        if classifier is None or isinstance(classifier, (str, Path)):
            classifier = load(classifier or DEFAULT_MODEL, threads=threads_beside(detector), providers=providers)
        given = detector is not None
        if detector is None:
            threshold = YuNet.threshold if min_detection is None else max(min_detection, 0.01)
            detector = YuNet(min_face=min_face, threshold=threshold, providers=tuple(providers or CPU))
        self._stages = Stages(
            classifier=classifier,
            class_names=class_names_of(classifier),
            detector=detector,
            min_face=min_face,
            min_detection=min_detection or 0.0,
            min_confidence=min_confidence,
            batch=batch,
            threads=threads or (1 if given else cpu_count()),
        )
        self._smooth = smooth
        self._stride = stride

    @property
    def classifier(self) -> Classifier:
        """The classifier, which tells the expressions."""
        return self._stages.classifier

    @property
    def detector(self) -> Detector:
        """The detector, which finds the faces."""
        return self._stages.detector

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that the classifier tells."""
        return self._stages.class_names

    def __repr__(self) -> str:
        return f"<Predictor {classifier_name(self.classifier)}, faces from {self._stages.min_face:g} pixels on>"

    def __call__(self, picture: AnyPicture, *, source: str | None = None, bgr: bool = False) -> Prediction:
        """Read the expressions of all faces of one picture.

        A picture without a face gives a prediction without faces.

        Parameters
        ----------
        picture
            A path, the bytes of a picture file, a binary file, an image of Pillow, or an array of grey, RGB or RGBA
            values, uint8 or floats from 0 to 1.
        source
            What the prediction calls the picture; None: the file's name.
        bgr
            Whether an array has its channels the other way round, as OpenCV gives them.

        Raises
        ------
        DataError
            Where the picture is another kind of thing, or cannot be read.
        """
        pixels = as_picture(picture, bgr=bgr)
        frame = Frame(_name_of(picture) if source is None else source, 0.0, pixels)
        pending = self._stages.detect(frame, keep=False, preview=preview_of(picture, bgr=bgr))
        (prediction,) = self._stages.classify([pending])
        return prediction

    def predict_batch(
        self, pictures: Iterable[AnyPicture], *, sources: Iterable[str] | None = None, bgr: bool = False
    ) -> list[Prediction]:
        """Read the expressions of all faces of several pictures; the faces of all are classified together.

        Parameters
        ----------
        pictures
            Each as in a single call. For more than memory holds, call `stream`, or this for some at a time.
        sources
            What the predictions call the pictures, one a picture; None: the files' names.
        bgr
            Whether arrays have their channels the other way round, as OpenCV gives them.

        Returns
        -------
        list[Prediction]
            One for each picture, in order.

        Raises
        ------
        DataError
            Where a picture cannot be read, or where there are not as many sources as pictures.
        """
        if isinstance(pictures, (str, PathLike, bytes)) or _is_one_array(pictures):
            raise DataError("pictures must be several, such as a list; of one picture, call the predictor itself")
        pictures = list(pictures)
        names = [_name_of(picture) for picture in pictures] if sources is None else list(sources)
        if len(names) != len(pictures):
            raise DataError(f"sources must be {len(pictures)}, one a picture, got {len(names)}")

        def search(picture: AnyPicture, name: str) -> PendingFrame:
            return self._stages.detect(Frame(name, 0.0, as_picture(picture, bgr=bgr)), keep=False)

        threads = min(self._stages.threads, len(pictures))
        if threads < 2:
            return list(self._stages.classify([*map(search, pictures, names)]))
        with ThreadPoolExecutor(threads, thread_name_prefix="mien-ahead") as pool:
            return list(self._stages.classify([*pool.map(search, pictures, names)]))

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
        """Read pictures, folders, patterns, videos, cameras and streams, in order, as predictions are asked for.

        There is one prediction for each picture and each frame. In videos each face has a track, and its probabilities
        are smoothed. Videos are decoded and searched ahead of what is asked for, in threads that end with the
        iterator; of cameras and streams the newest frame is taken, and those it overtook are left out. Faces of
        several pictures are classified together; only a batch of crops is held.

        Parameters
        ----------
        sources
            One source or several; `find_sources` says how they are named.
        every
            Seconds from one frame of a video to the next; None: all frames.
        start, end
            Seconds from the start of each video.
        max_side
            Pixels; larger pictures are made smaller than this first.
        on_error
            Is called with the name of what cannot be read, and why, and the rest goes on; None: it is logged.

        Raises
        ------
        DataError
            Where an option is out of range, a source does not exist, matches nothing or holds no picture.
        """
        selection = FrameSelection(every=every, start=start, end=end, max_side=max_side)
        return _without_frames(self._stream(sources, selection, on_error, keep=False))

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
        """Do what `stream` does, and give each prediction after the picture or frame that it is of, to draw or show it.

        The parameters are those of `stream`.
        """
        selection = FrameSelection(every=every, start=start, end=end, max_side=max_side)
        return self._stream(sources, selection, on_error, keep=True)

    def _stream(
        self, sources: Sources, selection: FrameSelection, on_error: OnError | None, *, keep: bool
    ) -> Generator[tuple[Frame, Prediction]]:
        return stream_sources(
            self._stages,
            sources,
            selection,
            on_error or log_error,
            smooth=self._smooth,
            stride=self._stride,
            keep=keep,
        )


def predict(picture: AnyPicture, *, bgr: bool = False) -> Prediction:
    """Read the expressions of all faces of one picture with the detector and the model that ship.

    The first call loads them. For other models and settings, or for many pictures, make a `Predictor`.
    The parameters are those of a call of `Predictor`. Raises DataError where the picture cannot be read.
    """
    return _default_predictor()(picture, bgr=bgr)


@cache
def _default_predictor() -> Predictor:
    return Predictor()


def threads_beside(detector: Detector | None) -> int:
    """Return how many threads a classifier should have beside a detector.

    All, 0, where no face is searched for, and else 1, since the search takes longer, on processors that threads that
    wait for faces would keep busy.
    """
    return 0 if detector is whole_image else 1


def _name_of(picture: AnyPicture) -> str:
    """Return the name of a file, and of anything else nothing."""
    return display_name(str(picture)) if isinstance(picture, (str, PathLike)) else ""


def _is_one_array(pictures: object) -> bool:
    """Tell whether an array is one picture, (H, W) or (H, W, 3 or 4), rather than several."""
    shape = np.shape(pictures) if isinstance(pictures, np.ndarray) else (0,) * 4
    return len(shape) < 3 or (len(shape) == 3 and shape[2] in (1, 3, 4))


def _without_frames(pairs: Generator[tuple[Frame, Prediction]]) -> Generator[Prediction]:
    with closing(pairs):
        for _, prediction in pairs:
            yield prediction
