"""The forms that labelled faces come in: a reader and a writer for each, and a guess which one a path holds."""

from collections.abc import Callable
from pathlib import Path

from mien.data.formats.fer2013_csv import read_fer2013, write_fer2013
from mien.data.formats.image_folder import read_flat, read_folder, write_flat, write_folder
from mien.data.formats.parquet import read_parquet, write_parquet
from mien.data.formats.paths import is_picture, list_entries
from mien.errors import DataError
from mien.types import FaceSet

READERS: dict[str, Callable[..., FaceSet]] = {
    "fer2013": read_fer2013,
    "folder": read_folder,
    "flat": read_flat,
    "parquet": read_parquet,
}
WRITERS: dict[str, Callable[..., None]] = {
    "fer2013": write_fer2013,
    "folder": write_folder,
    "flat": write_flat,
    "parquet": write_parquet,
}
# The parts of a face set that a format has no place for.
LOST: dict[str, tuple[str, ...]] = {
    "fer2013": ("ids", "votes"),
    "folder": ("votes",),
    "flat": ("labels", "splits", "votes"),
    "parquet": (),
}

_ARCHIVE_SUFFIXES = (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar")


def guess_format(source: Path | str) -> str:
    """Return the key in `READERS` of the format that a file or folder has.

    Raises
    ------
    DataError
        Where there is no such file, or where its format is not plain.
    """
    source = Path(source)
    if not source.exists():
        raise DataError(f"{source} must be a file or folder, and there is none of that name")
    if source.is_dir():
        return _guess_folder_format(source)
    suffix = source.suffix.lower()
    known = {".csv": "fer2013", ".parquet": "parquet"}
    if suffix not in known:
        choice = f"say which of {', '.join(READERS)} it is with --format"
        hint = "unpack it first" if suffix in _ARCHIVE_SUFFIXES else choice
        hint = f"it is a file of faces already: mien data show {source}" if suffix == ".npz" else hint
        raise DataError(f"{source} must be a .csv or .parquet file, or a folder; {hint}")
    return known[suffix]


def _guess_folder_format(folder: Path) -> str:
    entries = list_entries(folder)
    if any(entry for pattern in ("*.parquet", "*/*.parquet") for entry in folder.glob(pattern)):
        return "parquet"
    if any(entry.is_dir() for entry in entries):
        return "folder"
    if any(map(is_picture, entries)):
        return "flat"
    tables = [entry for entry in entries if entry.suffix.lower() == ".csv"]
    hint = f"; to read a table that is in it, import {tables[0]}" if tables else ""
    raise DataError(f"{folder} holds no pictures and no .parquet files{hint}")
