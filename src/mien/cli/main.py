"""The command line: a verb is the public function of the same name. Nothing heavy is imported before a command runs."""

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from mien._version import __version__
from mien.cli.audit import audit, clean
from mien.cli.data import data
from mien.cli.evaluate import bench, evaluate, models, show
from mien.cli.export import export, join
from mien.cli.predict import demo, predict
from mien.cli.study import study
from mien.cli.train import train
from mien.errors import MienError

app = typer.Typer(
    name="mien",
    help="Facial expression recognition: the expression that a face shows, in pictures, folders and data sets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version.")
    ] = False,
) -> None: ...


app.add_typer(data, name="data")
data.command()(audit)
data.command()(clean)
app.command()(train)
app.command()(study)
app.command()(export)
app.command()(join)
app.command()(predict)
app.command()(demo)
app.command()(evaluate)
app.command()(bench)
app.command()(models)
app.command()(show)


def main() -> None:
    """Run the command line. Exits with 0, 1 (one line on stderr says what to do), 2 (usage) or 130 (interrupted)."""
    _prepare_output()
    try:
        app()
    except MienError as error:
        from mien.cli.console import plain

        sys.stderr.write(f"mien: {plain(str(error))}\n")
        sys.exit(1)
    except OSError as error:  # such as a full disk behind standard output
        from mien.cli.console import plain

        where = "" if error.filename is None else plain(f"{error.filename}: ")
        sys.stderr.write(f"mien: {where}{error.strerror or error}\n")
        output = sys.stdout
        if output is sys.__stdout__ and output is not None:
            with suppress(OSError):
                output.close()  # or Python tries again to write what is left
        sys.exit(1)


def _prepare_output() -> None:
    """What goes to files and pipes is UTF-8 on every system; a terminal shows what it can. Closed output is dropped."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # as long as the program runs
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
