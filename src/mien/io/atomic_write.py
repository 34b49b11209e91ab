"""Files are written whole or not at all: to a neighbour named `.part`, synced, then renamed."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mien.errors import OutputError


def exists(path: Path | str) -> bool:
    """Whether there is such a file, folder or device; False where a locked folder or a long name keeps it from telling,
    where `Path.exists` raises, as the next two do."""
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: Path | str) -> bool:
    """Whether there is such a file."""
    return os.path.isfile(path)  # noqa: PTH113


def is_dir(path: Path | str) -> bool:
    """Whether there is such a folder."""
    return os.path.isdir(path)  # noqa: PTH112


def require_writable(*paths: Path | None, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse, before a minute goes into it, files that could not be written, or would replace one of those in `inputs`.

    None is no file. Raises OutputError.
    """
    read = [path for path in inputs if path is not None and exists(path)]
    for path in paths:
        if path is None:
            continue
        as_it_is = _takes_what_comes(path)
        target = path if as_it_is else resolve_link(path)
        if not is_dir(target.parent):
            raise OutputError(f"cannot write {path}: there is no folder {target.parent}")
        if is_dir(path):
            raise OutputError(f"cannot write {path}: it is a folder")
        if not os.access(path if as_it_is else target.parent, os.W_OK):
            raise OutputError(
                f"cannot write {path}: {'Permission denied' if as_it_is else 'the folder takes no new file'}"
            )
        if exists(path) and any(path.samefile(other) for other in read):
            raise OutputError(f"cannot write {path}: it is what is read; choose another file")


@contextmanager
def atomic_write(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file to write; `path` appears, or is replaced, only once the block has ended without an error.

    A link stays, and what it leads to is replaced. What is no file to replace, such as a pipe or `/dev/stdout`, is
    written to as it is. Raises OutputError where the folder does not exist, cannot be written or is full.
    """
    path = Path(path)
    if is_dir(path):
        raise OutputError(f"cannot write {path}: it is a folder")
    try:
        if _takes_what_comes(path):
            with path.open("ab") as file:
                yield file
            return
        target = resolve_link(path)
        part = target.with_name(target.name + ".part")
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except BaseException:
            with suppress(OSError):  # where the folder is none, there is nothing to remove
                part.unlink()
            raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def resolve_link(path: Path | str) -> Path:
    """Where a file is that is to be replaced: what a link leads to, or else the path as it is."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)  # noqa: PTH114  # is_symlink may raise


def _takes_what_comes(path: Path) -> bool:
    """Whether it is a pipe, a device, or a name that the system has for an open file."""
    names_open_files = path.parent in (Path("/dev"), Path("/dev/fd")) or path.is_relative_to("/proc")
    return exists(path) and (not is_file(path) or names_open_files)


def truncate_utf8(name: str, count: int) -> str:
    """The beginning of a file's name, in at most so many bytes: systems take 255, with suffixes."""
    return name.encode("utf-8", "replace")[:count].decode("utf-8", "ignore")


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all. Raises OutputError."""
    with atomic_write(path) as file:
        file.write(text.encode())
