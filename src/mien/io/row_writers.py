"""Rows into files: CSV, JSON Lines or Parquet, growing as the rows come, and under their name only when whole."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mien.errors import ExtraError, OutputError
from mien.io.atomic_write import atomic_write, is_dir, resolve_link
from mien.types import Detections, Prediction, Scores

SUFFIXES = (".csv", ".jsonl", ".parquet")

Row = dict[str, str | int | float]
Write = Callable[[Sequence[Row]], None]  # writes some rows, all with the same columns

_GROUP = 16_384  # rows: of a Parquet row group
_OVER_TIME = ("seconds", "track")  # columns that rows of a video have and those of a picture do not


def plain_row(*, moving: bool = False, class_names: tuple[str, ...] = Scores.class_names) -> Row:
    """A row as a picture's face has it, or one of a video: the columns, and their types, of a table without a row."""
    box, one = np.array([[0, 0, 1, 1]], np.float32), np.ones(1, np.float32)
    probs = np.eye(1, len(class_names), dtype=np.float32)
    tracks = np.zeros(1, np.int64) if moving else None
    return Prediction("", 0.0, Detections(box, one), Scores(probs, class_names), tracks, ("good",)).rows()[0]


@contextmanager
def row_writer(
    path: Path | str, *, moving: bool = False, class_names: tuple[str, ...] = Scores.class_names
) -> Iterator[Write]:
    """A function that adds rows, as `Prediction.rows` gives them, to a file: .csv, .jsonl or .parquet by its suffix.

    moving: whether the table has the columns `seconds` and `track`, as it must where there are videos among the
            sources; in rows of pictures they are empty.
    class_names: the columns of the probabilities, for a table in which no face was found.

    The file appears, or is replaced, once the block has ended without an error; without rows it has its columns only.
    Until then its rows grow, each batch handed to the system at once, in a neighbour: `rows.csv.part`,
    `rows.jsonl.part`, and for `rows.parquet`, since half a Parquet file cannot be read, `rows.parquet.jsonl.part`, from
    which it is made at the end. When the block ends with an error, or the program is killed, rows that are there stay
    there.
    Raises OutputError for other suffixes and where the file cannot be written; ExtraError for Parquet without pyarrow.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"a table's name must end in {', '.join(SUFFIXES)}, got {path}")
    if is_dir(path):
        raise OutputError(f"cannot write {path}: it is a folder")
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ExtraError("Parquet", extra="parquet")
    grown = unfinished_path(path)
    try:
        with _growing(grown) as file, _writer(file, suffix, moving=moving, class_names=class_names) as write:
            yield write
        if suffix == ".parquet":
            _convert(grown, path, moving=moving, class_names=class_names)
            grown.unlink()
        else:
            grown.replace(resolve_link(path))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def unfinished_path(path: Path | str) -> Path:
    """The file in which the rows of a table are until it is whole."""
    path = resolve_link(path)
    return path.with_name(f"{path.name}{'.jsonl' if path.suffix.lower() == '.parquet' else ''}.part")


def _writer(file: TextIO, suffix: str, *, moving: bool, class_names: tuple[str, ...]) -> AbstractContextManager[Write]:
    return csv_writer(file, moving=moving, class_names=class_names) if suffix == ".csv" else _jsonl_writer(file)


@contextmanager
def _growing(part: Path) -> Iterator[TextIO]:
    """A text file that stays when the block fails, unless it is empty."""
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            if not part.is_file() or not part.stat().st_size:
                part.unlink()
        raise


@contextmanager
def csv_writer(
    file: TextIO, *, moving: bool = False, class_names: tuple[str, ...] = Scores.class_names
) -> Iterator[Write]:
    """A function that adds rows to an open text file as CSV, with a header; what is written can be read at once."""
    writer: csv.DictWriter[str] | None = None

    def write(rows: Sequence[Row]) -> None:
        nonlocal writer
        if rows and writer is None:
            writer = csv.DictWriter(file, _columns(rows[0], moving=moving), restval="", lineterminator="\n")
            writer.writeheader()
        if rows and writer is not None:
            writer.writerows(map(_quotable, rows))
            file.flush()

    yield write
    if writer is None:
        csv.DictWriter(file, list(plain_row(moving=moving, class_names=class_names)), lineterminator="\n").writeheader()


def _quotable(row: Row) -> Row:
    """A row without carriage returns, which the csv module of older Pythons leaves outside of quotes."""
    returns = "\N{REPLACEMENT CHARACTER}"
    return {name: value.replace("\r", returns) if isinstance(value, str) else value for name, value in row.items()}


@contextmanager
def _jsonl_writer(file: TextIO) -> Iterator[Write]:
    def write(rows: Sequence[Row]) -> None:
        if rows:
            file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
            file.flush()

    yield write


def _columns(row: Row, *, moving: bool) -> list[str]:
    """The columns of a table that starts with this row."""
    names = list(row)
    if moving and not set(_OVER_TIME) <= set(names):
        names[1:1] = _OVER_TIME
    return names


def _convert(lines: Path, path: Path, *, moving: bool, class_names: tuple[str, ...]) -> None:
    """Make a Parquet file from JSON Lines."""
    import pyarrow as pa
    from pyarrow import parquet

    with lines.open(encoding="utf-8") as file, atomic_write(path) as target:
        rows = map(json.loads, file)
        group = list(islice(rows, _GROUP))
        schema = _schema(pa, (group or [plain_row(moving=moving, class_names=class_names)])[0], moving=moving)
        with parquet.ParquetWriter(target, schema) as writer:
            writer.write_table(pa.Table.from_pylist(group, schema))
            while group := list(islice(rows, _GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema))


def _schema(pa: Any, row: Row, *, moving: bool) -> Any:
    kinds = {str: pa.string(), int: pa.int32(), float: pa.float32()}
    exact = {"seconds": pa.float64()}  # of hours, 32 bits leave milliseconds
    types = {name: type(value) for name, value in (plain_row(moving=True) | row).items()}
    return pa.schema([(name, exact.get(name, kinds[types[name]])) for name in _columns(row, moving=moving)])
