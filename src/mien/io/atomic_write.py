"""Files that are written whole or not at all: first under a name of their own in the same folder, then renamed."""

import logging
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mien.errors import OutputError, explain_write_errors

_log = logging.getLogger(__name__)

_LONGEST = 220  # bytes of a target's name that the name of its part begins with: systems take 255

# Tables, pages, face sets and models in an input folder are results of earlier commands, which may be replaced.
_NEVER_READ_FROM_FOLDERS = (".csv", ".jsonl", ".html", ".npz", ".onnx")


def exists(path: Path | str) -> bool:
    """Return whether there is such a file, folder or device; False where a locked folder hides it.

    `Path.exists`, `Path.is_file` and `Path.is_dir` raise PermissionError there, and for names that are too long.
    """
    return os.path.exists(path)  # noqa: PTH110


def is_file(path: Path | str) -> bool:
    """Return whether there is such a file; False where a locked folder hides it."""
    return os.path.isfile(path)  # noqa: PTH113


def is_dir(path: Path | str) -> bool:
    """Return whether there is such a folder; False where a locked folder hides it."""
    return os.path.isdir(path)  # noqa: PTH112


def require_writable(*paths: Path | None, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse outputs that cannot be written or would replace an input, before the work begins.

    Parameters
    ----------
    paths
        The outputs. None stands for an output that nobody asked for.
    inputs
        The files that are read. Of a folder, each file in it counts.

    Raises
    ------
    OutputError
        Where an output's folder is missing or takes no new file, where an output is a folder, an input, or another
        output.
    """
    outputs = [Path(path) for path in paths if path is not None]
    for path in outputs:
        _require_place(path)
        _tell_parts(path)
    _require_distinct(outputs)
    read = [Path(path) for path in inputs if path is not None and exists(path)]
    for path in outputs:
        if exists(path) and not is_stream(path) and any(_is_or_holds(other, path) for other in read):
            raise OutputError(f"cannot write {path}: it is an input; choose another file")


def require_suffix(path: Path | str, suffixes: Sequence[str], what: str) -> None:
    """Refuse an output whose name ends in no known suffix. Raises OutputError."""
    if Path(path).suffix.lower() not in suffixes:
        raise OutputError(f"{what}'s name must end in {' or '.join(filter(None, suffixes))}, got {path}")


def require_folder(path: Path) -> None:
    """Refuse a folder that cannot be made or takes no new file, before the work begins. Raises OutputError."""
    there = path
    while not exists(there) and there != there.parent:
        there = there.parent
    if not is_dir(there):
        raise OutputError(f"cannot make the folder {path}: {there} is a file")
    if not os.access(there, os.W_OK):
        raise OutputError(f"cannot write into the folder {there}: Permission denied")


@contextmanager
def atomic_write(path: Path | str) -> Iterator[BinaryIO]:
    """Open a binary file to write; `path` appears, or is replaced, when the block ends without an error.

    A link stays, and the file behind it is replaced and keeps its mode. A pipe, a device and `/dev/stdout` are written
    to as they are.

    Raises
    ------
    OutputError
        Where the folder does not exist, cannot be written or is full.
    """
    path = Path(path)
    with explain_write_errors(path):
        if is_stream(path):
            with path.open("ab") as file:
                yield file
            return
        with _part_of(path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Make an empty file to open by its name; it becomes `path` when the block ends without an error.

    The file lies in the same folder under a name of its own; what is for a pipe or a device is copied to it in the end.
    Raises OutputError as `atomic_write` does.
    """
    path = Path(path)
    with explain_write_errors(path):
        if not is_stream(path):
            with _part_of(path) as file:
                file.close()
                yield Path(file.name)
            return
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder, path.name)
            part.touch()
            yield part
            with part.open("rb") as file, path.open("ab") as stream:
                shutil.copyfileobj(file, stream)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Make a folder to fill; it becomes `path` when the block ends without an error, and is removed otherwise.

    Raises
    ------
    OutputError
        Where `path` is a file or a folder with something in it, or cannot be written.
    """
    path = Path(path)
    if not path.name:
        raise OutputError(f"cannot write {path}: give the folder by its name")
    _tell_parts(path)
    target = resolve_link(path)
    part = _part_name(target)
    try:
        with explain_write_errors(path):
            if target.exists() and not (target.is_dir() and not any(target.iterdir())):
                raise OutputError(f"{path} must be a new or an empty folder; choose another, or remove it first")
            part.mkdir()
            yield part
            _move_folder(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}") from error


def create_part(target: Path, *, suffix: str = "", buffering: int = -1) -> BinaryIO:
    """Create the file in which `target` grows: in the same folder, under a random name, never through a link.

    suffix: stands before the `.part` at the name's end. The file has the target's mode, or else a new file's.
    """
    with suppress(FileNotFoundError):
        target.lstat()  # a name that is too long must fail before the work
    while True:
        try:
            file = _part_name(target, suffix).open("xb", buffering)
        except FileExistsError:  # the random name is taken: draw another
            continue
        try:
            with suppress(OSError):  # there is no target yet, or the system has no modes
                Path(file.name).chmod(stat.S_IMODE(target.stat().st_mode))
        except BaseException:  # an interrupt
            file.close()
            Path(file.name).unlink()
            raise
        return file


def find_parts(path: Path | str) -> list[Path]:
    """Return the parts of a file or folder that lie beside it: those of writers that were killed, or still write."""
    target = resolve_link(path)
    name = re.compile(re.escape(truncate_utf8(target.name, _LONGEST)) + r"\.[0-9a-f]{8}(\.\w+)?\.part")
    with suppress(OSError):
        return sorted(each for each in target.parent.iterdir() if name.fullmatch(each.name))
    return []


def _tell_parts(path: Path) -> None:
    for part in find_parts(path):
        _log.warning("%s is of a command that was stopped, or that still runs", part)


def resolve_link(path: Path | str) -> Path:
    """Return the file that is to be replaced: the one behind a link, or else the path itself."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)  # noqa: PTH114  # is_symlink may raise


