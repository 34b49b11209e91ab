"""Predictions that stand in a table already, of mien or of any other program, joined to the faces that they are of."""

from collections import Counter
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.io.csv_table import CsvTable, read_csv_table
from mien.types import FaceSet

_KEYS = ("id", "source", "file")  # columns that say which face a row is of
_ROUNDING = 0.05  # how far the sum of a row may be from 1: two decimals of ten classes


def read_predictions(path: Path | str, faces: FaceSet) -> NDArray[np.float32]:
    """Read the probabilities of faces, (N, K) in the order of their classes, from a CSV table.

    It has a column for each class, and one that names the face: `id`, its id among the faces, or `source` or `file`,
    the name of its picture. `mien predict --cropped -o` writes such a table. Other columns are passed over, as are rows
    of other faces. Rows are rounded numbers, so each is divided by its sum.

    Raises
    ------
    DataError
        Where the file cannot be read, a column is missing, a face has no row or more than one, or a row's numbers are
        no probabilities.
    """
    table = read_csv_table(path)
    places = _class_columns(table, faces.class_names)
    probs = np.array([_probabilities(table, line, row, places) for line, row in _rows_of(table, faces)], np.float32)
    summing: NDArray[np.float32] = probs / probs.sum(axis=1, keepdims=True)
    return summing


def _class_columns(table: CsvTable, class_names: tuple[str, ...]) -> list[int]:
    places = [table.find(name.lower()) for name in class_names]
    missing = [name for name, place in zip(class_names, places, strict=True) if place is None]
    if missing:
        raise DataError(
            f"{table.path} must have a column for the probability of each class, got none for {', '.join(missing)}"
        )
    return [place for place in places if place is not None]


def _rows_of(table: CsvTable, faces: FaceSet) -> list[tuple[int, tuple[str, ...]]]:
    """Find the row of each face, by the first of the columns that names any of them."""
    for column in _KEYS:
        key = str if column == "id" else _picture_name
        wanted = [key(each) for each in faces.ids.tolist()]
        asked, place = set(wanted), table.find(column)
        named = [] if place is None else [(key(each[1][place]), each) for each in table.rows]
        named = [(name, each) for name, each in named if name in asked]
        if not named:
            continue
        _require_once([name for name, _ in named], f"{table.path}: a face must have one row")
        _require_once(wanted, f"the faces' pictures must have different names to be found in {table.path}")
        rows = dict(named)
        missing = [each for each in wanted if each not in rows]
        if missing:
            raise DataError(
                f"{table.path} must have a row for each face, got none for {len(missing):,} of {len(faces):,}, "
                f"such as {missing[0]}"
            )
        return [rows[each] for each in wanted]
    raise DataError(
        f"{table.path} must name the faces in a column id, source or file, such as {faces.ids[0]}; got none of them"
    )


def _picture_name(path: str) -> str:
    """Return the name of a picture without its folders and its suffix."""
    return PurePath(path.replace("\\", "/")).stem


def _require_once(names: list[str], must: str) -> None:
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"{must}, got {name} {count} times")


def _probabilities(table: CsvTable, line: int, row: tuple[str, ...], places: list[int]) -> list[float]:
    try:
        probs = [float(row[place]) for place in places]
    except ValueError as error:
        raise DataError(f"{table.path} line {line}: a probability must be a number: {error}") from error
    if not all(0 <= each <= 1 for each in probs) or abs(sum(probs) - 1) > _ROUNDING:
        raise DataError(f"{table.path} line {line}: probabilities must be 0 to 1 and sum to 1, got {probs}")
    return probs
