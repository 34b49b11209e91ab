"""Results on stdout, progress and remarks on stderr, and no text that a terminal obeys: shared by all commands."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from mien.errors import plain
from mien.io.atomic_write import write_text

stdout = Console(highlight=False, emoji=False)
stderr = Console(stderr=True, highlight=False, emoji=False)


def say(text: object = "") -> None:
    """Print a result on standard output."""
    stdout.print(plain(text), markup=False, soft_wrap=True)


class RemarkHandler(logging.Handler):
    """Prints what the library logs, such as what it left out, as remarks."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        remark(record.getMessage())


def say_json(facts: object) -> None:
    """Print facts as one JSON document, its numbers in at most 6 significant digits."""
    say(json.dumps(_shortened(facts), indent=2, ensure_ascii=on_terminal(stdout)))


def _shortened(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {name: _shortened(fact) for name, fact in facts.items()}
    if isinstance(facts, list):
        return [_shortened(fact) for fact in facts]
    return float(f"{facts:.6g}") if isinstance(facts, float) else facts


def write_result(path: Path, text: str) -> None:
    """Write a text file and say so. Raises OutputError."""
    write_text(path, text)
    remark(f"wrote {path}")


def remark(text: object) -> None:
    """Print what is no result on standard error, as one line."""
    stderr.print(plain(text).replace("\n", " "), markup=False, soft_wrap=True)


def number(value: float) -> str:
    """A number in at most 4 significant digits, without an exponent where it is no smaller than a thousandth."""
    return f"{value:.4g}" if value and abs(value) < 1e6 else f"{value:.0f}"


def table(*columns: str, text: int = 1) -> Table:
    """A table without lines; the first columns, as many as `text`, are aligned left and the others right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        made.add_column(plain(column), justify="left" if place < text else "right", no_wrap=True)
    return made


def add_row(to: Table, cells: Sequence[object], *, bold: int | None = None, end_section: bool = False) -> None:
    """Add a row of foreign text to a table, the cell at the place `bold` in bold."""
    shown = [Text(plain(cell), style="bold" if place == bold else "") for place, cell in enumerate(cells)]
    to.add_row(*shown, end_section=end_section)


def on_terminal(console: Console) -> bool:
    """Tell whether somebody looks at it. `Console.is_terminal` is also true of files where FORCE_COLOR is set."""
    asked = getattr(console.file, "isatty", None)
    return bool(asked and asked())


class ProgressBar:
    """A bar on a terminal; call it with what is done and the total, 0 where that is not known."""

    def __init__(self, bar: Progress, title: str) -> None:
        self._bar = bar
        self._task = bar.add_task(plain(title), total=None)

    def __call__(self, done: float, total: float) -> None:
        """Show how much is done."""
        self._bar.update(self._task, completed=done, total=total or None)

    def title(self, text: str) -> None:
        """Show another title."""
        self._bar.update(self._task, description=plain(text))


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressBar]:
    """A bar on stderr, where it is a terminal, while the block runs."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    watched = on_terminal(stderr)
    stderr.is_interactive = watched  # Rich asks once, when the module is loaded; the stream may be another by now
    bar = Progress(
        *columns,
        console=stderr,
        transient=True,
        disable=stderr.quiet or not watched,
        redirect_stdout=on_terminal(stdout),  # results go above the bar, but never from a file to the terminal
    )
    with bar:
        yield ProgressBar(bar, title)
