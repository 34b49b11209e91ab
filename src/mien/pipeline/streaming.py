"""Predictions of any number of sources, lazily: pictures and videos are decoded and searched ahead in threads."""

from collections.abc import Generator, Iterator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.io.frame import Frame, FrameSelection
from mien.io.reader import read_frames
from mien.io.source import OnError, Sources, find_sources, is_video
from mien.pipeline.ahead import Ahead
from mien.pipeline.prefetch import prefetch
from mien.pipeline.stages import PendingFrame, Stages
from mien.track.smoothing import Smoother
from mien.track.video_detector import VideoFaceDetector
from mien.types import Detections, Prediction

_FRAMES = 16  # of a video: classified together, at the most, and searched ahead of that
_KEPT = 4  # frames that are read ahead, or searched ahead where they are kept
_SEARCHED = 2  # frames that wait for their faces to be cut out

_TrackedFaces = tuple[Frame, Detections, NDArray[np.int64]]


def stream_sources(
    stages: Stages,
    sources: Sources,
    selection: FrameSelection,
    on_error: OnError,
    *,
    smooth: float,
    stride: int,
    keep: bool,
) -> Generator[tuple[Frame, Prediction]]:
    """Yield each picture and frame of the sources with its prediction, in order; see `Predictor.stream`.

    keep: whether frames keep their pictures until they are yielded.
    """
    names = find_sources(sources)

    def search(name: str) -> list[PendingFrame]:
        return [stages.detect(frame, keep=keep) for frame in read_frames(name, selection=selection)]

    with Ahead(search, threads=stages.threads, nbytes=_nbytes) as pictures:
        batch = _Batch(stages, pictures, on_error)
        while True:
            try:
                name = next(names, None)
            except DataError:  # what could be read before comes first
                yield from batch.rest()
                raise
            if name is None:
                break
            try:
                video = is_video(name)
                if not video:
                    pictures.put(name)
            except DataError as error:
                yield from batch.rest()
                on_error(name, error)
                continue
            if video:
                yield from batch.rest()
                try:
                    yield from _stream_video(stages, name, selection, smooth=smooth, stride=stride, keep=keep)
                except DataError as error:
                    on_error(name, error)
            while pictures.is_full:
                yield from batch.add()
        yield from batch.rest()


class _Batch:
    """The pictures whose faces wait to be classified together."""

    def __init__(self, stages: Stages, pictures: Ahead[str, list[PendingFrame]], on_error: OnError) -> None:
        self._stages, self._pictures, self._on_error = stages, pictures, on_error
        self._pending: list[PendingFrame] = []

    def add(self) -> Iterator[tuple[Frame, Prediction]]:
        """Take the next picture that was searched in; where that fills the batch, yield its predictions."""
        name, result = self._pictures.take()
        try:
            self._pending += result()
        except DataError as error:
            self._on_error(name, error)
        if self._stages.is_full(self._pending, self._stages.batch):
            yield from self._flush()

    def rest(self) -> Iterator[tuple[Frame, Prediction]]:
        """Take in all pictures that are searched, and yield all predictions that are left."""
        while self._pictures:
            yield from self.add()
        yield from self._flush()

    def _flush(self) -> Iterator[tuple[Frame, Prediction]]:
        pending, self._pending = self._pending, []
        yield from self._stages.pair_with_frames(pending)


def _nbytes(frames: list[PendingFrame]) -> int:
    return sum(one.frame.picture.nbytes for one in frames)


def _stream_video(
    stages: Stages, name: str, selection: FrameSelection, *, smooth: float, stride: int, keep: bool
) -> Iterator[tuple[Frame, Prediction]]:
    """Yield the frames of one video with their predictions; threads decode it, search it and cut the faces out."""
    frames = prefetch(
        read_frames(name, selection=selection),
        size=_KEPT,
        overtakes=lambda frame: frame.live,
        nbytes=lambda frame: frame.picture.nbytes,
    )
    tracked = prefetch(
        _track_faces(stages, frames, stride=stride),
        size=_SEARCHED,
        overtakes=lambda one: one[0].live,
        nbytes=lambda one: one[0].picture.nbytes,
    )
    ready = prefetch(
        _crop_faces(stages, tracked, keep=keep),
        size=_KEPT if keep else _FRAMES,
        overtakes=lambda one: one.frame.live,
        nbytes=lambda one: one.frame.picture.nbytes,
    )
    smoother = Smoother(seconds=smooth)
    pending: list[PendingFrame] = []
    error = None
    with closing(ready):
        try:
            for one in ready:
                pending.append(one)
                if one.frame.live or stages.is_full(pending, _FRAMES):
                    yield from stages.pair_with_frames(pending, smoother)
                    pending = []
        except DataError as caught:  # it comes after the frames that could be read
            error = caught
        yield from stages.pair_with_frames(pending, smoother)
    if error is not None:
        raise error


def _track_faces(stages: Stages, frames: Generator[Frame], *, stride: int) -> Generator[_TrackedFaces]:
    """Yield each frame of a video with its faces and their tracks."""
    with closing(frames):
        detect = VideoFaceDetector(stages.detector, keep=stages.keep_large_and_sure, stride=stride)
        yield from detect.track(frames)


def _crop_faces(stages: Stages, tracked: Generator[_TrackedFaces], *, keep: bool) -> Generator[PendingFrame]:
    """Yield each frame with its faces cut out: a stage of its own, since large faces take as long as the search."""
    with closing(tracked):
        for frame, faces, tracks in tracked:
            yield stages.pending(frame, faces, keep=keep, tracks=tracks)
