"""FER+: ten people's votes for the expression of each face of FER2013 (Barsoum et al., 2016, arXiv:1608.01041)."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.formats.fer2013_csv import USAGES
from mien.errors import DataError
from mien.labels import VOTES, parse_vote
from mien.types import FaceSet

_ROW_OF_ID = re.compile(r"fer(\d{7,})")
_SPLITS = {usage.lower(): split for usage, split in USAGES.items()}


def add_votes(faces: FaceSet, path: Path | str, *, left_out: int = 0) -> FaceSet:
    """Join FER+'s `fer2013new.csv`, whose rows are those of `fer2013.csv`, to faces that were read from the latter.

    A face that FER+ took out (its image name is empty) gets no vote. left_out: how many rows of `fer2013.csv` were
    left out because they were bad, so that both files' numbers of rows can be compared.

    Raises DataError where the number of rows, a usage or an image name disagrees, or where a face's id does not tell
    its row, as in folders.
    """
    path = Path(path)
    rows = _rows_of(faces, path)
    usages, names, votes = _read(path)
    if len(faces) + left_out != len(votes):
        raise DataError(
            f"{path} must have a row for each row of fer2013.csv: {len(faces) + left_out}, got {len(votes)}; add the "
            "votes to the whole file, before faces are selected"
        )
    beyond = np.flatnonzero(rows >= len(votes))
    if len(beyond):
        raise DataError(f"{path} has no row for {faces.ids[beyond[0]]}: it has {len(votes)} rows")
    for face, row in enumerate(rows.tolist()):
        wanted, line = faces.splits[face], row + 2
        if usages[row] != wanted:
            raise DataError(f"{path} line {line}: Usage must be that of {faces.ids[face]}, {wanted}, got {usages[row]}")
        if names[row] and Path(names[row]).stem != faces.ids[face]:
            raise DataError(
                f"{path} line {line}: Image name must be {faces.ids[face]}.png or empty, got {names[row]!r}"
            )
    return replace(faces, votes=votes[rows])


def _rows_of(faces: FaceSet, path: Path) -> NDArray[np.int64]:
    """(N,) int64: which data row of `fer2013.csv` each face was, counted from 0."""
    matches = [_ROW_OF_ID.fullmatch(name) for name in faces.ids.tolist()]
    if None in matches:
        raise DataError(
            f"{path} can only be joined to faces read from a fer2013.csv with a Usage column, whose ids are like "
            f"fer0000000; got {faces.ids[matches.index(None)]}"
        )
    return np.array([int(match[1]) for match in matches if match], np.int64)


def _read(path: Path) -> tuple[list[str], list[str], NDArray[np.float32]]:
    """The split, the image name and the votes (N, 10) float32 of every row of FER+'s table."""
    usages, names, votes = [], [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.reader(file, skipinitialspace=True)
            usage, image, places = _columns(next(table, []), path)
            for fields in filter(None, table):
                where = f"{path} line {table.line_num}"
                usages.append(_split(fields[usage] if len(fields) > usage else "", where))
                names.append(fields[image].strip() if len(fields) > image else "")
                votes.append(_counts(fields, places, where) if names[-1] else [0.0] * len(VOTES))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} must be a CSV file as UTF-8 text: {error}") from error
    return usages, names, np.array(votes, np.float32).reshape(-1, len(VOTES))


def _columns(header: list[str], path: Path) -> tuple[int, int, list[int]]:
    """Where Usage, the image name and each of `VOTES` are."""
    plain = [name.strip().lower() for name in header]
    voted = [parse_vote(name) for name in header]
    missing = [name for name in ("Usage", "Image name") if name.lower() not in plain]
    missing += [name for name in VOTES if name not in voted]
    if missing:
        raise DataError(
            f"{path} line 1 must name the columns Usage, Image name and the votes; "
            f"{', '.join(missing)} is missing, got {', '.join(header[:15])}"
        )
    return plain.index("usage"), plain.index("image name"), [voted.index(name) for name in VOTES]


def _split(usage: str, where: str) -> str:
    try:
        return _SPLITS[usage.strip().lower()]
    except KeyError:
        raise DataError(f"{where}: Usage must be {', '.join(USAGES)}, got {usage!r}") from None


def _counts(fields: list[str], places: list[int], where: str) -> list[float]:
    if len(fields) <= max(places):
        raise DataError(f"{where}: must have {max(places) + 1} columns or more, got {len(fields)}")
    words = [fields[place].strip() for place in places]
    for word in words:
        if not (word.isascii() and word.isdigit()):
            raise DataError(f"{where}: votes must be whole numbers, got {word!r}")
    return [float(word) for word in words]
