"""One file that holds a `FaceSet`: an .npz archive of plain arrays, which numpy reads anywhere, or Parquet.

The images lie in the archive as they are: deflate makes FER2013's 85 MB a mere 7 percent smaller, and takes 4 seconds
to write them and 1 to read them where 0.2 are enough.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.formats.arrays import read_arrays, write_arrays
from mien.data.formats.parquet import read_parquet
from mien.data.formats.parquet_writer import pyarrow_or_error, write_parquet
from mien.errors import DataError, OutputError
from mien.io.atomic_write import require_writable
from mien.types import FaceSet, Progress

_VERSION = 1


def require_faces_path(path: Path | str) -> None:
    """Raise OutputError or ExtraError where `save_faces` could not write, before hours went into what to write."""
    path = Path(path)
    if path.suffix.lower() not in (".npz", ".parquet"):
        raise OutputError(f"the file of faces must end in .npz or .parquet, got {path}")
    require_writable(path)
    if path.suffix.lower() == ".parquet":
        pyarrow_or_error()


def save_faces(
    faces: FaceSet, path: Path | str, *, history: Sequence[str] = (), progress: Progress | None = None
) -> None:
    """Write faces to one file, whole or not at all; equal faces give equal bytes.

    An .npz file has the entries version (1), images (N, 48, 48) uint8, labels (N,) int64, splits and ids (N,) UTF-8
    bytes and, where there are votes, votes (N, 10) float32. A path that ends in .parquet is written by `write_parquet`.
    history: how the faces came about, a line each, which an .npz file keeps beside them; see `load_history`.
    progress: only Parquet takes long enough to be followed. Raises OutputError.
    """
    require_faces_path(path)
    if Path(path).suffix.lower() == ".parquet":
        write_parquet(faces, path, progress=progress)
        return
    arrays: dict[str, NDArray[Any]] = {
        "version": np.array(_VERSION, np.int64),
        "images": faces.images,
        "labels": faces.labels,
        "splits": np.char.encode(faces.splits, "utf-8"),
        "ids": np.char.encode(faces.ids, "utf-8"),
    }
    if faces.votes is not None:
        arrays["votes"] = faces.votes
    if history:
        arrays["history"] = np.char.encode(np.array(history), "utf-8")
    write_arrays(path, arrays)


def load_faces(path: Path | str, *, progress: Progress | None = None) -> FaceSet:
    """Read a file that `save_faces` wrote. Raises DataError where it is missing, damaged or something else.

    progress: only Parquet takes long enough to be followed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1":
            return read_parquet(path, progress=progress)
        if start != b"PK\x03\x04":
            raise DataError(f"{path} is no file of faces; make one with: mien data import SOURCE -o faces.npz")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return _checked(read_arrays(path, what="file of faces"), path)


def load_history(path: Path | str) -> tuple[str, ...]:
    """How the faces of a file came about, as `save_faces` was told: lines of JSON, the oldest first; mostly none.

    Raises DataError where the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            if file.read(4) == b"PAR1":
                return ()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    lines = read_arrays(path, what="file of faces", only=("history",)).get("history", np.zeros(0, np.bytes_))
    try:
        return tuple(np.char.decode(lines, "utf-8").tolist())
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged: how its faces came about cannot be read") from error


def _checked(arrays: dict[str, NDArray[Any]], path: Path) -> FaceSet:
    missing = [name for name in ("version", "images", "labels", "splits", "ids") if name not in arrays]
    if missing:
        raise DataError(f"{path} is no file of faces: {', '.join(missing)} is missing, got {', '.join(arrays)}")
    version = np.asarray(arrays["version"]).tolist()
    if version != _VERSION:
        raise DataError(f"{path} must be version {_VERSION} of the format, got {version}; update mien to read it")
    try:
        splits, ids = (np.char.decode(arrays[name], "utf-8") for name in ("splits", "ids"))
        return FaceSet(arrays["images"], arrays["labels"], splits, ids, arrays.get("votes"))
    except (DataError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no file of faces: {error}") from error
