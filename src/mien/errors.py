"""What mien raises on purpose. Each message is one line that says what is wrong, where, and what to do.

MienError
 +- DataError      a face set, a table or a picture is not what it must be; carries the file and row
 +- ModelError     a model file, or what a classifier or detector returned, is not what it must be
 +- RecipeError    a recipe has an unknown key or a value out of range
 +- RunError       a training run cannot start, go on or be exported
 +- OutputError    a result could not be written
 +- ExtraError     a feature needs a package that is not installed; names the extra to install
"""


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
