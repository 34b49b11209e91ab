"""Faces as picture files: in a folder for each class, or in one folder without classes."""

import os
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from mien.data.bad_rows import OnBad, refuse
from mien.data.decode import face_of, faces_of
from mien.errors import DataError
from mien.io.image_format import PICTURE_SUFFIXES, UNREAD_SUFFIXES
from mien.labels import EXPRESSIONS, SPLITS, parse_expression
from mien.types import FaceSet, Progress

_SPLIT_OF_FOLDER = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "publictest"), "valid"),
    **dict.fromkeys(("test", "testing", "privatetest"), "test"),
}

_Found = tuple[Path, int, str]  # a file, its label and its split


def read_folder(path: Path | str, *, on_bad: OnBad | None = None, progress: Progress | None = None) -> FaceSet:
    """Read pictures that lie in a folder for each class: `path/train/happy/1.png`, or `path/happy/1.png`.

    Folders below `path` are splits (train or Training; valid, validation, val or PublicTest; test or PrivateTest) or
    classes, which are then train. A class is found by its name, in any case and usual spelling (happy, Happiness), and
    has its pictures at any depth. Pictures directly in a split's folder have no label. Pictures of any format, size
    and colour become 48x48 grey; other files are passed over. Ids are paths below `path`, by which faces are sorted.

    on_bad is told of each folder that is no class, and of each picture that cannot be read or has no place; they are
    left out. Without it the first raises DataError, as does a folder without pictures.
    """
    root = Path(path)
    found: list[_Found] = []
    for entry in _entries(root):
        split = split_of_folder(entry.name)
        if not entry.is_dir():
            if _is_picture(entry):
                refuse(
                    DataError(f"{entry} must lie in the folder of a class or of a split, beside which it is"), on_bad
                )
        elif split is None:
            found += _of_class(entry, "train", on_bad)
        else:
            for inner in _entries(entry):
                if inner.is_dir():
                    found += _of_class(inner, split, on_bad)
                elif _is_picture(inner):
                    found.append((inner, -1, split))
    return _read(root, found, on_bad, progress)


def read_flat(path: Path | str, *, on_bad: OnBad | None = None, progress: Progress | None = None) -> FaceSet:
    """Read all pictures in a folder, at any depth, as faces without labels; their split is test.

    Ids, on_bad, progress and errors are as for `read_folder`.
    """
    root = Path(path)
    _entries(root)
    return _read(root, [(file, -1, "test") for file in _pictures(root, on_bad)], on_bad, progress)


def split_of_folder(name: str) -> str | None:
    """The split that a folder's name means, or None."""
    return _SPLIT_OF_FOLDER.get(name.lower().replace("_", "").replace("-", ""))


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, hidden files and those that archives leave (`__MACOSX`) aside."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "__")))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror or error}") from error


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES | UNREAD_SUFFIXES


def _of_class(folder: Path, split: str, on_bad: OnBad | None) -> list[_Found]:
    label = parse_expression(folder.name)
    if label is None:
        refuse(DataError(_unknown(folder)), on_bad)
        return []
    return [(file, label, split) for file in _pictures(folder, on_bad)]


def _unknown(folder: Path) -> str:
    near = get_close_matches(folder.name.lower(), [*EXPRESSIONS, *_SPLIT_OF_FOLDER], n=1)
    inner = {entry.name for entry in _entries(folder) if entry.is_dir()}
    hint = ""
    if near:
        hint = f"; did you mean {near[0]}?"
    elif any(split_of_folder(name) or parse_expression(name) is not None for name in inner):
        hint = f"; to read what is in it, import {folder}"
    return (
        f"the folder {folder} must be named after a class ({', '.join(EXPRESSIONS)}, or a usual spelling of one) or a "
        f"split ({', '.join(SPLITS)}){hint}"
    )


def _pictures(folder: Path, on_bad: OnBad | None) -> list[Path]:
    """The picture files below a folder, at any depth, through links too, but no folder twice."""

    def unreadable(error: OSError) -> None:
        refuse(DataError(f"cannot read the folder {error.filename}: {error.strerror}"), on_bad)

    pictures: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=unreadable):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        pictures += [Path(place, name) for name in files if not name.startswith(".") and _is_picture(Path(name))]
    return pictures


def _read(root: Path, found: list[_Found], on_bad: OnBad | None, progress: Progress | None) -> FaceSet:
    if not found:
        raise DataError(f"{root} holds no pictures; it must have a folder for each class, or pictures (--format flat)")
    named = sorted((spelled(file.relative_to(root).as_posix()), file, label, split) for file, label, split in found)
    images, kept = faces_of(len(named), lambda number: face_of(named[number][1]), on_bad=on_bad, progress=progress)
    return FaceSet(
        images=images,
        labels=np.array([named[number][2] for number in kept], np.int64),
        splits=np.array([named[number][3] for number in kept], np.str_),
        ids=np.array([named[number][0] for number in kept], np.str_),
    )


def spelled(path: str) -> str:
    """A path as text that can be written anywhere: bytes of it that are no UTF-8 are spelled out."""
    return path.encode("utf-8", "backslashreplace").decode()
