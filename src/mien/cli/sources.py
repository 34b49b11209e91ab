"""The sources of commands that read pictures, and what to do with files that are none."""

from collections.abc import Sequence
from pathlib import Path

from mien.errors import DataError
from mien.io.atomic_write import is_file
from mien.io.source import find_sources

_TABLE = "a table; if it holds faces, they are read by: mien data import {0} -o faces.npz"
_ADVICE = {
    ".npz": "a file of faces; it measures a model by: mien evaluate swift {0}; it is shown by: mien data show {0}",
    ".csv": _TABLE,
    ".tsv": _TABLE,
    ".parquet": f"{_TABLE}; if it holds pictures, by: mien batch {{0}} -o rows",
    ".onnx": "a model file; it answers by: mien predict PICTURE -m {0}; it says what it is by: mien show {0}",
    ".toml": "a recipe; it trains by: mien train {0} --faces faces.npz -o run",
    ".txt": "a text; where it is a list of pictures, one a line, write: @{0}",
}


def find_all(sources: Sequence[str]) -> tuple[list[str], list[DataError]]:
    """Find what the sources stand for, and the errors of those that are missing. Raises DataError where all are."""
    names: list[str] = []
    missing: list[DataError] = []
    for source in sources:
        try:
            require_pictures([source])
            names += find_sources(source)
        except DataError as error:
            missing.append(error)
    if missing and not names and len(missing) > 1:
        raise DataError(f"none of the {len(missing)} sources can be read: {missing[0]}")
    if missing and not names:
        raise missing[0]
    return names, missing


def require_pictures(sources: Sequence[str], *, tables: bool = False, lists: bool = True) -> None:
    """Refuse files that other commands are for, and say which.

    tables: whether Parquet files are read; lists: whether @FILE is. Raises DataError for the first of such files.
    """
    for source in sources:
        suffix = Path(source).suffix.lower()
        if suffix in _ADVICE and not (tables and suffix == ".parquet") and is_file(source):
            advice = _ADVICE[suffix] if lists else _ADVICE[suffix].partition("; where it is a list")[0]
            raise DataError(f"{source} is no picture but {advice.format(source)}")