def is_stream(path: Path | str) -> bool:
    """Return whether an output is a pipe, a device or the system's name for an open file: written to, not replaced."""
    path = Path(path)
    names_open_files = path.parent in (Path("/dev"), Path("/dev/fd")) or path.is_relative_to("/proc")
    return exists(path) and not is_dir(path) and (not is_file(path) or names_open_files)


def truncate_utf8(name: str, count: int) -> str:
    """Return the beginning of a file's name that fits into `count` bytes."""
    return name.encode("utf-8", "replace")[:count].decode("utf-8", "ignore")


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all. Raises OutputError."""
    with atomic_write(path) as file:
        file.write(text.encode())


@contextmanager
def _part_of(path: Path) -> Iterator[BinaryIO]:
    """Open a part; it replaces `path` when the block ends without an error, and is removed otherwise."""
    if is_dir(path):
        raise OutputError(f"cannot write {path}: it is a folder")
    target = resolve_link(path)
    file = create_part(target)
    part = Path(file.name)
    try:
        with file:
            yield file
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _part_name(target: Path, suffix: str = "") -> Path:
    return target.with_name(f"{truncate_utf8(target.name, _LONGEST)}.{secrets.token_hex(4)}{suffix}.part")


def _move_folder(part: Path, target: Path) -> None:
    """Put a finished folder in its place, which is free or an empty folder."""
    if target.exists():
        try:
            target.rmdir()
        except OSError:  # another disk may be mounted there
            if any(target.iterdir()):
                raise
            for child in sorted(part.iterdir()):
                shutil.move(child, target / child.name)
            return
    part.rename(target)


def _require_place(path: Path) -> None:
    target = path if is_stream(path) else resolve_link(path)
    if not is_dir(target.parent):
        raise OutputError(f"cannot write {path}: there is no folder {target.parent}")
    if is_dir(path):
        raise OutputError(f"cannot write {path}: it is a folder")
    if is_stream(path) and not os.access(path, os.W_OK):
        raise OutputError(f"cannot write {path}: Permission denied")
    if not is_stream(path) and not os.access(target.parent, os.W_OK):
        raise OutputError(f"cannot write {path}: the folder takes no new file")


def _require_distinct(outputs: list[Path]) -> None:
    places = [Path(os.path.realpath(path)) for path in outputs if not is_stream(path)]
    for path in places:
        if places.count(path) > 1:
            raise OutputError(f"cannot write {path}: two outputs have this name; give each its own")


def _is_or_holds(read: Path, output: Path) -> bool:
    """Return whether an input is the same file as an output, or a folder with a file in it that is."""
    if not is_dir(read):
        return read.samefile(output)
    if output.suffix.lower() in _NEVER_READ_FROM_FOLDERS:
        return False
    there = output.stat()
    for place, _, names in os.walk(read):
        for name in names:
            with suppress(OSError):
                if os.path.samestat(Path(place, name).stat(), there):
                    return True
    return False
