"""Faces as picture files: in a folder for each class, or in one folder without classes."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

import numpy as np

from mien.data.bad_rows import OnBad, raise_or_report
from mien.data.decode import encode_png, read_crop, read_faces, warn_of_black, warn_of_photos
from mien.data.formats.paths import SPLIT_NAMES, id_from_path, is_of_archive, is_picture, list_entries, parse_split
from mien.errors import DataError
from mien.io.atomic_write import atomic_folder, is_dir, truncate_utf8
from mien.io.image_format import PICTURE_SUFFIXES
from mien.io.source import walk_files
from mien.labels import EXPRESSIONS, SPLITS, parse_class
from mien.types import FaceSet, Progress, batches, require_class_names

_FILES_WRITTEN = 256  # between two calls of `progress`
_LONGEST_NAME = 100  # bytes of a file's name, without its suffix
_NAMES_TOLD = 5  # of files that were passed over
_NUMBER = re.compile(r"[0-9]{1,3}")
# Orders of classes that data sets number: the first number, the data set, and the names.
_KNOWN_ORDERS = {
    (1, "RAF-DB"): "surprise,fear,disgust,happy,sad,angry,neutral",
    (0, "FER2013"): "angry,disgust,fear,happy,sad,surprise,neutral",
    (0, "by the alphabet"): "angry,disgust,fear,happy,neutral,sad,surprise",
    (0, "AffectNet"): "neutral,happy,sad,surprise,fear,disgust,angry,contempt",
}

_log = logging.getLogger(__name__)


@dataclass
class _Found:
    """The picture files of a folder with label and split, and the files that are passed over."""

    root: Path
    names: dict[str, str]  # the class that each numbered folder means
    class_names: tuple[str, ...]
    on_bad: OnBad | None
    pictures: list[tuple[Path, int, str]] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)


def read_folder(
    path: Path | str,
    *,
    names: Sequence[str] | None = None,
    class_names: Sequence[str] = EXPRESSIONS,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> FaceSet:
    """Read pictures that lie in a folder for each class: `path/train/happy/1.png`, or `path/happy/1.png`.

    Folders below `path` are splits (train or Training; valid, validation, val or PublicTest; test or PrivateTest) or
    classes, which are then train. A class is known by its name, in any case and usual spelling (happy, Happiness), and
    has its pictures at any depth. Pictures directly in a split's folder have no label. Pictures of any format, size
    and colour become 48x48 grey. Ids are paths below `path`, and the faces are sorted by them. Files that are no
    pictures, and pictures that are no crops of faces by their sizes, are logged.

    Parameters
    ----------
    path
        The folder.
    names
        The classes that folders with numbers mean, in the order of the numbers, which begin with 0 or 1.
    class_names
        The classes of the set.
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
    found = _Found(root, _name_numbers(root, names, on_bad), require_class_names(class_names), on_bad)
    for entry in list_entries(root):
        split = parse_split(entry.name)
        if is_dir(entry):
            if split is None:
                _find_in_class(found, entry, "train")
            else:
                _find_in_split(found, entry, split)
        elif is_picture(entry):
            message = f"{entry} must lie in the folder of a class or of a split, beside which it is"
            raise_or_report(DataError(message), on_bad)
        else:
            found.passed_over.append(entry)
    return _read(found, progress)


