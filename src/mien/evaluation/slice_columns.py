"""The slices that every evaluation has, from the faces themselves, and those of a table that the user gives."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.slices import Slice
from mien.evaluation.twins import Twins
from mien.io.csv_table import read_csv_table
from mien.types import FaceSet, batches

_log = logging.getLogger(__name__)

MOST_GROUPS = 50  # in a column of words: more are names, not groups
BUILT_IN = ("brightness", "sharpness", "twin in training", "annotators who agree", "roll")  # names of mien's own slices
_FEW_NUMBERS = 8  # a column with more different numbers than that is cut into quarters
_AGREEMENTS = (0.995, 0.8, 0.6)  # shares of the votes


def face_slices(faces: FaceSet, *, twins: Twins | None = None) -> tuple[Slice, ...]:
    """Divide faces by what they show and what is known of them.

    Their pixels tell brightness (mean grey level) and sharpness (standard deviation of the Laplacian), their votes how
    far annotators agree, and `twins` which of them training has met.
    """
    made = [
        quarters("brightness", faces.images.mean(axis=(1, 2)), lowest="dark", highest="bright"),
        quarters("sharpness", _sharpness(faces.images), lowest="blurred", highest="sharp"),
    ]
    if twins is not None:
        codes = np.where(twins.identical, 2, np.where(twins.near, 1, 0))
        made.append(Slice("twin in training", ("none", "near-identical", "identical"), codes))
    if faces.votes is not None:
        made.append(_agreement(faces.votes))
    return tuple(each for each in made if len(each.groups) > 1)


def quarters(name: str, values: NDArray[np.floating], *, lowest: str = "lowest", highest: str = "highest") -> Slice:
    """Divide faces at the quartiles of a number; NaN is unknown, and equal numbers stay together.

    A group's name is its range, after `lowest` and `highest` for the outer ones.
    """
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    edges = np.unique(np.quantile(values[known], (0.25, 0.5, 0.75))) if known.any() else np.zeros(0)
    codes = np.where(known, np.searchsorted(edges, values), -1)
    there, packed = np.unique(codes[known], return_inverse=True)
    codes[known] = packed
    names = []
    for place in range(len(there)):
        members = values[codes == place]
        word = {0: f"{lowest}: ", len(there) - 1: f"{highest}: "}.get(place, "") if len(there) > 1 else ""
        names.append(f"{word}{_number(members.min())} to {_number(members.max())}")
    return Slice(name, _distinct(names), codes)


def read_slices(path: Path | str, faces: FaceSet) -> tuple[Slice, ...]:
    """Read the groups of faces from a CSV file: a column `id`, and any others, each of which is a slice.

    Words are groups as they stand. Numbers are cut into quarters where there are more than eight different ones. An
    empty cell is unknown, as is a face that has no row. Rows of other faces are passed over.

    Raises
    ------
    DataError
        Where the file cannot be read, has no `id` or no other column, an id twice, a row of another length, none of the
        faces, or where a column has the name of one of mien's own slices or holds more than 50 different words.
    """
    path = Path(path)
    columns, table = _read_table(path)
    for name in columns:
        if name.lower() in BUILT_IN:
            raise DataError(f"{path}: mien has a slice {name.lower()} of its own, so name the column {name} otherwise")
    rows = [table.get(face_id) for face_id in faces.ids.tolist()]
    if not any(row is not None for row in rows):
        raise DataError(
            f"{path} must have rows of these faces, with ids such as {faces.ids[0]}; "
            f"got none of the {len(faces):,} in {len(table):,} rows"
        )
    made = tuple(
        _slice_of(name, ["" if row is None else row[place] for row in rows], path)
        for place, name in enumerate(columns)
        if name
    )
    for each in made:
        if np.unique(each.codes[each.codes >= 0]).size < 2:
            _log.warning("%s: the column %s has fewer than two groups of these faces: left out", path, each.name)
    return made


def _read_table(path: Path) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Return the names of the columns, "" for that of the id, and the row of each id."""
    table = read_csv_table(path)
    own = table.find("id")
    if own is None or len(table.columns) < 2:
        raise DataError(
            f"{path} line 1 must name a column id and one or more others; "
            f"got {', '.join(name[:40] for name in table.columns[:15])}"
        )
    rows: dict[str, tuple[str, ...]] = {}
    for line, row in table.rows:
        if row[own] in rows:
            raise DataError(f"{path} line {line}: an id must be there once, got {row[own]} again")
        rows[row[own]] = row
    return ["" if place == own else name for place, name in enumerate(table.columns)], rows


def _slice_of(name: str, values: Sequence[str], path: Path) -> Slice:
    """Make a slice of a column's cells; "" is unknown."""
    groups = sorted(set(values) - {""})
    numbers = {group: _parse_number(group) for group in groups}
    if all(number is not None for number in numbers.values()):
        if len(groups) > _FEW_NUMBERS:
            found = (numbers.get(value) for value in values)
            return quarters(name, np.array([math.nan if number is None else number for number in found]))
        groups.sort(key=lambda group: numbers[group] or 0.0)
    if len(groups) > MOST_GROUPS:
        raise DataError(
            f"{path}: the column {name[:40]} must hold at most {MOST_GROUPS} different words, got {len(groups)}, such "
            f"as {groups[0][:40]!r}; take it out of the table"
        )
    place = {group: number for number, group in enumerate(groups)}
    return Slice(name, tuple(groups), np.array([place.get(value, -1) for value in values], np.int64))


def _parse_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _sharpness(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the standard deviation of each face's Laplacian, in grey levels (Pech-Pacheco et al., 2000)."""
    spreads = np.empty(len(images))
    for rows in batches(len(images), 1024):
        part = images[rows].astype(np.float32)
        middle = part[:, 1:-1, 1:-1]
        sides = part[:, :-2, 1:-1] + part[:, 2:, 1:-1] + part[:, 1:-1, :-2] + part[:, 1:-1, 2:]
        spreads[rows] = (sides - 4 * middle).std(axis=(1, 2))
    return spreads


def _agreement(votes: NDArray[np.float32]) -> Slice:
    total = votes.sum(axis=1)
    share = np.divide(votes.max(axis=1), total, out=np.zeros(len(votes)), where=total > 0)
    codes = sum((share < edge - 1e-6).astype(np.int64) for edge in _AGREEMENTS)
    codes = np.where(total > 0, codes, -1)
    names = ("all of them", "8 or 9 of 10", "6 or 7 of 10", "fewer")
    return Slice("annotators who agree", names, codes)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Number names that are equal after rounding, since groups are told apart by their name."""
    return tuple(name if name not in names[:place] else f"{name} ({place + 1})" for place, name in enumerate(names))
