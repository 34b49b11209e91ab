"""A set of face crops, with what is known of each."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.labels import EXPRESSIONS, SPLITS, VOTES, class_name, parse_class
from mien.types.checks import count_of, frozen, require
from mien.types.html_repr import sheet_html, titled_html

FACE_SIDE = 48  # pixels: the side of a face crop, FER2013's
_SHEET = 14  # faces that a notebook shows
_LONGEST_NAME = 60  # characters of a class's name
_TAKEN = ("keep", "drop", "none", "all")  # words beside the names of classes in reviews and tables


@dataclass(frozen=True, eq=False, repr=False)
class FaceSet:
    """A set of face crops with what is known of each: label, split, id and votes. `faces[mask]` selects, `len` counts.

    Parameters
    ----------
    images
        (N, 48, 48) uint8, grey.
    labels
        (N,) int64, an index into `class_names`, or -1 where the class is not known.
    splits
        (N,) str, each one of train, valid, test.
    ids
        (N,) str, unique; the same face keeps its id through every selection and file.
    votes
        (N, 10) float32, the FER+ annotators' votes in the order of `VOTES`, or None.
    class_names
        The names of the classes, which are the seven of FER2013 unless others are given.

    Raises
    ------
    DataError
        Where a shape, a type or a value is none of these.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    ids: NDArray[np.str_]
    votes: NDArray[np.float32] | None = None
    class_names: tuple[str, ...] = EXPRESSIONS

    def __post_init__(self) -> None:
        images = np.asarray(self.images)
        count = len(images)
        require(
            images.dtype == np.uint8 and images.shape == (count, FACE_SIDE, FACE_SIDE),
            f"images must be (N, {FACE_SIDE}, {FACE_SIDE}) uint8, got {images.shape} {images.dtype}",
        )
        for name in ("labels", "splits", "ids"):
            shape = np.shape(getattr(self, name))
            require(shape == (count,), f"{name} must be ({count},), one for each image, got {shape}")
        labels = np.asarray(self.labels)
        require(labels.dtype.kind in "iu" or count == 0, f"labels must be whole numbers, got {labels.dtype}")
        object.__setattr__(self, "images", frozen(images, np.uint8))
        object.__setattr__(self, "labels", frozen(labels, np.int64))
        object.__setattr__(self, "splits", frozen(self.splits, np.str_))
        object.__setattr__(self, "ids", frozen(self.ids, np.str_))
        object.__setattr__(self, "class_names", require_class_names(self.class_names))
        self._require_values()
        if self.votes is not None:
            votes = np.asarray(self.votes)
            require(votes.shape == (count, len(VOTES)), f"votes must be ({count}, {len(VOTES)}), got {votes.shape}")
            object.__setattr__(self, "votes", frozen(votes, np.float32))
            require(bool(np.all((votes >= 0) & np.isfinite(votes))), "votes must be finite numbers of 0 or more")

    def _require_values(self) -> None:
        classes = len(self.class_names)
        bad = (self.labels < -1) | (self.labels >= classes)
        require(not bad.any(), f"labels must be -1 to {classes - 1}, got {self.labels[bad][:1].tolist()}")
        unknown = sorted(set(np.unique(self.splits).tolist()) - set(SPLITS))
        require(not unknown, f"splits must be {', '.join(SPLITS)}, got {unknown[:1]}")
        distinct, counts = np.unique(self.ids, return_counts=True)
        twice = distinct[counts > 1][:1].tolist()
        require(not twice, f"ids must be unique, got {twice} more than once")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: NDArray[Any] | slice | list[int]) -> "FaceSet":
        """Select the faces that a mask (N,) bool, indices or a slice choose, in that order."""
        index = chosen if isinstance(chosen, slice) else np.asarray(chosen)
        if not isinstance(index, slice):
            if index.size == 0 and index.dtype != np.bool_:
                index = index.astype(np.int64)
            if index.ndim != 1:
                raise TypeError("faces[...] takes a mask, a list of indices or a slice, as in faces[faces.labels == 3]")
        votes = None if self.votes is None else self.votes[index]
        parts = (self.images[index], self.labels[index], self.splits[index], self.ids[index])
        return FaceSet(*parts, votes, self.class_names)

    def __repr__(self) -> str:
        counts = [(split, int((self.splits == split).sum())) for split in SPLITS]
        facts = [count_of(len(self), "face"), f"{len(self.class_names)} classes"]
        facts += [f"{split} {count:,}" for split, count in counts if count]
        return f"<FaceSet {', '.join(facts)}{'' if self.votes is None else ', with votes'}>"

    def _repr_html_(self) -> str:
        names = [self.class_names[label] if label >= 0 else "unknown" for label in self.labels[:_SHEET].tolist()]
        return titled_html(repr(self), sheet_html(self.images[:_SHEET], names))

    @staticmethod
    def concatenate(sets: "Sequence[FaceSet]") -> "FaceSet":
        """Return the faces of all sets, one set after the other.

        Where some sets have votes, the faces of the others get votes of 0.
        Raises DataError where there is no set, where sets have other classes, or where two faces share an id.
        """
        require(len(sets) > 0, "one face set or more must be given, got none")
        class_names = sets[0].class_names
        for each in sets:
            require(each.class_names == class_names, f"sets must have the same classes, got {each.class_names}")
        voted = any(each.votes is not None for each in sets)
        votes = [np.zeros((len(each), len(VOTES)), np.float32) if each.votes is None else each.votes for each in sets]
        return FaceSet(
            images=np.concatenate([each.images for each in sets]),
            labels=np.concatenate([each.labels for each in sets]),
            splits=np.concatenate([each.splits for each in sets]),
            ids=np.concatenate([each.ids for each in sets]),
            votes=np.concatenate(votes) if voted else None,
            class_names=class_names,
        )

    @cached_property
    def hash(self) -> str:
        """The SHA-256 (hex) of everything that the set holds, the order included."""
        digest = hashlib.sha256()
        others = () if self.class_names == EXPRESSIONS else self.class_names
        text = "\n".join((*self.splits.tolist(), *self.ids.tolist(), *others))
        for array in (self.images, self.labels, self.votes):
            digest.update(b"none" if array is None else array.tobytes())
        digest.update(text.encode())
        return digest.hexdigest()

    @property
    def plurality(self) -> NDArray[np.int64]:
        """(N,) int64: the class that most FER+ annotators chose; -1 at a tie, or where it is none of `class_names`.

        Raises DataError where the set has no votes.
        """
        if self.votes is None:
            raise DataError(
                "these faces have no FER+ votes; add them with: mien data import ... --votes fer2013new.csv"
            )
        top = self.votes.argmax(axis=1)
        most = self.votes.max(axis=1, initial=0)
        clear = (most > 0) & ((self.votes == most[:, None]).sum(axis=1) == 1)
        class_of_vote = np.array([-1 if (c := parse_class(vote, self.class_names)) is None else c for vote in VOTES])
        return np.where(clear, class_of_vote[top], -1).astype(np.int64)


