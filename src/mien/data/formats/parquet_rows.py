"""Rows of Parquet tables: their labels, splits, ids and votes, checked."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.data.formats.paths import parse_split
from mien.errors import DataError
from mien.labels import SPLITS, VOTES, parse_class

_LONGEST_TEXT = 10_000  # characters of an id or a label
_LONGEST_QUOTE = 60  # characters of a wrong value in an error


@dataclass(frozen=True)
class ParquetTable:
    """An open file of pictures.

    `name` is what its rows' ids begin with, `image` and `label` are the names of those columns, `names` the classes
    that the numbers of the labels mean, `split` that of the rows that do not tell theirs, and `class_names` has the
    classes of the set.
    """

    path: Path
    file: Any
    name: str
    image: str
    label: str | None
    names: tuple[str, ...] | None
    split: str
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class ParquetRow:
    """The values of one row but its picture."""

    label: int
    split: str
    id: str
    votes: list[float] | None


def parse_texts(table: ParquetTable, batch: Any) -> list[dict[str, Any]]:
    """Return the values of all columns but the pictures, row by row. Raises DataError where a text is too long."""
    others = batch.select([name for name in batch.schema.names if name != table.image])
    for name, column in zip(others.schema.names, others.columns, strict=True):
        texts = column.dictionary.to_pylist() if hasattr(column, "dictionary") else []
        if any(len(text) > _LONGEST_TEXT for text in texts if text is not None):
            raise DataError(f"{name} must be text of at most {_LONGEST_TEXT:,} characters")
    return others.to_pylist() if others.num_columns else [{}] * batch.num_rows


def parse_row(table: ParquetTable, number: int, values: dict[str, Any]) -> ParquetRow:
    """Check the values of a row. Raises DataError that says what is wrong with them."""
    split: str | None = table.split
    if values.get("split") is not None:
        split = parse_split(str(values["split"]))
    if split is None:
        raise DataError(f"split must be {', '.join(SPLITS)}, got {_quote(values['split'])}")
    votes = values.get("votes")
    if votes is not None and not _are_votes(votes):
        raise DataError(f"votes must be {len(VOTES)} numbers of 0 or more, got {_quote(votes)}")
    name = values["id"] if values.get("id") is not None else f"{table.name}:{number}"
    label = -1 if table.label is None else _parse_label(table, values[table.label])
    return ParquetRow(label, split, str(name), votes)


def _are_votes(value: Any) -> bool:
    counts = value if isinstance(value, list) else []
    return len(counts) == len(VOTES) and all(
        isinstance(count, int | float) and 0 <= count < math.inf for count in counts
    )


def _parse_label(table: ParquetTable, value: Any) -> int:
    """Return the index of the class that a label means, or -1. Raises DataError where it means none."""
    if value is None or value in ("", -1) or (isinstance(value, float) and math.isnan(value)):
        return -1
    name = str(value)
    if isinstance(value, int | float):
        if table.names is None or not math.isfinite(value) or value != int(value) or not 0 <= value < len(table.names):
            raise DataError(f"{table.label} must be -1 to {len(table.names or ()) - 1}, got {_quote(value)}")
        name = table.names[int(value)]
    label = parse_class(name, table.class_names)
    if label is None:
        raise DataError(f"{table.label} must be one of {', '.join(table.class_names)}, got {_quote(name)}")
    return label


def _quote(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."
