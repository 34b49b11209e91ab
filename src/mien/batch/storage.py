"""Files by their path or address: the local disk's by the standard library, all others' by fsspec.

An address is `scheme://...`, such as `s3://bucket/photos`. Which schemes there are depends on the packages of fsspec
that are installed.
"""

import io
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import glob as expand
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from mien.errors import DataError, ExtraError, OutputError, explain_write_errors, plain
from mien.io.atomic_write import atomic_write, exists, make_folder
from mien.io.source import walk_files

OnLocked = Callable[[str, DataError], None]  # called with a folder that does not tell what is in it, and why

_STAMPS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
_WHOLE_PUTS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")  # a file appears when all of it has come
_PART = ".part"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file's path, its size in bytes, and what changes with its content: its time or its tag."""

    path: str
    size: int
    stamp: str


class Storage(Protocol):
    """A place that holds files. Paths are as `list_files` gives them, or as the user does."""

    def list_files(self, folder: str, *, on_locked: OnLocked) -> Iterator[FileInfo]:
        """Find the files in a folder and its sub-folders, sorted; hidden ones are left out."""

    def info(self, path: str) -> FileInfo | None:
        """Return what is known of a file; None where it is a folder. Raises DataError where there is none."""

    def glob(self, pattern: str) -> list[str]:
        """Return what a pattern matches, sorted."""

    def open(self, path: str) -> BinaryIO:
        """Open a file to read, at any place of it. Raises DataError."""

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder; none where there is no such folder."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file whole or not at all, and the folders above it. Raises OutputError."""

    def remove(self, path: str) -> None:
        """Remove a file, unless it is gone. Raises OutputError."""


def is_address(path: str) -> bool:
    """Return whether a path is an address, `scheme://...`, rather than one of the local disk."""
    return "://" in path and not exists(path)


def storage_of(path: str, *, base: str = "") -> Storage:
    """Return the place that holds a path.

    base: the folder that relative paths of the local disk start from. Raises DataError for a scheme that fsspec does
    not know, ExtraError where fsspec is not installed.
    """
    return RemoteStorage(path) if is_address(path) else LocalStorage(base)


def join(folder: str, *names: str) -> str:
    """Return the path of a file in a folder, for paths and addresses."""
    if is_address(folder):
        return "/".join([folder.rstrip("/"), *names])
    return str(Path(folder, *names))


