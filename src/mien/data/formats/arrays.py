"""Plain numpy arrays by name in one .npz archive that is written whole, and the same to the byte each time."""

import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.io.atomic_write import atomic_write

# What zipfile and numpy raise of files in which bits are wrong; the header of an array is parsed as Python.
_DAMAGED = (ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that an archive can say a file is of


def write_arrays(path: Path | str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name, none of them of Python objects, as they lie in memory. Raises OutputError."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            entry.create_system = 3  # whatever the system is
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def read_arrays(path: Path | str, *, what: str, only: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a file that `write_arrays` wrote, or those of them that are named.

    Raises DataError, which says that the file is no `what`.
    """
    try:
        with Path(path).open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise DataError(f"{path} is no {what}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files if only is None or name in only}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except _DAMAGED as error:
        raise DataError(f"{path} is damaged, or no {what}: {error}") from error
