"""A classifier's scores of faces, each by its id, in one .npz archive of plain arrays.

The entries are version (1), ids (N,) UTF-8 bytes, probs (N, K) float32, names (K,) UTF-8 bytes (the classes of the
columns, in their order) and held_out, a bool.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.formats.npz import decode_texts, read_arrays, write_arrays
from mien.errors import DataError, ModelError
from mien.types import FaceSet, Scores

_VERSION = 1
_ENTRIES = ("version", "ids", "probs", "names", "held_out")


@dataclass(frozen=True, eq=False, repr=False)
class FaceScores:
    """A classifier's scores of faces, each by its id.

    Parameters
    ----------
    ids
        (N,) str, unique, as in the `FaceSet`.
    scores
        A row for each id.
    held_out
        Whether each face was scored by a model that was not trained on it, as in cross-validation.

    Raises
    ------
    DataError
        Where ids are missing or not unique.
    """

    ids: NDArray[np.str_]
    scores: Scores
    held_out: bool

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids, np.str_)
        if ids.shape != (len(self.scores),):
            raise DataError(f"ids must be ({len(self.scores)},), one for each row of scores, got {ids.shape}")
        if len(np.unique(ids)) < len(ids):
            raise DataError("the ids of scores must be unique")
        object.__setattr__(self, "ids", ids)

    def __repr__(self) -> str:
        return f"<FaceScores of {len(self.ids):,} faces, {'' if self.held_out else 'not '}held out>"

    def match(self, faces: FaceSet) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the scores of faces by their ids.

        Returns
        -------
        (M,) int64 and (M, K) float32
            The rows of `faces` that were scored, and their probabilities in the order of the faces' classes.

        Raises
        ------
        DataError
            Where the classes are not those of the faces, or where none of the faces was scored.
        """
        try:
            probs = self.scores.reordered(faces.class_names).probs
        except ModelError as error:
            raise DataError(f"the scores are of other classes: {error}") from error
        row_of = {name: row for row, name in enumerate(self.ids.tolist())}
        found = [(row, row_of[name]) for row, name in enumerate(faces.ids.tolist()) if name in row_of]
        if not found:
            raise DataError(f"the scores are of other faces: none has the id {faces.ids[:1].tolist()}")
        rows, scored = np.array(found, np.int64).T
        return rows, probs[scored]


def save_scores(scored: FaceScores, path: Path | str) -> None:
    """Write scores to one .npz file, whole or not at all; equal scores give equal bytes. Raises OutputError."""
    arrays: dict[str, NDArray[Any]] = {
        "version": np.array(_VERSION, np.int64),
        "ids": np.char.encode(scored.ids, "utf-8"),
        "probs": scored.scores.probs,
        "names": np.char.encode(np.array(scored.scores.class_names), "utf-8"),
        "held_out": np.array(scored.held_out),
    }
    write_arrays(path, arrays)


def load_scores(path: Path | str) -> FaceScores:
    """Read a file that `save_scores` wrote. Raises DataError where it is missing, damaged or something else."""
    arrays = read_arrays(path, what="file of scores", required=_ENTRIES)
    if arrays["version"].tolist() != _VERSION:
        raise DataError(f"{path} must be version {_VERSION} of the format, got {arrays['version'].tolist()}")
    try:
        ids, names = (decode_texts(arrays[name]) for name in ("ids", "names"))
        return FaceScores(ids, Scores(arrays["probs"], tuple(names.tolist())), bool(arrays["held_out"]))
    except (DataError, ModelError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no file of scores: {error}") from error
