"""The command line: a table of commands. The module of a command is loaded when the command is called."""

import inspect
import io
import itertools
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mien._version import __version__
from mien.cli.console import RemarkHandler
from mien.errors import MienError, plain
from mien.io.atomic_write import exists

_LOOK, _DATA, _TRAIN = "Look at faces", "Prepare faces", "Train and export"  # the panels of `mien --help`
_SETTINGS: dict[str, Any] = {"rich_markup_mode": "rich", "pretty_exceptions_enable": False}

# What an option of earlier versions is called now.
_RENAMED = {
    "--output": "--out",
    "--raw": "--smooth 0",
    "--crops": "--cropped",
    "--plot": "--timeline",
    "--page": "--html",
    "--as": "--format",
    "--ask": "--interactive",
    "--mirror": "--tta mirror",
    "--five-crop": "--tta five-crop",
}


@dataclass(frozen=True)
class Command:
    """A row of the table. The module, in mien.cli, has a function of its own name; `line` is its docstring's first."""

    name: str
    module: str
    line: str
    panel: str = _DATA

    def load(self) -> Any:
        """The command, its module imported. The section `Examples` of its docstring is shown at the end of its help."""
        function = getattr(import_module(f"mien.cli.{self.module}"), self.module.rpartition(".")[2])
        text, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\n\nExamples\n--------\n")
        paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))  # a terminal has its own width
        app = typer.Typer(add_completion=False, **_SETTINGS)
        app.command(self.name, help="\n\n".join(paragraphs), epilog=_example(examples))(function)
        return typer.main.get_command(app)


COMMANDS = (
    Command("predict", "predict", "Read the expressions of the faces in pictures and videos.", _LOOK),
    Command("batch", "batch", "Read the expressions in very many pictures and videos into Parquet files.", _LOOK),
    Command("demo", "demo", "Read the expression of a portrait that ships, and draw what was seen.", _LOOK),
    Command("models", "models", "List the models that ship, how good they are and how fast here.", _LOOK),
    Command("serve", "serve", "Read the expressions of the faces in pictures and clips that come over HTTP.", _LOOK),
    Command("show", "show", "Say what a file is and what it holds: a model, faces or a recipe.", _LOOK),
    Command("evaluate", "evaluate", "Measure how good a model is on labelled faces.", _LOOK),
    Command("explain", "explain", "Show which areas of a face speak for its expression.", _LOOK),
    Command("bench", "bench", "Measure how fast a model is on this machine.", _LOOK),
    Command("train", "train", "Train a net by a recipe.", _TRAIN),
    Command("bench train", "bench_train", "Measure how fast a recipe trains on this machine.", _TRAIN),
    Command("export", "export", "Write a run as one self-describing ONNX file.", _TRAIN),
    Command("join", "join", "Write several models as one, which gives the mean of their probabilities.", _TRAIN),
    Command("calibrate", "calibrate", "Write a copy of a model whose confidence is its accuracy.", _TRAIN),
    Command("study", "study", "Compare recipes over several seeds.", _TRAIN),
)
DATA_COMMANDS = (
    Command("import", "data.import_faces", "Read faces from any form of FER2013 into one file."),
    Command("show", "data.show_faces", "Count the faces by expression and split, and look at them."),
    Command(
        "audit", "data.audit", "Find what is wrong with faces: blanks, non-faces, duplicates, leaks, wrong labels."
    ),
    Command("clean", "data.clean", "Drop and relabel faces by an audit, and by a person's choices."),
    Command("export", "data.export_faces", "Write faces back in any of the forms that they come in."),
)


def _group(commands: tuple[Command, ...]) -> type[TyperGroup]:
    """A group whose commands stand for those of the table, and are replaced by them once they are called."""
    table = {command.name: command for command in commands}

    class Group(TyperGroup):
        def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
            if args[0] not in self.commands and "predict" in table and exists(args[0]):
                ctx.fail(f"{args[0]} is no command; did you mean: mien predict {args[0]}?")
            pair = " ".join(args[:2])
            if pair in table:  # a command of two words
                return pair, table[pair].load(), args[2:]
            name, command, rest = super().resolve_command(ctx, args)
            return name, table[name].load() if name in table else command, rest

    return Group


