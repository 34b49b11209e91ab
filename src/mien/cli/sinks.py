"""Sinks, which take the predictions of a command: a table, a timeline, a summary, a list of what had no face."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mien.cli.console import add_row, number, on_terminal, remark, stdout, table
from mien.cli.stats import count
from mien.cli.terminal_table import TerminalTable
from mien.errors import DataError, plain
from mien.io.atomic_write import write_text
from mien.io.frame import Frame
from mien.io.row_writers import Row, RowSchema, WriteRows, csv_text, csv_writer, round_row, row_writer
from mien.io.source import is_video
from mien.types import Prediction
from mien.visualize.summary import Summary
from mien.visualize.timeline import Timeline, require_timeline

Sink = Callable[[Frame, Prediction], None]  # takes each picture or frame with its prediction, in order

STDOUT = Path("-")


@contextmanager
def table_sink(
    out: Path | None, names: Sequence[str], *, moving: bool, class_names: tuple[str, ...], as_json: bool = False
) -> Iterator[Sink]:
    """WriteRows the rows: to a file, or to standard output as one JSON document, as lines on a terminal or as CSV.

    names: of all sources; moving: whether one is a video.
    """
    schema = RowSchema.of_predictions(class_names, video=moving)
    if out is not None and out != STDOUT:
        with _file_sink(out, schema) as sink:
            yield sink
    elif out is None and not as_json and on_terminal(stdout):
        shown = TerminalTable(names, moving=moving)
        yield lambda _frame, prediction: shown.add(prediction)
    else:
        writer = json_writer(sys.stdout) if as_json else csv_writer(sys.stdout, schema)
        with writer as write:
            yield lambda _frame, prediction: write(_obeyed_by_no_terminal(prediction.rows()))


@contextmanager
def _file_sink(out: Path, schema: RowSchema) -> Iterator[Sink]:
    written = 0

    def add(_frame: Frame, prediction: Prediction) -> None:
        nonlocal written
        rows = prediction.rows()
        write(rows)
        written += len(rows)

    with row_writer(out, schema, on_unfinished=lambda part: remark(f"the rows so far are in {part}")) as write:
        yield add
    remark(f"wrote {out}: {count(written, 'row')}")


@contextmanager
def json_writer(file: TextIO) -> Iterator[WriteRows]:
    """Give a function that adds rows to one JSON array, which is whole once the block has ended."""
    begun = False

    def write(rows: Sequence[Row]) -> None:
        nonlocal begun
        for row in rows:
            line = json.dumps(round_row(row), ensure_ascii=on_terminal(stdout), allow_nan=False)
            file.write(f"{',' if begun else '['}\n{line}")
            begun = True

    yield write
    file.write("\n]\n" if begun else "[]\n")


def _obeyed_by_no_terminal(rows: Sequence[Row]) -> Sequence[Row]:
    """Replace what a terminal would obey in the texts of rows, if it gets them."""
    if not on_terminal(stdout):
        return rows
    return [{name: plain(value) if isinstance(value, str) else value for name, value in row.items()} for row in rows]


@contextmanager
def timeline_sink(path: Path, names: Sequence[str]) -> Iterator[Sink]:
    """Collect predictions for a chart over time, which is written at the end; names: of all sources."""
    require_timeline(path)
    still = [name for name in names if not is_video(name)]
    if still:
        raise DataError(f"--timeline is for videos, over whose time it goes, got {still[0]}")
    timeline = Timeline()
    yield lambda frame, prediction: timeline.add(prediction, frame.picture)
    timeline.write(path)
    remark(f"wrote {path}: a timeline")


@contextmanager
def summary_sink(*, as_json: bool = False) -> Iterator[Sink]:
    """Add up the time of each expression and face, and print it at the end."""
    total = Summary()
    yield lambda _frame, prediction: total.add(prediction)
    rows = total.rows()
    if as_json or not on_terminal(stdout):
        with json_writer(sys.stdout) if as_json else csv_writer(sys.stdout, RowSchema.of_rows(rows)) as write:
            write(_obeyed_by_no_terminal(rows))
        return
    names = list(rows[0]) if rows else []
    shown = table(*names, text=1)
    for row in rows:
        add_row(shown, [number(value) if isinstance(value, float) else value for value in row.values()])
    stdout.print(shown)


@contextmanager
def faceless_sink(path: Path) -> Iterator[Sink]:
    """WriteRows the names of pictures, and the times of frames, in which no face was found, as CSV at the end."""
    without: list[dict[str, str | float | None]] = []

    def add(frame: Frame, prediction: Prediction) -> None:
        if not len(prediction.faces):
            without.append({"source": prediction.source, "seconds": prediction.seconds if frame.moving else None})

    yield add
    write_text(path, csv_text(("source", "seconds"), without))
    remark(f"wrote {path}: {len(without):,} without a face")
