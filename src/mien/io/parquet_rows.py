"""Rows as Parquet: the columns' types, and a writer that takes some rows at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from mien.errors import DataError, ExtraError

_GROUP = 16_384  # rows of a row group
_NOTE = b"mien"  # the key, in a file's metadata, of the note that its writer left


def import_pyarrow() -> tuple[Any, Any]:
    """Return the modules pyarrow and pyarrow.parquet. Raises ExtraError where they are not installed."""
    try:
        import pyarrow.parquet  # an extra, which only Parquet needs
    except ImportError as error:
        raise ExtraError("Parquet", extra="parquet") from error
    return pyarrow, pyarrow.parquet


class ParquetRows:
    """Adds rows to an open Parquet file, and may leave a note in it; made by `parquet_rows`."""

    def __init__(self, writer: Any, columns: Any) -> None:
        self._writer, self._columns = writer, columns
        self._waiting: list[Mapping[str, Any]] = []
        self._groups = 0

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows; a column that a row leaves out is empty."""
        self._waiting += rows
        while len(self._waiting) >= _GROUP:
            self._write(self._waiting[:_GROUP])
            self._waiting = self._waiting[_GROUP:]

    def note(self, facts: Mapping[str, Any]) -> None:
        """Leave a note, JSON-safe facts, which `read_note` gives again without reading a row."""
        self._writer.add_key_value_metadata({_NOTE: json.dumps(facts, ensure_ascii=False)})

    def finish(self) -> None:
        """Write the rows that still wait; a file without rows gets one empty row group."""
        if self._waiting or not self._groups:
            self._write(self._waiting)
            self._waiting = []

    def _write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        arrow, _ = import_pyarrow()
        self._writer.write_table(arrow.Table.from_pylist(rows, self._columns))
        self._groups += 1


@contextmanager
def parquet_rows(file: BinaryIO, types: Mapping[str, type]) -> Iterator[ParquetRows]:
    """Open a binary file to write rows into, as Parquet; the file stays open.

    types: the type of each column, str, int or float, by its name. Numbers have 32 bits, and times 64.
    Raises ExtraError where pyarrow is not installed.
    """
    arrow, parquet = import_pyarrow()
    kinds = {str: arrow.string(), int: arrow.int32(), float: arrow.float32()}
    exact = {"seconds": arrow.float64()}  # of hours, 32 bits leave milliseconds
    columns = arrow.schema([(name, exact.get(name, kinds[kind])) for name, kind in types.items()])
    with parquet.ParquetWriter(file, columns) as writer:
        rows = ParquetRows(writer, columns)
        yield rows
        rows.finish()


def read_note(file: BinaryIO, name: str) -> dict[str, Any]:
    """Return the note that a Parquet file's writer left in it. Raises DataError where there is none.

    name: what the error calls the file.
    """
    arrow, parquet = import_pyarrow()
    try:
        facts = json.loads(parquet.read_metadata(file).metadata[_NOTE])
    except (arrow.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{name} must be a whole Parquet file that mien wrote: {error}") from error
    if not isinstance(facts, dict):
        raise DataError(f"{name} must hold a note of facts, got {type(facts).__name__}")
    return facts
