"""What the commands share: results on stdout, progress and remarks on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from unicodedata import category

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mien.types import Progress as ProgressCall

stdout = Console(highlight=False, emoji=False)
stderr = Console(stderr=True, highlight=False, emoji=False)


def plain(text: str) -> str:
    """Text that a terminal shows and does not obey: a file's name may hold anything."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" or category(letter) == "Zs" else "\N{REPLACEMENT CHARACTER}"
        for letter in text
    )


def on_terminal(console: Console) -> bool:
    """Whether somebody looks at it: `Console.is_terminal` says so of files, too, where FORCE_COLOR is set."""
    asked = getattr(console.file, "isatty", None)
    return bool(asked and asked())


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressCall]:
    """A bar on stderr (where it is a terminal) for a function that reports `progress(done, total)`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(
        *columns,
        console=stderr,
        transient=True,
        disable=not on_terminal(stderr),
        redirect_stdout=on_terminal(stdout),  # results go above the bar, but never from a file to the terminal
    )
    with bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
