"""Statistics of what a command read: progress, what could not be read, what had no face, and what was seen."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mien.cli.console import ProgressBar, progress_bar, remark
from mien.errors import DataError
from mien.io.frame import Frame
from mien.types import Prediction

_NAMED = 20  # names of pictures without a face that are told, before it is only said how many more there are


class PredictionStats:
    """Counts pictures, frames and faces, and keeps what could not be read.

    total:    how many sources there are.
    moving:   whether one of them is a video.
    expected: about how many pictures and frames there are; 0: not known.
    """

    def __init__(self, total: int, *, moving: bool, expected: int) -> None:
        self._total = total
        self._moving = moving
        self._expected = expected
        self._pictures = self._frames = self._frames_without = 0
        self._pictures_without: list[str] = []
        self._expressions: Counter[str] = Counter()
        self._quality: Counter[str] = Counter()
        self._tracks: set[tuple[str, int]] = set()
        self._failed: list[DataError] = []
        self._bar: ProgressBar | None = None

    @contextmanager
    def progress_bar(self) -> Iterator[None]:
        """Show progress within the block."""
        with progress_bar("frames" if self._moving else "pictures") as self._bar:
            yield

    def add(self, frame: Frame, prediction: Prediction) -> None:
        """Count the prediction of a picture or a frame."""
        self._frames += frame.moving
        self._pictures += not frame.moving
        if not len(prediction.faces) and frame.moving:
            self._frames_without += 1
        elif not len(prediction.faces):
            self._pictures_without.append(prediction.source)
        self._expressions.update(prediction.scores.names)
        self._quality.update(prediction.quality or ())
        if prediction.tracks is not None:
            self._tracks.update((prediction.source, track) for track in prediction.tracks.tolist())
        if self._bar:
            self._bar(self._frames + self._pictures + (0 if self._moving else len(self._failed)), self._expected)

    def add_error(self, _name: str, error: DataError) -> None:
        """Count what cannot be read, or not whole; tell of it at once where there are other sources."""
        self._failed.append(error)
        if self._total > 1:
            remark(f"left out: {error}")

    def require_some(self) -> None:
        """Raise DataError where nothing could be read."""
        if self._failed and not self._pictures + self._frames:
            if self._total == 1:
                raise self._failed[0]
            raise DataError(f"none of {self._total:,} {'sources' if self._moving else 'pictures'} could be read")

    def require_all(self) -> None:
        """Raise DataError where something could not be read, or not whole."""
        if self._failed and self._total == 1:
            raise self._failed[0]
        if self._failed:
            what = "sources could not be read whole" if self._moving else "pictures could not be read"
            raise DataError(f"{len(self._failed):,} of {self._total:,} {what}; they are named above")

    def report(self) -> None:
        """Say what was seen, and which pictures had no face, on standard error."""
        faces = self._expressions.total()
        places = [
            count(number, noun)
            for number, noun in ((self._pictures, "picture"), (self._frames, "frame"))
            if number or (noun == "picture" and not self._moving)
        ]
        text = f"{count(faces, 'face')} in {' and '.join(places) or 'no frame'}"
        if self._frames:
            text += f", {count(len(self._tracks), 'track')}"
        without = len(self._pictures_without) + self._frames_without
        if without and self._pictures + self._frames > 1:
            text += f", {without:,} without any"
        if faces > 1:
            text += ": " + ", ".join(f"{name} {number:,}" for name, number in self._expressions.most_common())
        remark(text)
        self._report_quality()
        if self._pictures_without and self._pictures > 1:
            named = ", ".join(self._pictures_without[:_NAMED])
            more = len(self._pictures_without) - _NAMED
            remark(f"no face in {named}" + (f" and {more:,} more; --faceless FILE lists all" if more > 0 else ""))

    def _report_quality(self) -> None:
        """Say how many faces are doubtful, and what to do about what can be mended."""
        doubtful = self._quality.total() - self._quality["good"]
        if not doubtful:
            return
        words = Counter(word.split(":")[0] for words in self._quality.elements() for word in words.split("+"))
        del words["good"]
        named = ", ".join(f"{word} {number:,}" for word, number in words.most_common())
        remark(f"{count(doubtful, 'face')} of doubtful quality: {named}")
        if words["uncropped"]:
            whole = count(words["uncropped"], "picture")
            remark(f"{whole} in which the face takes less than half: without --cropped, faces are found and cut out")


def count(number: int, noun: str) -> str:
    """A number and its noun, in the plural where that is right."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
