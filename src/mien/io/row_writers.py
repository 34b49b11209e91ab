"""Rows into files: CSV, JSON Lines or Parquet, growing as the rows come, and under their name only when whole."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, TextIO

from mien.errors import ExtraError, OutputError, explain_write_errors
from mien.io.atomic_write import atomic_write, create_part, is_dir, is_stream, resolve_link
from mien.io.parquet_rows import parquet_rows
from mien.labels import EXPRESSIONS
from mien.types import COLUMNS

TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")

Row = dict[str, str | int | float]
WriteRows = Callable[[Sequence[Row]], None]

_TEXT = ("source", "quality", "expression")
_WHOLE_NUMBERS = ("track", "face")
_OF_VIDEOS = ("seconds", "track")
_TIMES = ("seconds", "first", "last")  # of long videos they need more digits than other numbers
_DIGITS = 6


@dataclass(frozen=True)
class RowSchema:
    """The columns of a table and their types: str, int or float. A row may leave columns out, which are then empty.

    types: the type of each column by its name, in the order of the columns.
    """

    types: dict[str, type] = field(default_factory=dict)

    @staticmethod
    def of_predictions(class_names: Sequence[str] = EXPRESSIONS, *, video: bool = False) -> "RowSchema":
        """Return the columns of `Prediction.rows`.

        video: whether they include `seconds` and `track`, which frames of videos have; in rows of pictures they are
        empty.
        """
        names = [name for name in COLUMNS if video or name not in _OF_VIDEOS]
        types: dict[str, type] = {
            name: str if name in _TEXT else int if name in _WHOLE_NUMBERS else float for name in names
        }
        return RowSchema(types | dict.fromkeys(class_names, float))

    @staticmethod
    def of_rows(rows: Sequence[Row]) -> "RowSchema":
        """Return the columns that the first row has; none where there is no row."""
        return RowSchema({name: type(value) for row in rows[:1] for name, value in row.items()})

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.types)


def round_row(row: Row) -> Row:
    """Return a row whose numbers have at most 6 significant digits and 6 decimals; times keep all whole seconds."""
    return {name: _round(name, value) if isinstance(value, float) else value for name, value in row.items()}


def _round(name: str, value: float) -> float:
    return round(value if name in _TIMES else float(f"{value:.{_DIGITS}g}"), _DIGITS)


@contextmanager
def row_writer(
    path: Path | str, schema: RowSchema, *, on_unfinished: Callable[[Path], None] | None = None
) -> Iterator[WriteRows]:
    """Give a function that adds rows to a file: .csv, .jsonl or .parquet by its suffix.

    The file appears, or is replaced, when the block ends without an error; without rows it has its columns only. Until
    then the rows grow in a file beside it, whose name ends in `.part`, and can be read there: CSV of CSV, JSON Lines
    otherwise, since nobody can read half a Parquet file. A pipe or device is written to as the rows come. Numbers are
    rounded by `round_row` in CSV and JSON Lines; Parquet holds them in 32 bits, and times in 64.

    Parameters
    ----------
    path
        The table. A link stays, and the file behind it is replaced.
    schema
        The columns.
    on_unfinished
        Is called with the name of the growing file when the block ends with an error and rows remain in it. They are
        whole rows, even where the disk is full.

    Raises
    ------
    OutputError
        For another suffix, and where the file cannot be written.
    ExtraError
        For Parquet without pyarrow.
    """
    path = Path(path)
    _require_table(path)
    encode = _encoder(path, schema)
    with explain_write_errors(path):
        if is_stream(path) and path.suffix.lower() != ".parquet":
            with path.open("a", encoding="utf-8", newline="") as stream, _text_writer(stream, encode) as write:
                yield write
            return
        with _growing(path, encode, on_unfinished) as grown:
            yield grown.add
            grown.finish(schema)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a whole table as CSV, its numbers rounded; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(round_row(dict(row)) for row in rows)
    return text.getvalue()


@contextmanager
def csv_writer(file: TextIO, schema: RowSchema) -> Iterator[WriteRows]:
    """Give a function that adds rows to an open text file as CSV; what is written can be read at once."""
    with _text_writer(file, _CsvLines(schema)) as write:
        yield write


@contextmanager
def _text_writer(file: TextIO, encode: "_CsvLines | _JsonLines") -> Iterator[WriteRows]:
    """Write to an open file; the header comes with the first rows, or at the end if there are none."""
    header = list(encode.header)

    def write(rows: Sequence[Row]) -> None:
        if rows:
            file.writelines([*header, *encode(rows)])
            file.flush()
            header.clear()

    yield write
    file.writelines(header)


class _CsvLines:
    """Encodes rows as lines of CSV."""

    def __init__(self, schema: RowSchema) -> None:
        self._lines: list[str] = []
        self._writer = csv.DictWriter(
            SimpleNamespace(write=self._lines.append), schema.columns, restval="", lineterminator="\n"
        )
        if schema.types:
            self._writer.writeheader()
        self.header = self._taken()

    def __call__(self, rows: Sequence[Row]) -> list[str]:
        self._writer.writerows(_quotable(round_row(row)) for row in rows)
        return self._taken()

    def _taken(self) -> list[str]:
        lines = list(self._lines)
        self._lines.clear()
        return lines


class _JsonLines:
    """Encodes rows as lines of JSON: with all digits for Parquet, else rounded."""

    header: Sequence[str] = ()

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact

    def __call__(self, rows: Sequence[Row]) -> list[str]:
        rows = rows if self._exact else list(map(round_row, rows))
        return [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]


def _encoder(path: Path, schema: RowSchema) -> _CsvLines | _JsonLines:
    suffix = path.suffix.lower()
    return _CsvLines(schema) if suffix == ".csv" else _JsonLines(exact=suffix == ".parquet")


def _quotable(row: Row) -> Row:
    """Return a row without carriage returns, which the csv module of older Pythons leaves outside of quotes."""
    mark = "\N{REPLACEMENT CHARACTER}"
    return {name: value.replace("\r", mark) if isinstance(value, str) else value for name, value in row.items()}


class _GrowingTable:
    """A table in the file in which it grows; made by `_growing`."""

    def __init__(self, path: Path, encode: _CsvLines | _JsonLines, file: BinaryIO) -> None:
        self._path = path
        self._encode = encode
        self._file = file
        self._add(self._encode.header)
        self.header_bytes = file.tell()

    def add(self, rows: Sequence[Row]) -> None:
        """Hand rows to the system, so that others can read them."""
        self._add(self._encode(rows))

    def _add(self, lines: Sequence[str]) -> None:
        _append_lines(self._file, [line.encode() for line in lines])

    def finish(self, schema: RowSchema) -> None:
        """Put the table in its place."""
        os.fsync(self._file.fileno())
        self._file.close()
        part = Path(self._file.name)
        if self._path.suffix.lower() == ".parquet":
            _write_parquet(part, self._path, schema)
            part.unlink()
        else:
            part.replace(resolve_link(self._path))


@contextmanager
def _growing(
    path: Path, encode: _CsvLines | _JsonLines, on_unfinished: Callable[[Path], None] | None
) -> Iterator[_GrowingTable]:
    """Give the growing table. When the block fails, its file stays if it has rows."""
    suffix = ".jsonl" if path.suffix.lower() == ".parquet" else ""
    with create_part(resolve_link(path), suffix=suffix, buffering=0) as file:
        part = Path(file.name)
        table = None
        try:
            table = _GrowingTable(path, encode, file)
            yield table
        except BaseException:
            with suppress(OSError):
                if table is None or part.stat().st_size <= table.header_bytes:
                    part.unlink()
                elif on_unfinished:
                    on_unfinished(part)
            raise


def _append_lines(file: BinaryIO, lines: Sequence[bytes]) -> None:
    """Append lines to an unbuffered file; where an error stops it, cut off the half of a line."""
    start = file.tell()
    content = memoryview(b"".join(lines))
    written = 0
    try:
        while written < len(content):
            written += file.write(content[written:])
    except BaseException:
        with suppress(OSError):
            ends = accumulate(map(len, lines), initial=start)
            reached = os.fstat(file.fileno()).st_size
            file.truncate(max(end for end in ends if end <= reached))
        raise


def _require_table(path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise OutputError(f"a table's name must end in {', '.join(TABLE_SUFFIXES)}, got {path}")
    if is_dir(path):
        raise OutputError(f"cannot write {path}: it is a folder")
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ExtraError("Parquet", extra="parquet")


def _write_parquet(lines: Path, path: Path, schema: RowSchema) -> None:
    """Make a Parquet file of JSON Lines."""
    with (
        lines.open(encoding="utf-8") as file,
        atomic_write(path) as target,
        parquet_rows(target, schema.types) as table,
    ):
        for line in file:
            table.add([json.loads(line)])
