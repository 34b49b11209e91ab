"""The values that travel between mien's parts: frozen, and checked once, when they are made.

Arrays are held as read-only views of what was given, uncopied where they fit, so nothing changes a value through it;
whoever made the arrays should leave them alone, too.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, ModelError
from mien.labels import EXPRESSIONS, SPLITS, VOTES

FACE_SIDE = 48  # pixels: the side of a face crop, FER2013's


def _frozen(value: object, dtype: Any) -> NDArray[Any]:
    array = np.ascontiguousarray(value, dtype=dtype).view()
    array.flags.writeable = False
    return array


def _require(condition: bool, message: str, error: type[Exception] = DataError) -> None:
    if not condition:
        raise error(message)


def require_faces(images: Any) -> NDArray[np.uint8]:
    """What is given to a classifier, if it is (N, 48, 48) uint8; N may be 0. Raises DataError."""
    array = np.asarray(images)
    if array.dtype != np.uint8 or array.shape != (*array.shape[:1], FACE_SIDE, FACE_SIDE):
        hint = "; one face alone is face[None]" if array.shape == (FACE_SIDE, FACE_SIDE) else ""
        raise DataError(f"faces must be (N, {FACE_SIDE}, {FACE_SIDE}) uint8, got {array.shape} {array.dtype}{hint}")
    return array


@dataclass(frozen=True, eq=False)
class FaceSet:
    """A set of face crops with what is known of each: label, split, id and votes. `faces[mask]` selects, `len` counts.

    images: (N, 48, 48) uint8, grey.
    labels: (N,) int64, an index into `EXPRESSIONS`, or -1 where the expression is not known.
    splits: (N,) str, each one of train, valid, test.
    ids:    (N,) str, unique; the same face keeps its id through every selection and file.
    votes:  (N, 10) float32, the FER+ annotators' votes in the order of `VOTES`, or None.

    Raises DataError where a shape, a type or a value is none of these.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    ids: NDArray[np.str_]
    votes: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        images = np.asarray(self.images)
        count = len(images)
        _require(
            images.dtype == np.uint8 and images.shape == (count, FACE_SIDE, FACE_SIDE),
            f"images must be (N, {FACE_SIDE}, {FACE_SIDE}) uint8, got {images.shape} {images.dtype}",
        )
        for name in ("labels", "splits", "ids"):
            shape = np.shape(getattr(self, name))
            _require(shape == (count,), f"{name} must be ({count},), one for each image, got {shape}")
        labels = np.asarray(self.labels)
        _require(labels.dtype.kind in "iu" or count == 0, f"labels must be whole numbers, got {labels.dtype}")
        object.__setattr__(self, "images", _frozen(images, np.uint8))
        object.__setattr__(self, "labels", _frozen(labels, np.int64))
        object.__setattr__(self, "splits", _frozen(self.splits, np.str_))
        object.__setattr__(self, "ids", _frozen(self.ids, np.str_))
        bad = (self.labels < -1) | (self.labels >= len(EXPRESSIONS))
        _require(not bad.any(), f"labels must be -1 to {len(EXPRESSIONS) - 1}, got {self.labels[bad][:1].tolist()}")
        unknown = sorted(set(np.unique(self.splits).tolist()) - set(SPLITS))
        _require(not unknown, f"splits must be {', '.join(SPLITS)}, got {unknown[:1]}")
        distinct, counts = np.unique(self.ids, return_counts=True)
        _require(len(distinct) == count, f"ids must be unique, got {distinct[counts > 1][:1].tolist()} more than once")
        if self.votes is not None:
            votes = np.asarray(self.votes)
            _require(votes.shape == (count, len(VOTES)), f"votes must be ({count}, {len(VOTES)}), got {votes.shape}")
            object.__setattr__(self, "votes", _frozen(votes, np.float32))
            _require(bool(np.all((votes >= 0) & np.isfinite(votes))), "votes must be finite numbers of 0 or more")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: NDArray[Any] | slice | list[int]) -> "FaceSet":
        """The faces that a mask (N,) bool, indices or a slice choose, in that order."""
        index = chosen if isinstance(chosen, slice) else np.asarray(chosen)
        if not isinstance(index, slice):
            if index.size == 0 and index.dtype != np.bool_:
                index = index.astype(np.int64)
            if index.ndim != 1:
                raise TypeError("faces[...] takes a mask, a list of indices or a slice, as in faces[faces.labels == 3]")
        votes = None if self.votes is None else self.votes[index]
        return FaceSet(self.images[index], self.labels[index], self.splits[index], self.ids[index], votes)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of everything that the set holds, the order included."""
        digest = hashlib.sha256()
        text = "\n".join((*self.splits.tolist(), *self.ids.tolist()))
        for array in (self.images, self.labels, self.votes):
            digest.update(b"none" if array is None else array.tobytes())
        digest.update(text.encode())
        return digest.hexdigest()

    @property
    def plurality(self) -> NDArray[np.int64]:
        """(N,) int64: the expression that most FER+ annotators chose; -1 at a tie, or where it is none of the seven.

        Raises DataError where the set has no votes.
        """
        if self.votes is None:
            raise DataError(
                "these faces have no FER+ votes; add them with: mien data import ... --votes fer2013new.csv"
            )
        top = self.votes.argmax(axis=1)
        most = self.votes.max(axis=1, initial=0)
        clear = (most > 0) & ((self.votes == most[:, None]).sum(axis=1) == 1) & (top < len(EXPRESSIONS))
        return np.where(clear, top, -1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Scores:
    """What a classifier says of N faces.

    probs: (N, K) float32, probabilities in [0, 1], rows sum to 1.
    class_names: the K classes, in the order of the columns.

    Raises ModelError where a row is no distribution (NaN, negative, or not summing to 1 within 1e-3).
    """

    probs: NDArray[np.float32]
    class_names: tuple[str, ...] = EXPRESSIONS

    def __post_init__(self) -> None:
        probs = np.asarray(self.probs)
        _require(
            probs.ndim == 2 and probs.shape[1] == len(self.class_names),
            f"probs must be (N, {len(self.class_names)}), a column for each class, got {probs.shape}",
            ModelError,
        )
        object.__setattr__(self, "probs", _frozen(probs, np.float32))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        sound = bool(np.all(self.probs >= 0)) and bool(np.all(np.abs(self.probs.sum(axis=1) - 1) < 1e-3))
        _require(sound, "each row of probs must be probabilities that sum to 1", ModelError)

    def __len__(self) -> int:
        return len(self.probs)

    def __getitem__(self, chosen: NDArray[Any] | slice) -> "Scores":
        """The rows that a mask, indices or a slice choose."""
        return Scores(self.probs[chosen], self.class_names)

    @property
    def top(self) -> NDArray[np.int64]:
        """(N,) int64: the most probable class of each row."""
        top: NDArray[np.int64] = self.probs.argmax(axis=1)
        return top

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(N,) float32: the probability of that class."""
        confidence: NDArray[np.float32] = self.probs.max(axis=1, initial=0)
        return confidence


