"""Where the predictions of a command go: a table, a plot, a summary."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mien.apps.tally import remark

if TYPE_CHECKING:
    from mien.infer.frames import Frame
    from mien.infer.tables import Row
    from mien.types import Prediction

    Take = Callable[[Frame, Prediction], None]


@contextmanager
def table(output: Path | None, names: list[str], *, moving: bool) -> "Iterator[Take]":
    """What shows a prediction: in a file, as lines on a terminal, or as CSV where standard output is none."""
    import sys

    from mien.apps.lines import Lines
    from mien.apps.terminal import stdout
    from mien.infer.tables import csv_writer, growing_part, table_writer

    if output is None and stdout.is_terminal:
        lines = Lines(names, moving=moving)
        yield lambda _frame, prediction: lines.show(prediction)
        return
    writer = csv_writer(sys.stdout, moving=moving) if output is None else table_writer(output, moving=moving)
    try:
        with writer as write:
            yield lambda _frame, prediction: write(prediction.rows())
    except BaseException:
        if output is not None and growing_part(output).exists():
            remark(f"the rows so far are in {growing_part(output)}")
        raise


@contextmanager
def plotted(path: Path) -> "Iterator[Take]":
    """What collects predictions for a plot over time, which is written at the end."""
    from mien.errors import OutputError
    from mien.files import require_writable
    from mien.infer.timeline import Timeline

    if path.suffix.lower() not in {".png", ".html"}:
        raise OutputError(f"a plot's name must end in .png or .html, got {path}")
    require_writable(path)
    timeline = Timeline()
    yield lambda frame, prediction: timeline.add(prediction, frame.picture)
    timeline.write(path)


@contextmanager
def summed() -> "Iterator[Take]":
    """What adds up the time of each expression and face, and prints it at the end."""
    from mien.infer.summary import Summary

    total = Summary()
    yield lambda _frame, prediction: total.add(prediction)
    _print(total.rows())


def _print(rows: "list[Row]") -> None:
    """Rows as a table on a terminal, else as CSV."""
    import sys

    from rich import box
    from rich.table import Table

    from mien.apps.terminal import stdout
    from mien.infer.tables import csv_writer

    if not stdout.is_terminal:
        with csv_writer(sys.stdout) as write:
            write(rows)
        return
    names = list(rows[0]) if rows else []
    shown = Table(box=box.SIMPLE_HEAD)
    for name in names:
        shown.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        shown.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    stdout.print(shown)