def _fill(app: typer.Typer, commands: tuple[Command, ...]) -> None:
    for command in commands:
        app.command(command.name, help=command.line, rich_help_panel=command.panel)(lambda: None)


def _example(lines: str) -> str:
    """The lines as a block that Rich prints as they are."""
    return "[bold]Examples[/bold]\n" + "\n".join(f"  {line}" for line in lines.splitlines()).replace("[", r"\[")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mien {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="mien",
    cls=_group(COMMANDS),
    help="Facial expression recognition: the expression that a face shows, in pictures, videos and data sets.",
    epilog=_example("mien demo\nmien predict photo.jpg --draw marked.jpg\nmien COMMAND --help"),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **_SETTINGS,
)
data = typer.Typer(cls=_group(DATA_COMMANDS), no_args_is_help=True, **_SETTINGS)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version.")
    ] = False,
) -> None: ...


_fill(app, COMMANDS)
_fill(data, DATA_COMMANDS)
app.add_typer(
    data,
    name="data",
    help="Bring faces in from any form, look at them, audit and clean them, write them back.",
    rich_help_panel=_DATA,
)


def main() -> None:
    """Run the command line.

    Exits with 0, 1 (one line on stderr says what to do), 2 (usage), 130 (interrupted) or 143 (terminated).
    """
    _prepare_output()
    with _remarks(), _exit_on_signals():
        try:
            _run()
        except SystemExit as end:
            _leave_process_group(end.code)
            raise


def _leave_process_group(code: object) -> None:
    """Exit at once if this process trains with others: torch's threads abort some that are torn down."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return
    distributed.destroy_process_group()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0)


def _run() -> None:
    try:
        _refuse_renamed_options(sys.argv[1:])
        sys.exit(app(prog_name="mien", standalone_mode=False))
    except typer.TyperException as error:  # how the command was called
        message = " ".join(error.format_message().split()).rstrip(".")  # the choices of an option have a line each
        message = message.replace("Value error, ", "").replace("Input should be", "must be")  # words of typer's library
        _end(f"{message}; see `{_called(error)} --help`" if message else "", error.exit_code)
    except typer.Abort:
        _end("stopped: the question was not answered", 1)
    except MienError as error:
        _end(str(error), 1)
    except OSError as error:  # such as a full disk behind standard output
        where = "" if error.filename is None else f"{error.filename}: "
        output = sys.stdout
        if output is sys.__stdout__ and output is not None:
            with suppress(OSError):
                output.close()  # or Python tries again to write what is left
        _end(f"{where}{error.strerror or error}", 1)


@contextmanager
def _remarks() -> Iterator[None]:
    """Show what the library logs within the block."""
    log, handler = logging.getLogger("mien"), RemarkHandler(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Let a signal to end raise SystemExit within the block, so that no half-written file stays; a second one kills."""
    if threading.current_thread() is not threading.main_thread():  # only there may signals be handled
        yield
        return
    numbers = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
    before = {number: signal.getsignal(number) for number in numbers}

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        sys.exit(128 + number)

    for number, handler in before.items():
        if handler is signal.SIG_DFL:  # not ignored, as nohup lets it be
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(message: str, code: int) -> None:
    """Exit with this code, the message as a line on standard error."""
    if message:
        sys.stderr.write(f"mien: {plain(message)}\n")
    sys.exit(code)


def _called(error: typer.TyperException) -> str:
    """The command that was called: `mien predict`."""
    context = getattr(error, "ctx", None)
    if context is not None:
        return str(context.command_path)
    words = " ".join(itertools.takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    names = [each.name for each in COMMANDS] + [f"data {each.name}" for each in DATA_COMMANDS]
    called = [name for name in names if f"{words} ".startswith(f"{name} ")]  # an option without its value: no context
    return f"mien {max(called, key=len)}" if called else "mien"


def _refuse_renamed_options(words: list[str]) -> None:
    """Exit, and name the new option, where an old one is used."""
    options = words[: words.index("--")] if "--" in words else words
    for word in options:
        old = word.partition("=")[0]
        if old in _RENAMED:
            _end(f"{old} is now {_RENAMED[old]}", 2)


def _prepare_output() -> None:
    """Write UTF-8 to files and pipes on every system, and to a terminal what it can show; drop closed output."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # as long as the program runs
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