@dataclass(frozen=True, eq=False)
class Detections:
    """M faces found in one picture, largest first.

    boxes:      (M, 4) float32: left, top, right, bottom, in pixels of that picture; may reach beyond its edges.
    confidence: (M,) float32 in [0, 1].
    landmarks:  (M, 5, 2) float32, x and y in pixels: the eye on the left of the picture, the eye on its right, nose
                tip, left and right corner of the mouth; or None.

    Raises ModelError where a shape or a value is none of these. Sorts what it is given.
    """

    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        boxes = np.asarray(self.boxes, np.float32) if count else np.zeros((0, 4), np.float32)
        confidence = np.asarray(self.confidence)
        _require(boxes.shape == (count, 4), f"boxes must be (M, 4), got {boxes.shape}", ModelError)
        _require(bool(np.isfinite(boxes).all()), "boxes must be finite numbers", ModelError)
        _require(confidence.shape == (count,), f"confidence must be ({count},), got {confidence.shape}", ModelError)
        sure = (confidence >= 0) & (confidence <= 1 + 1e-6)  # which rounding may leave
        _require(bool(sure.all()), f"confidence must be 0 to 1, got {confidence[~sure][:1].tolist()}", ModelError)
        sides = boxes[:, 2:] - boxes[:, :2]
        _require(bool((sides > 0).all()), "boxes must be left, top, right, bottom with positive sides", ModelError)
        order = np.argsort(-sides.prod(axis=1), kind="stable")
        object.__setattr__(self, "boxes", _frozen(boxes[order], np.float32))
        object.__setattr__(self, "confidence", _frozen(confidence[order].clip(0, 1), np.float32))
        if self.landmarks is not None:
            landmarks = np.asarray(self.landmarks, np.float32) if count else np.zeros((0, 5, 2), np.float32)
            shape = landmarks.shape
            _require(shape == (count, 5, 2), f"landmarks must be ({count}, 5, 2), got {shape}", ModelError)
            object.__setattr__(self, "landmarks", _frozen(landmarks[order], np.float32))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, chosen: NDArray[Any] | slice) -> "Detections":
        """The faces that a mask, indices or a slice choose, largest first again."""
        landmarks = None if self.landmarks is None else self.landmarks[chosen]
        return Detections(self.boxes[chosen], self.confidence[chosen], landmarks)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was seen in one picture, or in one frame of a video.

    source:  the picture's name as it was given.
    seconds: from the start of a video; 0 for a picture.
    faces:   the M faces found, largest first; scores: a row for each.
    tracks:  (M,) int64, the same number for the same person's face over time, or None.
    quality: M words, `good` or what makes a face's expression doubtful (see `mien.detect.quality`), or None.

    Raises ModelError where faces, scores, tracks and quality differ in number.
    """

    source: str
    seconds: float
    faces: Detections
    scores: Scores
    tracks: NDArray[np.int64] | None = None
    quality: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.faces)
        rows = len(self.scores)
        _require(rows == count, f"scores must have {count} rows, one a face, got {rows}", ModelError)
        if self.tracks is not None:
            object.__setattr__(self, "tracks", _frozen(self.tracks, np.int64))
            _require(self.tracks.shape == (count,), f"tracks must be ({count},), got {self.tracks.shape}", ModelError)
        words = count if self.quality is None else len(self.quality)
        _require(words == count, f"quality must be {count} words, one a face, got {words}", ModelError)

    def rows(self) -> list[dict[str, str | int | float]]:
        """A row a face, of plain JSON-safe values: the only text form, whatever is written or sent.

        Columns: source; seconds and track (videos only); face, counted from 0; left, top, right, bottom in pixels;
        detection (confidence of the detector); quality, where it is known; expression; confidence; then a probability
        for each expression.
        """
        return [self._row(face) for face in range(len(self.faces))]

    def _row(self, face: int) -> dict[str, str | int | float]:
        row: dict[str, str | int | float] = {"source": self.source}
        if self.tracks is not None:
            row |= {"seconds": float(self.seconds), "track": int(self.tracks[face])}
        row["face"] = face
        row |= dict(zip(("left", "top", "right", "bottom"), self.faces.boxes[face].tolist(), strict=True))
        row["detection"] = float(self.faces.confidence[face])
        if self.quality is not None:
            row["quality"] = self.quality[face]
        row["expression"] = self.scores.class_names[int(self.scores.top[face])]
        row["confidence"] = float(self.scores.confidence[face])
        return row | dict(zip(self.scores.class_names, self.scores.probs[face].tolist(), strict=True))


# The columns of `Prediction.rows` but for the probabilities, which are named after the classes.
COLUMNS = (
    *("source", "seconds", "track", "face", "left", "top", "right", "bottom"),
    *("detection", "quality", "expression", "confidence"),
)


Progress = Callable[[int, int], None]  # what a long job calls as it goes: how many are done, of how many (0: unknown)


class Classifier(Protocol):
    """Anything that tells the expressions of face crops."""

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """(N, 48, 48) uint8 -> Scores with N rows."""
        ...


class Detector(Protocol):
    """Anything that finds faces in a picture."""

    def __call__(self, picture: NDArray[np.uint8], /) -> Detections:
        """(H, W, 3) uint8 RGB -> Detections."""
        ...


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `count` items."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
