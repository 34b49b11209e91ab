"""Faces as picture files: in a folder for each class, or in one folder without classes."""

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

import numpy as np

from mien.data.bad_rows import OnBad, raise_or_report
from mien.data.decode import encode_png, read_face, read_faces
from mien.data.formats.paths import SPLIT_NAMES, id_from_path, is_hidden, list_entries, parse_split
from mien.errors import DataError
from mien.io.atomic_write import atomic_folder, truncate_utf8
from mien.io.image_format import PICTURE_SUFFIXES, UNREAD_SUFFIXES
from mien.labels import EXPRESSIONS, SPLITS, parse_expression
from mien.types import FaceSet, Progress, batches

_FILES_WRITTEN = 256  # between two calls of `progress`
_LONGEST_NAME = 100  # bytes of a file's name, without its suffix

_Found = tuple[Path, int, str]  # a file, its label and its split


def read_folder(path: Path | str, *, on_bad: OnBad | None = None, progress: Progress | None = None) -> FaceSet:
    """Read pictures that lie in a folder for each class: `path/train/happy/1.png`, or `path/happy/1.png`.

    Folders below `path` are splits (train or Training; valid, validation, val or PublicTest; test or PrivateTest) or
    classes, which are then train. A class is known by its name, in any case and usual spelling (happy, Happiness), and
    has its pictures at any depth. Pictures directly in a split's folder have no label. Pictures of any format, size
    and colour become 48x48 grey; other files are passed over. Ids are paths below `path`, and the faces are sorted by
    them.

    Parameters
    ----------
    path
        The folder.
    on_bad
        Called with the error of each folder that is no class, and of each picture that cannot be read or lies in no
        such folder; they are left out. Without it the first error is raised.
    progress
        Called with the pictures read and how many there are.

    Raises
    ------
    DataError
        Where the folder cannot be read or holds no pictures.
    """
    root = Path(path)
    found: list[_Found] = []
    for entry in list_entries(root):
        split = parse_split(entry.name)
        if not entry.is_dir():
            if _is_picture(entry.name):
                message = f"{entry} must lie in the folder of a class or of a split, beside which it is"
                raise_or_report(DataError(message), on_bad)
        elif split is None:
            found += _find_in_class(entry, "train", on_bad)
        else:
            found += _find_in_split(entry, split, on_bad)
    return _read(root, found, on_bad, progress)


def read_flat(path: Path | str, *, on_bad: OnBad | None = None, progress: Progress | None = None) -> FaceSet:
    """Read all pictures in a folder, at any depth, as faces without labels; their split is test.

    Ids, parameters and errors are those of `read_folder`.
    """
    root = Path(path)
    list_entries(root)
    return _read(root, [(file, -1, "test") for file in _find_pictures(root, on_bad)], on_bad, progress)


def write_folder(faces: FaceSet, path: Path | str, *, progress: Progress | None = None) -> None:
    """Write PNG files as `path/<split>/<class>/<name>.png`, those without a label as `path/<split>/<name>.png`.

    A name is the last part of the face's id. Votes have no place in a folder.

    Raises
    ------
    OutputError
        Where `path` cannot be written, or is there already and is no empty folder.
    """
    places = [
        PurePosixPath(split, EXPRESSIONS[label]) if label >= 0 else PurePosixPath(split)
        for split, label in zip(faces.splits.tolist(), faces.labels.tolist(), strict=True)
    ]
    _write(faces, places, Path(path), progress)


def write_flat(faces: FaceSet, path: Path | str, *, progress: Progress | None = None) -> None:
    """Write PNG files as `path/<name>.png`. Labels, splits and votes have no place there.

    Names and errors are those of `write_folder`.
    """
    _write(faces, [PurePosixPath()] * len(faces), Path(path), progress)


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURE_SUFFIXES | UNREAD_SUFFIXES


