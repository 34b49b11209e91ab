"""Where the predictions of a command go: a table, a plot, a summary."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli.stats import remark

if TYPE_CHECKING:
    from mien.io.frame import Frame
    from mien.io.row_writers import Row
    from mien.types import Prediction

    Take = Callable[[Frame, Prediction], None]


@contextmanager
def table(output: Path | None, names: list[str], *, moving: bool, class_names: tuple[str, ...]) -> "Iterator[Take]":
    """What shows a prediction: in a file, as lines on a terminal, or as CSV where standard output is none.

    names: of all sources; moving: whether one is a video; class_names: of the probabilities' columns.
    """
    import sys

    from mien.cli.console import on_terminal, stdout
    from mien.cli.terminal_table import Lines
    from mien.io.row_writers import RowSchema, csv_writer, row_writer

    if output is None and on_terminal(stdout):
        lines = Lines(names, moving=moving)
        yield lambda _frame, prediction: lines.show(prediction)
        return
    schema = RowSchema.of_predictions(class_names, video=moving)
    if output is None:
        writer = csv_writer(sys.stdout, schema)
    else:
        writer = row_writer(output, schema, on_unfinished=lambda part: remark(f"the rows so far are in {part}"))
    with writer as write:
        yield lambda _frame, prediction: write(prediction.rows())


@contextmanager
def plotted(path: Path, names: list[str]) -> "Iterator[Take]":
    """What collects predictions for a plot over time, which is written at the end; names: of all sources."""
    from mien.errors import DataError
    from mien.io.source import is_video
    from mien.visualize.timeline import Timeline, require_timeline

    require_timeline(path)
    still = [name for name in names if not is_video(name)]
    if still:
        raise DataError(f"--plot is for videos, over whose time it goes, got {still[0]}")
    timeline = Timeline()
    yield lambda frame, prediction: timeline.add(prediction, frame.picture)
    timeline.write(path)


@contextmanager
def summed() -> "Iterator[Take]":
    """What adds up the time of each expression and face, and prints it at the end."""
    from mien.visualize.summary import Summary

    total = Summary()
    yield lambda _frame, prediction: total.add(prediction)
    _print(total.rows())


def _print(rows: "list[Row]") -> None:
    """Rows as a table on a terminal, else as CSV."""
    import sys

    from rich import box
    from rich.table import Table
    from rich.text import Text

    from mien.cli.console import on_terminal, plain, stdout
    from mien.io.row_writers import RowSchema, csv_writer

    if not on_terminal(stdout):
        with csv_writer(sys.stdout, RowSchema.of_rows(rows)) as write:
            write(rows)
        return
    names = list(rows[0]) if rows else []
    shown = Table(box=box.SIMPLE_HEAD)
    for name in names:
        shown.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        shown.add_row(
            *(Text(f"{value:.2f}" if isinstance(value, float) else plain(str(value))) for value in row.values())
        )
    stdout.print(shown)