def require_class_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of classes as a tuple. Raises DataError unless they are two or more different texts for anywhere.

    They become names of folders and options, so they hold no comma, slash, or character that is not printable.
    """
    known = tuple(names) if not isinstance(names, str) else ()
    for name in known:
        sound = isinstance(name, str) and name.strip() == name and 0 < len(name) <= _LONGEST_NAME and name.isprintable()
        require(sound and not set(name) & set(",/\\"), f"the name of a class must be a short text, got {name!r}")
        require(name.lower() not in _TAKEN, f"no class can be called {name}, which is a choice of its own")
        require(not name.startswith((".", "_")), f"the name of a class must begin with a letter, got {name}")
    distinct = {class_name(name).lower() for name in known}
    require(len(distinct) == len(known) >= 2, f"class_names must be two or more different names, got {known}")
    return known


def require_faces(images: Any) -> NDArray[np.uint8]:
    """Return what is given to a classifier as an array, (N, 48, 48) uint8; N may be 0. Raises DataError for another."""
    array = np.asarray(images)
    if array.dtype != np.uint8 or array.shape != (*array.shape[:1], FACE_SIDE, FACE_SIDE):
        hint = "; one face alone is face[None]" if array.shape == (FACE_SIDE, FACE_SIDE) else ""
        raise DataError(f"faces must be (N, {FACE_SIDE}, {FACE_SIDE}) uint8, got {array.shape} {array.dtype}{hint}")
    return array