def _find_in_split(folder: Path, split: str, on_bad: OnBad | None) -> list[_Found]:
    found: list[_Found] = []
    for entry in list_entries(folder):
        if entry.is_dir():
            found += _find_in_class(entry, split, on_bad)
        elif _is_picture(entry.name):
            found.append((entry, -1, split))
    return found


def _find_in_class(folder: Path, split: str, on_bad: OnBad | None) -> list[_Found]:
    label = parse_expression(folder.name)
    if label is None:
        raise_or_report(DataError(_explain_unknown(folder)), on_bad)
        return []
    return [(file, label, split) for file in _find_pictures(folder, on_bad)]


def _explain_unknown(folder: Path) -> str:
    """Return the message for a folder that is neither a class nor a split."""
    near = get_close_matches(folder.name.lower(), [*EXPRESSIONS, *SPLIT_NAMES], n=1)
    inner = [entry.name for entry in list_entries(folder) if entry.is_dir()]
    hint = ""
    if near and not folder.name.lower().endswith(near[0]):  # `unhappy` is no slip of the pen for `happy`
        hint = f"; did you mean {near[0]}?"
    elif any(parse_split(name) or parse_expression(name) is not None for name in inner):
        hint = f"; to read what is in it, import {folder}"
    return (
        f"the folder {folder} must be named after a class ({', '.join(EXPRESSIONS)}, or a usual spelling of one) or a "
        f"split ({', '.join(SPLITS)}){hint}"
    )


def _find_pictures(folder: Path, on_bad: OnBad | None) -> list[Path]:
    """Return the picture files below a folder, at any depth, through links too, but no folder twice."""

    def report(error: OSError) -> None:
        raise_or_report(DataError(f"cannot read the folder {error.filename}: {error.strerror}"), on_bad)

    pictures: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=report):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        pictures += [Path(place, name) for name in files if not name.startswith(".") and _is_picture(name)]
    return pictures


def _read(root: Path, found: list[_Found], on_bad: OnBad | None, progress: Progress | None) -> FaceSet:
    if not found:
        raise DataError(f"{root} holds no pictures; it must have a folder for each class, or pictures (--format flat)")
    named = sorted(
        (id_from_path(file.relative_to(root).as_posix()), file, label, split) for file, label, split in found
    )
    images, kept = read_faces(len(named), lambda number: read_face(named[number][1]), on_bad=on_bad, progress=progress)
    return FaceSet(
        images=images,
        labels=np.array([named[number][2] for number in kept], np.int64),
        splits=np.array([named[number][3] for number in kept], np.str_),
        ids=np.array([named[number][0] for number in kept], np.str_),
    )


def _write(faces: FaceSet, places: list[PurePosixPath], path: Path, progress: Progress | None) -> None:
    files = list(_name_files(places, faces.ids.tolist()))
    with atomic_folder(path) as part:
        for place in set(places):
            (part / place).mkdir(parents=True, exist_ok=True)
        for rows in batches(len(faces), _FILES_WRITTEN):
            for file, image in zip(files[rows], faces.images[rows], strict=True):
                (part / file).write_bytes(encode_png(image))
            if progress:
                progress(rows.stop, len(faces))


def _name_files(places: list[PurePosixPath], ids: list[str]) -> Iterator[PurePosixPath]:
    """Yield the path of each face. A name that is taken gets the face's number (`A.png` may be `a.png` elsewhere)."""
    taken: set[str] = set()
    for number, (place, name) in enumerate(zip(places, ids, strict=True)):
        last = PurePosixPath(name)
        known = last.suffix.lower() in PICTURE_SUFFIXES  # another dot is part of the name
        stem = re.sub(r"[^\w-]+", "_", last.stem if known else last.name)
        stem = truncate_utf8(stem, _LONGEST_NAME) or "face"
        file = place / f"{stem}.png"
        while str(file).casefold() in taken:
            stem += f"-{number}"
            file = place / f"{stem}.png"
        taken.add(str(file).casefold())
        yield file
