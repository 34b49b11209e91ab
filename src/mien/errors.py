"""What mien raises on purpose. Each message is one line that says what is wrong, where, and what to do.

MienError
 +- DataError      a face set, a table or a picture is not what it must be; carries the file and row
 +- ModelError     a model file, or what a classifier or detector returned, is not what it must be
 +- RecipeError    a recipe has an unknown key or a value out of range
 +- RunError       a training run cannot start, go on or be exported
 +- OutputError    a result could not be written
 +- ExtraError     a feature needs a package that is not installed; names the extra to install
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class MienError(Exception):
    """Anything mien refuses or fails at, with a message for its user."""


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
        super().__init__(f"{feature} needs more packages; install them with: pip install 'mien[{extra}]'")


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
