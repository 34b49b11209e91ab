"""FER+: the votes of ten people for the expression of each face of FER2013 (Barsoum et al., 2016, arXiv:1608.01041)."""

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.formats.fer2013_csv import USAGES
from mien.errors import DataError, explain_read_errors
from mien.labels import VOTES, parse_vote
from mien.types import FaceSet

_ROW_OF_ID = re.compile(r"fer(\d{7,12})")
_LONGEST_COUNT = 9  # digits
_LONGEST_LINE = 1 << 16  # characters: a longer one, such as a device without an end gives, is no row of votes
_SPLITS = {usage.lower(): split for usage, split in USAGES.items()}


@dataclass(frozen=True)
class _Table:
    """The rows of FER+'s table: split, image name (empty where FER+ took the face out) and votes (N, 10) float32."""

    splits: list[str]
    names: list[str]
    votes: NDArray[np.float32]


def add_votes(faces: FaceSet, path: Path | str, *, left_out: int = 0) -> FaceSet:
    """Join FER+'s `fer2013new.csv`, whose rows are those of `fer2013.csv`, to faces that were read from the latter.

    A face that FER+ took out (its image name is empty) gets votes of 0.

    Parameters
    ----------
    faces
        All faces of `fer2013.csv`, or all but some bad rows.
    path
        FER+'s table.
    left_out
        How many rows of `fer2013.csv` were left out because they were bad.

    Raises
    ------
    DataError
        Where the number of rows, a usage or an image name disagrees, or where a face's id does not tell its row, as in
        folders.
    """
    path = Path(path)
    rows = _rows_of(faces, path)
    table = _read_table(path)
    count = len(table.names)
    if len(faces) + left_out != count:
        raise DataError(
            f"{path} must have a row for each row of fer2013.csv: {len(faces) + left_out}, got {count}; add the "
            "votes to the whole file, before faces are selected"
        )
    beyond = np.flatnonzero(rows >= count)
    if len(beyond):
        raise DataError(f"{path} has no row for {faces.ids[beyond[0]]}: it has {count} rows")
    for face_id, split, row in zip(faces.ids.tolist(), faces.splits.tolist(), rows.tolist(), strict=True):
        where, name = f"{path} line {row + 2}", table.names[row]
        if table.splits[row] != split:
            raise DataError(f"{where}: Usage must be that of {face_id}, {split}, got {table.splits[row]}")
        if name and Path(name).stem != face_id:
            raise DataError(f"{where}: Image name must be {face_id}.png or empty, got {name!r}")
    return replace(faces, votes=table.votes[rows])


def _rows_of(faces: FaceSet, path: Path) -> NDArray[np.int64]:
    """Return the data row of `fer2013.csv`, counted from 0, that each face was: (N,) int64."""
    matches = [_ROW_OF_ID.fullmatch(name) for name in faces.ids.tolist()]
    if None in matches:
        raise DataError(
            f"{path} can only be joined to faces read from a fer2013.csv with a Usage column, whose ids are like "
            f"fer0000000; got {faces.ids[matches.index(None)]}"
        )
    return np.array([int(match[1]) for match in matches if match], np.int64)


def _read_table(path: Path) -> _Table:
    splits, names, votes = [], [], []
    try:
        with explain_read_errors(path), path.open(encoding="utf-8-sig", newline="") as file:
            lines = iter(lambda: file.readline(_LONGEST_LINE), "")
            table = csv.reader(lines, skipinitialspace=True)
            usage, image, places = _find_columns(next(table, []), path)
            for fields in filter(None, table):
                where = f"{path} line {table.line_num}"
                splits.append(_parse_usage(fields[usage] if len(fields) > usage else "", where))
                names.append(fields[image].strip() if len(fields) > image else "")
                votes.append(_parse_votes(fields, places, where) if names[-1] else [0.0] * len(VOTES))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} must be a CSV file as UTF-8 text: {error}") from error
    return _Table(splits, names, np.array(votes, np.float32).reshape(-1, len(VOTES)))


def _find_columns(header: list[str], path: Path) -> tuple[int, int, list[int]]:
    """Return the places of Usage, of the image name and of each of `VOTES`."""
    plain = [name.strip().lower() for name in header]
    voted = [parse_vote(name) for name in header]
    missing = [name for name in ("Usage", "Image name") if name.lower() not in plain]
    missing += [name for name in VOTES if name not in voted]
    if missing:
        raise DataError(
            f"{path} line 1 must name the columns Usage, Image name and the votes; "
            f"{', '.join(missing)} is missing, got {', '.join(name[:40] for name in header[:15])}"
        )
    return plain.index("usage"), plain.index("image name"), [voted.index(name) for name in VOTES]


def _parse_usage(text: str, where: str) -> str:
    try:
        return _SPLITS[text.strip().lower()]
    except KeyError:
        raise DataError(f"{where}: Usage must be {', '.join(USAGES)}, got {text!r}") from None


def _parse_votes(fields: list[str], places: list[int], where: str) -> list[float]:
    if len(fields) <= max(places):
        raise DataError(f"{where}: must have {max(places) + 1} columns or more, got {len(fields)}")
    words = [fields[place].strip() for place in places]
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) < _LONGEST_COUNT):
            raise DataError(f"{where}: votes must be whole numbers, got {word[:40]!r}")
    return [float(word) for word in words]