def read_flat(
    path: Path | str,
    *,
    class_names: Sequence[str] = EXPRESSIONS,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> FaceSet:
    """Read all pictures in a folder, at any depth, as faces without labels; their split is test.

    Ids, parameters and errors are those of `read_folder`.
    """
    found = _Found(Path(path), {}, require_class_names(class_names), on_bad)
    list_entries(found.root)
    _find_pictures(found, found.root, -1, "test")
    return _read(found, progress)


def write_folder(faces: FaceSet, path: Path | str, *, progress: Progress | None = None) -> None:
    """Write PNG files as `path/<split>/<class>/<name>.png`, those without a label as `path/<split>/<name>.png`.

    A name is the last part of the face's id. Votes have no place in a folder.

    Raises
    ------
    OutputError
        Where `path` cannot be written, or is there already and is no empty folder.
    """
    places = [
        PurePosixPath(split, faces.class_names[label]) if label >= 0 else PurePosixPath(split)
        for split, label in zip(faces.splits.tolist(), faces.labels.tolist(), strict=True)
    ]
    _write(faces, places, Path(path), progress)


def write_flat(faces: FaceSet, path: Path | str, *, progress: Progress | None = None) -> None:
    """Write PNG files as `path/<name>.png`. Labels, splits and votes have no place there.

    Names and errors are those of `write_folder`.
    """
    _write(faces, [PurePosixPath()] * len(faces), Path(path), progress)


def _name_numbers(root: Path, names: Sequence[str] | None, on_bad: OnBad | None) -> dict[str, str]:
    """Return the class that each numbered folder means. Refuse numbers without names, and names without numbers."""
    entries = list_entries(root)
    splits = [entry for entry in entries if is_dir(entry) and parse_split(entry.name)]
    classes = [*entries, *(inner for split in splits for inner in list_entries(split))]
    numbered = sorted({each.name for each in classes if _NUMBER.fullmatch(each.name) and is_dir(each)}, key=int)
    if names and not numbered:
        raise DataError(f"{root} has no folder whose name is a number, which --names could give a class")
    if not numbered:
        return {}
    first = min(int(numbered[0]), 1)
    if not names:
        count = int(numbered[-1]) - first + 1
        known = [f"{order} ({source})" for (start, source), order in _KNOWN_ORDERS.items() if start == first]
        fitting = [order for order in known if order.count(",") + 1 == count] or [f"angry,disgust,... ({count} names)"]
        raise_or_report(
            DataError(
                f"{root} has class folders with numbers, {numbered[0]} to {numbered[-1]}, which do not say what they "
                f"mean: give their names in this order, as in --names {' or --names '.join(fitting)}"
            ),
            on_bad,
        )
        return dict.fromkeys(numbered, "")
    return {number: names[int(number) - first] for number in numbered if int(number) - first < len(names)}


def _find_in_split(found: _Found, folder: Path, split: str) -> None:
    for entry in list_entries(folder):
        if is_dir(entry):
            _find_in_class(found, entry, split)
        elif is_picture(entry):
            found.pictures.append((entry, -1, split))
        else:
            found.passed_over.append(entry)


def _find_in_class(found: _Found, folder: Path, split: str) -> None:
    name = found.names.get(folder.name, folder.name)
    label = parse_class(name, found.class_names)
    if label is not None:
        _find_pictures(found, folder, label, split)
    elif name:  # nothing was said yet
        raise_or_report(DataError(_explain_unknown(folder, name, found.class_names)), found.on_bad)


def _explain_unknown(folder: Path, name: str, class_names: Sequence[str]) -> str:
    """Return the message for a folder that is neither a class nor a split; `name` is what it is called or means."""
    near = get_close_matches(name.lower(), [*class_names, *SPLIT_NAMES], n=1)
    inner = [entry.name for entry in list_entries(folder) if is_dir(entry)]
    hint = ""
    if near and not name.lower().endswith(near[0]):  # `unhappy` is no slip of the pen for `happy`
        hint = f"; did you mean {near[0]}?"
    elif any(parse_split(each) or parse_class(each, class_names) is not None for each in inner):
        hint = f"; to read what is in it, import {folder}"
    meaning = "" if name == folder.name else f", which means {name!r},"
    hint = hint or "; if it is a class of its own, list all classes by --classes"
    return (
        f"the folder {folder}{meaning} must be named after a class ({', '.join(class_names)}, or a usual spelling of "
        f"one) or a split ({', '.join(SPLITS)}){hint}"
    )


def _find_pictures(found: _Found, folder: Path, label: int, split: str) -> None:
    """Find the picture files below a folder, at any depth, through links too, but no folder twice."""

    def report(error: OSError) -> None:
        raise_or_report(DataError(f"cannot read the folder {error.filename}: {error.strerror}"), found.on_bad)

    for path in map(Path, walk_files(str(folder), on_locked=report)):
        if any(map(is_of_archive, path.relative_to(folder).parts[:-1])):
            continue
        if is_picture(path):
            found.pictures.append((path, label, split))
        else:
            found.passed_over.append(path)


def _read(found: _Found, progress: Progress | None) -> FaceSet:
    root = found.root
    if found.passed_over:
        names = ", ".join(str(path.relative_to(root)) for path in found.passed_over[:_NAMES_TOLD])
        more = f" and {len(found.passed_over) - _NAMES_TOLD} more" if len(found.passed_over) > _NAMES_TOLD else ""
        _log.warning("%s also holds files that are no pictures, which were passed over: %s%s", root, names, more)
    if not found.pictures:
        raise DataError(f"{root} holds no pictures; it must have a folder for each class, or pictures (--format flat)")
    named = sorted(
        (id_from_path(file.relative_to(root).as_posix()), file, label, split) for file, label, split in found.pictures
    )
    decoded = read_faces(len(named), lambda number: read_crop(named[number][1]), on_bad=found.on_bad, progress=progress)
    warn_of_photos([(named[number][0], size) for number, size in decoded.photos.items()], count=len(named))
    warn_of_black([named[number][0] for number in decoded.black], count=len(named))
    return FaceSet(
        images=decoded.images,
        labels=np.array([named[number][2] for number in decoded.numbers], np.int64),
        splits=np.array([named[number][3] for number in decoded.numbers], np.str_),
        ids=np.array([named[number][0] for number in decoded.numbers], np.str_),
        class_names=found.class_names,
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
