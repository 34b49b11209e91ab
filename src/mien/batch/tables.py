"""Parquet files whose rows hold the bytes of a picture file each, and what to call it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mien.batch.storage import Storage, explained
from mien.errors import DataError
from mien.io.parquet_rows import import_pyarrow

_BYTES = ("image", "bytes", "content", "img", "jpg", "data")  # that are looked for where no column is named
_IDS = ("id", "path", "source", "name", "file_name", "key", "url")
_AT_ONCE = 16  # rows


@dataclass(frozen=True)
class TableColumns:
    """The columns that hold the bytes of the pictures, and what to call each; "": the first with a usual name.

    The bytes may be in a struct with `bytes` and `path`, as Hugging Face's `datasets` has images. Where no column says
    what to call a picture, it is `FILE#ROW`, counted from 0.
    """

    bytes: str = ""
    id: str = ""

    def find(self, schema: Any, path: str) -> tuple[str, str | None]:
        """Return the names of both columns in a file, the second None where it has none. Raises DataError."""
        names = list(schema.names)
        content = self.bytes or next((name for name in _BYTES if name in names), "")
        if content not in names:
            wanted = self.bytes or f"of pictures ({', '.join(_BYTES)})"
            raise DataError(f"{path} must have a column {wanted}, got {', '.join(names)}; --bytes-column names it")
        if self.id and self.id not in names:
            raise DataError(f"{path} must have a column {self.id}, got {', '.join(names)}")
        return content, self.id or next((name for name in _IDS if name in names and name != content), None)


def count_groups(storage: Storage, path: str, columns: TableColumns) -> list[int]:
    """Return the number of rows of each row group of a file. Raises DataError for another file."""
    with _opened(storage, path) as table:
        columns.find(table.schema_arrow, path)
        return [table.metadata.row_group(place).num_rows for place in range(table.num_row_groups)]


def read_groups(
    storage: Storage, path: str, columns: TableColumns, groups: tuple[int, int]
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the name and the bytes of each picture in some row groups: from the first one, before the second."""
    with _opened(storage, path) as table:
        content, names = columns.find(table.schema_arrow, path)
        row = sum(table.metadata.row_group(place).num_rows for place in range(groups[0]))
        wanted = [content] if names is None else [content, names]
        for batch in table.iter_batches(batch_size=_AT_ONCE, row_groups=list(range(*groups)), columns=wanted):
            known = [None] * batch.num_rows if names is None else batch.column(names).to_pylist()
            for value, name in zip(batch.column(content).to_pylist(), known, strict=True):
                inner = value.get("path") if isinstance(value, dict) and name is None else name
                yield str(inner) if inner is not None else f"{path}#{row}", _bytes_of(value)
                row += 1


def _bytes_of(value: object) -> bytes | None:
    found = value.get("bytes") if isinstance(value, dict) else value
    return found if isinstance(found, bytes) else None


@contextmanager
def _opened(storage: Storage, path: str) -> Iterator[Any]:
    """Open a Parquet file as pyarrow does. Raises DataError where it is none, or cannot be read."""
    arrow, parquet = import_pyarrow()
    with explained(path), storage.open(path) as file:
        try:
            with parquet.ParquetFile(file) as table:
                yield table
        except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} must be a Parquet file, and whole: {error}") from error
