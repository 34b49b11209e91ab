"""Files are written whole or not at all: to a neighbour named `.part`, synced, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mien.errors import OutputError


@contextmanager
def written_whole(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file to write; `path` appears, or is replaced, only once the block has ended without an error.

    Raises OutputError where the folder does not exist, cannot be written or is full.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):  # where the folder is none, there is nothing to remove
            part.unlink()
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all. Raises OutputError."""
    with written_whole(path) as file:
        file.write(text.encode())
