"""Paths of faces: the ids and splits that they tell, and the entries of folders."""

from pathlib import Path

from mien.errors import DataError
from mien.io.atomic_write import is_dir, is_file
from mien.io.image_format import PICTURE_SUFFIXES, UNREAD_SUFFIXES, starts_as_picture

_SPLITS_BY_NAME = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "publictest"), "valid"),
    **dict.fromkeys(("test", "testing", "privatetest"), "test"),
}
SPLIT_NAMES = tuple(_SPLITS_BY_NAME)


def parse_split(name: str) -> str | None:
    """Return the split that the name of a folder or a file means, or None."""
    return _SPLITS_BY_NAME.get(name.lower().replace("_", "").replace("-", ""))


def id_from_path(path: str) -> str:
    """Return a path as text that can be written anywhere: bytes that are no UTF-8 are written as escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def list_entries(folder: Path) -> list[Path]:
    """Return what a folder holds, sorted, without hidden files and the folders that archives leave (`__MACOSX`).

    Raises DataError where the folder cannot be read.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        return [entry for entry in entries if not (is_of_archive(entry.name) and is_dir(entry))]
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror or error}") from error


def is_of_archive(folder_name: str) -> bool:
    """Return whether a folder is one that archives leave."""
    return folder_name.startswith("__")


def is_picture(path: Path | str) -> bool:
    """Return whether a path is a regular file with a picture's suffix or, without a suffix, a picture's beginning."""
    suffix = Path(path).suffix.lower()
    return is_file(path) and (suffix in PICTURE_SUFFIXES | UNREAD_SUFFIXES or (not suffix and starts_as_picture(path)))
