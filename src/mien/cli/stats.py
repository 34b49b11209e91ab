"""What a command read, counted: how far it is, what could not be read, and what was seen, in a line."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.errors import DataError
    from mien.io.frame import Frame
    from mien.types import Prediction


class Tally:
    """Counts pictures, frames, faces and what could not be read; names: of all sources, moving: whether one is a video.

    frames: about how many pictures and frames there are; 0: not known.
    """

    def __init__(self, names: list[str], *, moving: bool, frames: int) -> None:
        self._total = len(names)
        self._moving = moving
        self._expected = frames
        self._pictures = self._frames = self._faceless = 0
        self._expressions: Counter[str] = Counter()
        self._followed: set[tuple[str, int]] = set()
        self._failed: list[DataError] = []
        self._progress: Callable[[int, int], None] = lambda _done, _total: None

    @contextmanager
    def progress_bar(self) -> Iterator[None]:
        """Show progress within the block."""
        from mien.cli.console import progress_bar

        with progress_bar("frames" if self._moving else "pictures") as self._progress:
            yield

    def add(self, frame: "Frame", prediction: "Prediction") -> None:
        """Count the prediction of a picture or a frame."""
        self._frames += frame.moving
        self._pictures += not frame.moving
        self._faceless += not len(prediction.faces)
        self._expressions.update(prediction.scores.class_names[top] for top in prediction.scores.top.tolist())
        if prediction.tracks is not None:
            self._followed.update((prediction.source, track) for track in prediction.tracks.tolist())
        self._progress(self._frames + self._pictures + (0 if self._moving else len(self._failed)), self._expected)

    def refuse(self, _name: str, error: "DataError") -> None:
        """Count what cannot be read, or not whole, and tell of it, as its error does, where there are others."""
        self._failed.append(error)
        if self._total > 1:
            remark(f"left out: {error}")

    def require_some(self) -> None:
        """Raise DataError where nothing could be read."""
        from mien.errors import DataError

        if self._failed and not self._pictures + self._frames:
            if self._total == 1:
                raise self._failed[0]
            raise DataError(f"none of {self._total:,} {'sources' if self._moving else 'pictures'} could be read")

    def require_all(self) -> None:
        """Raise DataError where something could not be read, or not whole."""
        from mien.errors import DataError

        if self._failed and self._total == 1:
            raise self._failed[0]
        if self._failed:
            what = "sources could not be read whole" if self._moving else "pictures could not be read"
            raise DataError(f"{len(self._failed):,} of {self._total:,} {what}; they are named above")

    def tell(self) -> None:
        """Say what was seen, on standard error."""
        faces = self._expressions.total()
        places = [
            count(number, noun)
            for number, noun in ((self._pictures, "picture"), (self._frames, "frame"))
            if number or (noun == "picture" and not self._moving)
        ]
        text = f"{count(faces, 'face')} in {' and '.join(places) or 'no frame'}"
        if self._frames:
            text += f", {count(len(self._followed), 'track')}"
        if self._faceless and self._pictures + self._frames > 1:
            text += f", {self._faceless:,} without any"
        if faces > 1:
            text += ": " + ", ".join(f"{name} {number:,}" for name, number in self._expressions.most_common())
        remark(text)


def count(number: int, noun: str) -> str:
    """A number and its noun, in the plural where that is right."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def remark(text: str) -> None:
    """Say something on standard error."""
    from mien.cli.console import plain, stderr

    stderr.print(plain(text), markup=False, soft_wrap=True)
