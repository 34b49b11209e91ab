"""The prediction of a picture, and its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.labels import EXPRESSIONS
from mien.types.checks import count_of, frozen, require
from mien.types.detections import Detections
from mien.types.html_repr import table_html, thumbnail_html, titled_html
from mien.types.scores import Scores

Preview = Callable[[], "NDArray[np.uint8] | None"]

# The columns of `Prediction.rows` before the probabilities, which are named after the classes.
COLUMNS = (
    *("source", "seconds", "track", "face", "left", "top", "right", "bottom"),
    *("detection", "quality", "expression", "confidence"),
)
_VIDEO_COLUMNS = ("seconds", "track")


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The faces seen in one picture, or in one frame of a video, with their expressions.

    Parameters
    ----------
    source
        The picture's name as it was given.
    seconds
        From the start of a video; 0 for a picture.
    faces, scores
        The M faces found, largest first, and a row of scores for each.
    tracks
        (M,) int64, the same number for the same person's face over time, or None.
    quality
        M words, `good` or what makes a face's expression doubtful (see `mien.detect.quality`), or None.
    preview
        A function that returns the picture, (H, W, 3) uint8 RGB, for a notebook to show, or None where it is gone.

    Raises
    ------
    ModelError
        Where faces, scores, tracks and quality differ in number.
    """

    source: str
    seconds: float
    faces: Detections
    scores: Scores
    tracks: NDArray[np.int64] | None = None
    quality: tuple[str, ...] | None = None
    preview: Preview | None = None

    def __post_init__(self) -> None:
        count = len(self.faces)
        rows = len(self.scores)
        require(rows == count, f"scores must have {count} rows, one a face, got {rows}", ModelError)
        if self.tracks is not None:
            object.__setattr__(self, "tracks", frozen(self.tracks, np.int64))
            require(self.tracks.shape == (count,), f"tracks must be ({count},), got {self.tracks.shape}", ModelError)
        words = count if self.quality is None else len(self.quality)
        require(words == count, f"quality must be {count} words, one a face, got {words}", ModelError)

    def __reduce__(self) -> tuple[Any, ...]:  # a preview may hold what cannot be pickled
        return Prediction, (self.source, self.seconds, self.faces, self.scores, self.tracks, self.quality)

    def __repr__(self) -> str:
        name = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in self.source)
        when = "" if self.tracks is None else f" at {self.seconds:.2f} s"
        tops = self.scores.describe_tops()
        return f"<Prediction{name and f' {name}'}{when}: {count_of(len(self.faces), 'face')}{tops and f', {tops}'}>"

    def _repr_html_(self) -> str:
        picture = None if self.preview is None else self.preview()
        if picture is None:
            rows = [[str(value) for value in row.values()] for row in self.rows()]
            names = columns(video=self.tracks is not None, class_names=self.scores.class_names)
            return titled_html(repr(self), table_html(list(self.rows()[0]) if rows else names, rows))
        faces = list(zip(self.scores.names, self.scores.confidence.tolist(), strict=True))
        return titled_html(repr(self), thumbnail_html(picture, self.faces.boxes.tolist(), faces))

    def rows(self) -> list[dict[str, str | int | float]]:
        """Return a row for each face, of plain JSON-safe values: the only text form, whatever is written or sent.

        A row holds source; seconds and track (videos only); face, counted from 0; left, top, right, bottom in pixels;
        detection (the detector's confidence); quality, where it is known; expression, or `uncertain`; confidence; then
        a probability for each class. Where there is no face there is no row; `columns` names the columns then, too.
        """
        return [self._row(face, name) for face, name in enumerate(self.scores.names)]

    def _row(self, face: int, name: str) -> dict[str, str | int | float]:
        row: dict[str, str | int | float] = {"source": self.source}
        if self.tracks is not None:
            row |= {"seconds": float(self.seconds), "track": int(self.tracks[face])}
        row["face"] = face
        row |= dict(zip(("left", "top", "right", "bottom"), self.faces.boxes[face].tolist(), strict=True))
        row["detection"] = float(self.faces.confidence[face])
        if self.quality is not None:
            row["quality"] = self.quality[face]
        row["expression"] = name
        row["confidence"] = float(self.scores.confidence[face])
        return row | dict(zip(self.scores.class_names, self.scores.probs[face].tolist(), strict=True))


def columns(*, video: bool = False, class_names: Sequence[str] = EXPRESSIONS) -> list[str]:
    """Return the columns of the rows that a `Predictor` gives, for a table that may have no row.

    `pandas.DataFrame(prediction.rows(), columns=mien.columns())` has its columns also where no face was found.

    Parameters
    ----------
    video
        Whether the rows are of a video, and have the columns `seconds` and `track`.
    class_names
        The classes that the classifier tells.
    """
    return [name for name in COLUMNS if video or name not in _VIDEO_COLUMNS] + list(class_names)
