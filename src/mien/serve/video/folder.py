"""The private folder in which the clips of jobs lie: removed when the service ends, and after a crash by the next one.

A living service holds a lock in its folder. The system gives the lock up when the process ends, however it ends. So a
folder without a lock that is held belongs to nobody, whatever process has its number by now.

Whoever removes a folder takes its lock first. So a service that was stopped between making its folder and locking it,
as a sleeping computer does, finds the lock taken when it goes on, and makes another folder for the next clip.
"""

import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from mien.errors import OutputError

PREFIX = "mien-serve-"
_LOCK, _NEW = "lock", "lock.new"
_SECONDS_TO_LOCK = 60.0  # from when a folder is made to when its lock is in it, at the most

if sys.platform == "win32":

    def _hold(folder: Path) -> int:
        """Make the lock of a folder: an open file, which Windows lets nobody remove."""
        return os.open(folder / _LOCK, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)

    def _claim(folder: Path) -> int | None:
        try:
            (folder / _LOCK).unlink(missing_ok=True)
            return _hold(folder)
        except (PermissionError, FileExistsError):
            return None

else:
    import fcntl

    def _lock(path: Path, flags: int = 0) -> int:
        """Open a file and lock it. Raises BlockingIOError where another process holds it."""
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(file)
            raise
        return file

    def _hold(folder: Path) -> int:
        """Make the lock of a folder. It gets its name once it is locked, so that nobody meets it before."""
        lock = _lock(folder / _NEW, os.O_CREAT | os.O_EXCL)
        try:
            (folder / _NEW).rename(folder / _LOCK)
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _claim(folder: Path) -> int | None:
        """Take the lock of a folder, so that nobody else does; None where a service that lives holds it."""
        try:
            if not (folder / _LOCK).exists():
                new = _lock(folder / _NEW, os.O_CREAT)  # after that, no service can make the lock
                if not (folder / _LOCK).exists():
                    return new
                os.close(new)
            return _lock(folder / _LOCK)
        except BlockingIOError:
            return None


class JobFolder:
    """A folder that only this user may enter. It is made when the first file comes, and removed by `close`.

    Several threads may use it.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._lock = -1
        self._making = threading.Lock()
        self._closed = False

    def write(self, name: str, content: bytes) -> Path:
        """Write a new file that only this user may read, and return its path.

        Raises
        ------
        OutputError
            Where there is no folder for temporary files that can be written, or its disk is full.
        """
        try:
            path = self._made() / name
            try:
                with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:  # noqa: PTH123
                    file.write(content)
            except OSError:
                path.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise OutputError(
                f"the service cannot keep a clip: {error.strerror or error}; "
                "whoever runs it may set TMPDIR to a folder with room for clips"
            ) from error
        return path

    def _made(self) -> Path:
        with self._making:
            if self._closed:
                raise OutputError("the service ends")
            if self._path is not None and not self._path.exists():  # systems remove what is old from there
                os.close(self._lock)
                self._path = None
            if self._path is None:
                path = Path(tempfile.mkdtemp(prefix=PREFIX))
                self._lock = _hold(path)
                self._path = path
            return self._path

    def close(self) -> None:
        """Remove the folder with all that is in it. It takes no file after that."""
        with self._making:
            self._closed = True
            path, self._path = self._path, None
        if path is not None:
            _remove(path, self._lock)


def remove_abandoned() -> list[Path]:
    """Remove the folders that services of this user left when they were killed, and return them.

    The folder of a service that lives is left alone, and so is what looks like a folder of ours but is another user's.
    """
    removed = []
    with suppress(OSError):  # the folder for temporary files is missing, or does not tell what is in it
        for path in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
            with suppress(OSError):  # another service removes it at this moment
                if not _may_be_abandoned(path):
                    continue
                lock = _claim(path)
                if lock is not None:
                    _remove(path, lock)
                    removed.append(path)
    return removed


def _may_be_abandoned(path: Path) -> bool:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
        return False
    return (path / _LOCK).exists() or time.time() - status.st_mtime > _SECONDS_TO_LOCK


def _remove(path: Path, lock: int) -> None:
    """Remove a folder whose lock we hold, and give the lock up: before it on Windows, which removes no open file."""
    if sys.platform == "win32":
        os.close(lock)
        shutil.rmtree(path, ignore_errors=True)
    else:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
