"""One function for each form that FER2013 comes in, and a guess which of them a file or folder is."""

from collections.abc import Callable
from pathlib import Path

from mien.data.formats.fer2013_csv import read_fer2013
from mien.data.formats.image_folder import read_flat, read_folder
from mien.data.formats.parquet import read_parquet
from mien.errors import DataError
from mien.io.image_format import PICTURE_SUFFIXES
from mien.types import FaceSet

READERS: dict[str, Callable[..., FaceSet]] = {
    "fer2013": read_fer2013,
    "folder": read_folder,
    "flat": read_flat,
    "parquet": read_parquet,
}


def layout_of(source: Path | str) -> str:
    """Which of `READERS` a file or folder is for. Raises DataError where that is not plain."""
    source = Path(source)
    if not source.exists():
        raise DataError(f"{source} must be a file or folder, and there is none of that name")
    if source.is_dir():
        return _layout_of_folder(source)
    layout = {".csv": "fer2013", ".parquet": "parquet"}.get(source.suffix.lower())
    if layout is None:
        hint = "unpack it first" if source.suffix.lower() in (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar") else ""
        hint = hint or f"say which of {', '.join(READERS)} it is with --format"
        raise DataError(f"{source} must be a .csv or .parquet file, or a folder; {hint}")
    return layout


def _layout_of_folder(folder: Path) -> str:
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__"))]
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    if any(entry for pattern in ("*.parquet", "*/*.parquet") for entry in folder.glob(pattern)):
        return "parquet"
    if any(entry.is_dir() for entry in entries):
        return "folder"
    if any(entry.suffix.lower() in PICTURE_SUFFIXES for entry in entries):
        return "flat"
    tables = [entry for entry in entries if entry.suffix.lower() == ".csv"]
    hint = f"; to read a table that is in it, import {tables[0]}" if tables else ""
    raise DataError(f"{folder} holds no pictures and no .parquet files{hint}")