def reason(error: Exception) -> str:
    """Return why a file could not be read or written, in a line: storage raises whatever its library does."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(plain(said).split())


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn whatever reading raises within the block into DataError: the libraries behind fsspec share no base."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except Exception as error:
        raise DataError(f"{path} cannot be read: {reason(error)}") from error


@dataclass(frozen=True)
class LocalStorage:
    """The local disk; base: the folder that relative paths start from, "" for the current one."""

    base: str = ""

    def _place(self, path: str) -> str:
        return os.path.join(self.base, path)  # noqa: PTH118  # unlike Path, keeps the path as it was spelt

    def list_files(self, folder: str, *, on_locked: OnLocked) -> Iterator[FileInfo]:
        """Find the files in a folder and its sub-folders; see `Storage`."""

        def locked(error: OSError) -> None:
            name = str(error.filename)
            on_locked(name, DataError(f"{name} cannot be read: {error.strerror}"))

        for path in walk_files(self._place(folder), on_locked=locked):
            with suppress(FileNotFoundError):  # it is gone by now
                yield _local_info(path)

    def info(self, path: str) -> FileInfo | None:
        """Return what is known of a file; see `Storage`."""
        with explained(path):
            place = Path(self._place(path))
            return None if place.is_dir() else FileInfo(path, *_facts(place.stat()))

    def glob(self, pattern: str) -> list[str]:
        """Return what a pattern matches."""
        return sorted(expand(self._place(pattern), recursive=True))  # noqa: PTH207  # keeps the folder as it was spelt

    def open(self, path: str) -> BinaryIO:
        """Open a file to read."""
        with explained(path):
            return Path(self._place(path)).open("rb")

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        try:
            return os.listdir(self._place(folder))  # noqa: PTH208  # names are what is wanted
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise DataError(f"{folder} cannot be read: {reason(error)}") from error

    def write(self, path: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        place = Path(self._place(path))
        make_folder(place.parent)
        with atomic_write(place) as file:
            file.write(content)

    def remove(self, path: str) -> None:
        """Remove a file."""
        with explain_write_errors(path):
            Path(self._place(path)).unlink(missing_ok=True)


class RemoteStorage:
    """A place that fsspec reads and writes."""

    def __init__(self, address: str) -> None:
        try:
            import fsspec  # an extra, which only addresses need
        except ImportError as error:
            raise ExtraError(f"an address such as {address}", extra="ray") from error
        self._scheme = address.partition("://")[0]
        try:
            self._fs: Any = fsspec.url_to_fs(address)[0]
        except Exception as error:  # an unknown scheme, or a package that it needs
            raise DataError(f"{address} cannot be opened: {reason(error)}") from error

    def _place(self, path: str) -> str:
        return str(self._fs._strip_protocol(path))  # noqa: SLF001  # documented, for those who write file systems

    def _info(self, facts: dict[str, Any]) -> FileInfo:
        stamp = next((facts[name] for name in _STAMPS if facts.get(name) is not None), "")
        return FileInfo(str(self._fs.unstrip_protocol(facts["name"])), int(facts.get("size") or 0), str(stamp))

    def list_files(self, folder: str, *, on_locked: OnLocked) -> Iterator[FileInfo]:
        """Find the files in a folder and its sub-folders; see `Storage`."""
        root = self._place(folder)
        try:
            found = self._fs.find(root, detail=True)
        except Exception as error:  # noqa: BLE001  # see `explained`
            on_locked(folder, DataError(f"{folder} cannot be read: {reason(error)}"))
            return
        for path in sorted(found):
            if not any(part.startswith(".") for part in path.removeprefix(root).split("/")):
                yield self._info(found[path])

    def info(self, path: str) -> FileInfo | None:
        """Return what is known of a file; see `Storage`."""
        with explained(path):
            facts = self._fs.info(self._place(path))
            return None if facts["type"] == "directory" else self._info(facts)

    def glob(self, pattern: str) -> list[str]:
        """Return what a pattern matches."""
        with explained(pattern):
            return sorted(str(self._fs.unstrip_protocol(path)) for path in self._fs.glob(self._place(pattern)))

    def open(self, path: str) -> BinaryIO:
        """Open a file to read."""
        with explained(path):
            file: BinaryIO = self._fs.open(self._place(path), "rb")
            return file

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        self._fs.invalidate_cache()
        try:
            return [path.rstrip("/").rpartition("/")[2] for path in self._fs.ls(self._place(folder), detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:  # see `explained`
            raise DataError(f"{folder} cannot be read: {reason(error)}") from error

    def write(self, path: str, content: bytes) -> None:
        """Write a file whole or not at all: under a name of its own, then moved, unless a put is whole by itself."""
        place = self._place(path)
        folder, _, name = place.rpartition("/")
        part = place if self._scheme in _WHOLE_PUTS else f"{folder}/.{name}.{secrets.token_hex(4)}{_PART}"
        try:
            self._fs.makedirs(folder, exist_ok=True)
            self._fs.pipe_file(part, content)
            if part != place:
                self._fs.mv(part, place)
        except Exception as error:  # see `explained`
            raise OutputError(f"cannot write {path}: {reason(error)}") from error

    def remove(self, path: str) -> None:
        """Remove a file."""
        try:
            with suppress(FileNotFoundError):
                self._fs.rm_file(self._place(path))
        except Exception as error:  # see `explained`
            raise OutputError(f"cannot write {path}: {reason(error)}") from error


def remove_parts(storage: Storage, folder: str) -> None:
    """Remove what killed writers left in a folder. Nobody may be writing there. Raises OutputError."""
    for name in storage.names(folder):
        if name.endswith(_PART):
            storage.remove(join(folder, name))


def read_all(storage: Storage, path: str, *, most: int) -> io.BytesIO:
    """Read a whole file into memory; the returned file has its name. Raises DataError, also for more than `most`."""
    with explained(path), storage.open(path) as file:
        content = io.BytesIO(file.read(most + 1))
    if content.getbuffer().nbytes > most:
        raise DataError(f"{path} must have at most {most:,} bytes")
    content.name = path
    return content


def _facts(status: os.stat_result) -> tuple[int, str]:
    return status.st_size, str(status.st_mtime_ns)


def _local_info(path: str) -> FileInfo:
    return FileInfo(path, *_facts(Path(path).stat()))
