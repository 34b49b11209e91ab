"""Rows into files: CSV, JSON Lines or Parquet, written as the rows come, and whole or not at all."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from mien.errors import ExtraError, OutputError
from mien.files import written_whole
from mien.types import Detections, Prediction, Scores

Row = dict[str, str | int | float]
Write = Callable[[Sequence[Row]], None]  # writes some rows, all with the same columns

_GROUP = 16_384  # rows: of a Parquet row group


def plain_row() -> Row:
    """A row as a picture's face has it: the columns, and their types, of a table that has no row."""
    box, one = np.array([[0, 0, 1, 1]], np.float32), np.ones(1, np.float32)
    probs = np.eye(1, len(Scores.names), dtype=np.float32)
    return Prediction("", 0.0, Detections(box, one), Scores(probs)).rows()[0]


@contextmanager
def table_writer(path: Path | str) -> Iterator[Write]:
    """A function that adds rows, as `Prediction.rows` gives them, to a file: .csv, .jsonl or .parquet by its suffix.

    The file appears, or is replaced, once the block has ended without an error; without rows it has its columns only.
    Raises OutputError for other suffixes and where the file cannot be written; ExtraError for Parquet without pyarrow.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise OutputError(f"a table's name must end in {', '.join(_WRITERS)}, got {path}")
    with written_whole(path) as file, _WRITERS[suffix](file) as write:
        yield write


@contextmanager
def csv_writer(file: TextIO) -> Iterator[Write]:
    """A function that adds rows to an open text file as CSV, with a header."""
    writer: csv.DictWriter[str] | None = None

    def write(rows: Sequence[Row]) -> None:
        nonlocal writer
        if rows and writer is None:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
        if writer is not None:
            writer.writerows(rows)

    yield write
    if writer is None:
        csv.DictWriter(file, list(plain_row()), lineterminator="\n").writeheader()


@contextmanager
def _csv(file: BinaryIO) -> Iterator[Write]:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    try:
        with csv_writer(text) as write:
            yield write
    finally:
        text.detach()


@contextmanager
def _jsonl(file: BinaryIO) -> Iterator[Write]:
    def write(rows: Sequence[Row]) -> None:
        file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n" for row in rows)

    yield write


@contextmanager
def _parquet(file: BinaryIO) -> Iterator[Write]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ExtraError("Parquet", extra="parquet") from error
    writer: Any = None
    waiting: list[Row] = []

    def flush() -> None:
        nonlocal writer
        if writer is None:
            writer = parquet.ParquetWriter(file, _schema(pa, (waiting or [plain_row()])[0]))
        writer.write_table(pa.Table.from_pylist(waiting, writer.schema))
        waiting.clear()

    def write(rows: Sequence[Row]) -> None:
        waiting.extend(rows)
        if len(waiting) >= _GROUP:
            flush()

    try:
        yield write
        flush()
    finally:
        if writer is not None:
            writer.close()


def _schema(pa: Any, row: Row) -> Any:
    kinds = {str: pa.string(), int: pa.int32(), float: pa.float32()}
    return pa.schema([(name, kinds[type(value)]) for name, value in row.items()])


_WRITERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
