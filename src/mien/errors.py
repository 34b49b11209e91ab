"""The errors that mien raises on purpose. Each message is one line that says what is wrong, where, and what to do.

MienError
 +- DataError      a face set, a table or a picture is not what it must be; carries the file and row
 +- ModelError     a model file, or what a classifier or detector returned, is not what it must be
 +- RecipeError    a recipe has an unknown key or a value out of range
 +- RunError       a training run cannot start, go on or be exported
 +- OutputError    a result could not be written
 +- ExtraError     a feature needs a package that is not installed; names the extra to install
"""

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unicodedata import category

_LONGEST = 1000  # characters of a message: what somebody gave may be a whole file


class MienError(Exception):
    """Anything mien refuses or fails at, with a message of one line for its user."""

    def __init__(self, message: str) -> None:
        text = " ".join(plain(message).split("\n"))
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST * 2 // 3]} ... {text[-_LONGEST // 4 :]}"
        super().__init__(text)


class DataError(MienError):
    """A face set, a table or a picture is not what it must be."""


class ModelError(MienError):
    """A model file, or what a classifier or detector returned, is not what it must be."""


class RecipeError(MienError):
    """A recipe has an unknown key or a value out of range."""


class RunError(MienError):
    """A training run cannot start, go on or be exported."""


class OutputError(MienError):
    """A result could not be written."""


class ExtraError(MienError):
    """A feature needs a package that is not installed."""

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(f"{feature} needs more packages; install them with: {install_command(extra)}")
        self._feature, self._extra = feature, extra

    def __reduce__(self) -> tuple[Callable[[], "ExtraError"], tuple[()]]:
        """Return what makes the error again in another process."""
        return partial(ExtraError, self._feature, extra=self._extra), ()


def plain(text: object) -> str:
    """Return text that a terminal shows and does not obey: the name of a file or a model may hold anything."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" or category(letter) == "Zs" else "\N{REPLACEMENT CHARACTER}"
        for letter in str(text)
    )


def install_command(extra: str) -> str:
    """Return the command that installs what an extra holds, however and wherever mien itself was installed."""
    from importlib import metadata  # only for this message, and slow

    beside = Path(shutil.which("pip") or "").parent == Path(sys.executable).parent
    pip = "pip install" if beside else f"{shlex.quote(sys.executable)} -m pip install"
    try:
        requirements = metadata.requires("mien") or []
    except metadata.PackageNotFoundError:  # run from its sources
        return f"{pip} '.[{extra}]', in the folder of mien's sources"
    wanted = [
        name.strip()
        for name, _, condition in (each.partition(";") for each in requirements)
        if condition.replace("'", '"').endswith(f'"{extra}"')
    ]
    return " ".join([pip, *map(shlex.quote, wanted)])


@contextmanager
def explain_read_errors(path: Path | str, error_class: type[MienError] = DataError) -> Iterator[None]:
    """Turn an OSError of the block into `error_class`: "cannot read {path}: why"."""
    try:
        yield
    except OSError as error:
        raise error_class(f"cannot read {path}: {error.strerror or error}") from error


@contextmanager
def explain_write_errors(path: Path | str) -> Iterator[None]:
    """Turn an OSError of the block into OutputError: "cannot write {path}: why"."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
