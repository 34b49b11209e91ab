"""Writes faces back in the forms that they came in, whole or not at all."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mien.data.decode import png_of
from mien.data.formats.fer2013_csv import USAGES
from mien.data.formats.parquet_writer import write_parquet
from mien.errors import OutputError
from mien.io.atomic_write import atomic_write, resolve_link, truncate_utf8
from mien.io.image_format import PICTURE_SUFFIXES
from mien.labels import EXPRESSIONS
from mien.types import FaceSet, Progress

_AT_ONCE = 256  # faces between two calls of `progress`
_USAGE_OF_SPLIT = {split: usage for usage, split in USAGES.items()}
_NUMBERS = [str(value).encode() for value in range(256)]


def write_fer2013(faces: FaceSet, path: Path | str, *, progress: Progress | None = None) -> None:
    """Write Kaggle's `fer2013.csv`: emotion (empty where it is unknown), pixels, Usage.

    There is no place for ids and votes. Raises OutputError.
    """
    with atomic_write(path) as file:
        file.write(b"emotion,pixels,Usage\n")
        for number, image in enumerate(faces.images):
            label, usage = faces.labels[number], _USAGE_OF_SPLIT[str(faces.splits[number])]
            pixels = b" ".join(map(_NUMBERS.__getitem__, image.tobytes()))
            file.write(b"%s,%s,%s\n" % (b"" if label < 0 else b"%d" % label, pixels, usage.encode()))
            _report(progress, number, len(faces))


def write_folder(faces: FaceSet, path: Path | str, *, progress: Progress | None = None) -> None:
    """Write PNG files as `path/<split>/<class>/<name>.png`, those without a label as `path/<split>/<name>.png`.

    The names are the last parts of the ids. There is no place for votes. Raises OutputError, also where `path` is
    there already and is no empty folder.
    """
    places = [
        PurePosixPath(split, EXPRESSIONS[label]) if label >= 0 else PurePosixPath(split)
        for split, label in zip(faces.splits.tolist(), faces.labels.tolist(), strict=True)
    ]
    _write_pictures(faces, places, Path(path), progress)


def write_flat(faces: FaceSet, path: Path | str, *, progress: Progress | None = None) -> None:
    """Write PNG files as `path/<name>.png`. There is no place for labels, splits and votes.

    Names and errors are as for `write_folder`.
    """
    _write_pictures(faces, [PurePosixPath()] * len(faces), Path(path), progress)


WRITERS: dict[str, Callable[..., None]] = {
    "fer2013": write_fer2013,
    "folder": write_folder,
    "flat": write_flat,
    "parquet": write_parquet,
}
# What each form has no place for.
LOST: dict[str, tuple[str, ...]] = {
    "fer2013": ("ids", "votes"),
    "folder": ("votes",),
    "flat": ("labels", "splits", "votes"),
    "parquet": (),
}


def _write_pictures(faces: FaceSet, places: list[PurePosixPath], path: Path, progress: Progress | None) -> None:
    with _folder_written_whole(path) as part:
        for place in set(places):
            (part / place).mkdir(parents=True, exist_ok=True)
        for number, file in enumerate(_files(places, faces.ids.tolist())):
            (part / file).write_bytes(png_of(faces.images[number]))
            _report(progress, number, len(faces))


def _report(progress: Progress | None, number: int, count: int) -> None:
    if progress and ((number + 1) % _AT_ONCE == 0 or number + 1 == count):
        progress(number + 1, count)


def _files(places: list[PurePosixPath], ids: list[str]) -> Iterator[PurePosixPath]:
    """Where each face goes. A name that is taken (on some systems `A.png` is `a.png`) gets the face's number."""
    taken: set[str] = set()
    for number, (place, name) in enumerate(zip(places, ids, strict=True)):
        last = PurePosixPath(name)
        known = last.suffix.lower() in PICTURE_SUFFIXES  # another dot is part of the name
        stem = truncate_utf8(re.sub(r"[^\w-]+", "_", last.stem if known else last.name), 100) or "face"
        file = place / f"{stem}.png"
        while str(file).casefold() in taken:
            stem += f"-{number}"
            file = place / f"{stem}.png"
        taken.add(str(file).casefold())
        yield file


@contextmanager
def _folder_written_whole(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` once the block has ended without an error, and is removed otherwise."""
    if not path.name:
        raise OutputError(f"cannot write {path}: give the folder by its name")
    path = resolve_link(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise OutputError(f"{path} must be a new or an empty folder; choose another, or remove it first")
        part.mkdir()
        yield part
        if path.exists():
            try:
                path.rmdir()
            except OSError:  # such as where another disk is put
                if any(path.iterdir()):
                    raise
                for child in sorted(part.iterdir()):
                    shutil.move(child, path / child.name)
                return
        part.rename(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
