"""Face sets as .npz files: archives of plain arrays, which numpy reads anywhere, the same to the byte each time.

The images are stored uncompressed: deflate makes FER2013's 85 MB a mere 7 percent smaller, takes 4 seconds to write
them and 1 to read them where 0.2 are enough. `save_faces` and `load_faces` also take Parquet.
"""

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.formats.claimed_size import require_plausible_size
from mien.data.formats.parquet import read_parquet, write_parquet
from mien.errors import DataError, OutputError, explain_read_errors
from mien.io.atomic_write import atomic_write, is_dir, is_stream, require_writable
from mien.io.parquet_rows import import_pyarrow
from mien.labels import EXPRESSIONS
from mien.types import FaceSet, Progress

_VERSION = 1
_ENTRIES = ("version", "images", "labels", "splits", "ids")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that an archive can give a file
_ZIP, _PARQUET = b"PK\x03\x04", b"PAR1"  # the first bytes of such files
# The errors of zipfile and numpy for wrong bits in a file; the header of an array is parsed as Python.
_DAMAGED = (
    *(ValueError, EOFError, RuntimeError, MemoryError, OverflowError, struct.error),
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, tokenize.TokenError),
)
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def require_faces_path(path: Path | str) -> None:
    """Raise OutputError or ExtraError where `save_faces` could not write, before hours go into the faces."""
    path = Path(path)
    if path.suffix.lower() not in (".npz", ".parquet"):
        raise OutputError(f"the file of faces must end in .npz or .parquet, got {path}")
    require_writable(path)
    if path.suffix.lower() == ".parquet":
        import_pyarrow()


def save_faces(
    faces: FaceSet, path: Path | str, *, history: Sequence[str] = (), progress: Progress | None = None
) -> None:
    """Write faces to one file, whole or not at all; equal faces give equal bytes.

    An .npz file has the entries version (1), images (N, 48, 48) uint8, labels (N,) int64, splits and ids (N,) UTF-8
    bytes and, if there are votes, votes (N, 10) float32. Classes other than FER2013's seven are the entry class_names
    (K,) UTF-8 bytes.

    Parameters
    ----------
    faces
        The faces.
    path
        A file that ends in .npz or .parquet; the latter is written by `write_parquet`.
    history
        How the faces came about, one text for each step. An .npz file keeps it, and `load_history` returns it.
    progress
        Called with the faces written and how many there are, for Parquet alone.

    Raises
    ------
    OutputError
        Where the file cannot be written.
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
    if faces.class_names != EXPRESSIONS:
        arrays["class_names"] = np.char.encode(np.array(faces.class_names), "utf-8")
    if history:
        arrays["history"] = np.char.encode(np.array(history), "utf-8")
    write_arrays(path, arrays)


def load_faces(path: Path | str, *, progress: Progress | None = None) -> FaceSet:
    """Read a file that `save_faces` wrote.

    Parameters
    ----------
    path
        The file, .npz or .parquet; its content says which.
    progress
        Called with the faces read and how many there are, for Parquet alone.

    Raises
    ------
    DataError
        Where the file is missing, damaged or something else.
    """
    path = Path(path)
    start = _read_start(path)
    if start == _PARQUET:
        return read_parquet(path, progress=progress)
    if start != _ZIP:
        raise DataError(f"{path} is no file of faces; make one with: mien data import SOURCE -o faces.npz")
    arrays = read_arrays(path, what="file of faces", required=_ENTRIES, optional=("votes", "class_names"))
    version = arrays["version"].tolist()
    if version != _VERSION:
        raise DataError(f"{path} must be version {_VERSION} of the format, got {version}; update mien to read it")
    try:
        splits, ids = (decode_texts(arrays[name]) for name in ("splits", "ids"))
        names = tuple(decode_texts(arrays["class_names"]).tolist()) if "class_names" in arrays else EXPRESSIONS
        return FaceSet(arrays["images"], arrays["labels"], splits, ids, arrays.get("votes"), names)
    except (DataError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no file of faces: {error}") from error


def load_history(path: Path | str) -> tuple[str, ...]:
    """Return how the faces of a file came about: the texts that `save_faces` was given, the oldest first.

    It is empty for Parquet, and for faces that were only imported. Raises DataError where the file cannot be read.
    """
    if _read_start(Path(path)) == _PARQUET:
        return ()
    lines = read_arrays(path, what="file of faces", optional=("history",)).get("history", np.zeros(0, np.bytes_))
    try:
        return tuple(decode_texts(lines).tolist())
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged: how its faces came about cannot be read") from error


def write_arrays(path: Path | str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name, none of them of Python objects, to one .npz file. Raises OutputError."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            entry.create_system = 3  # the same on every system
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def read_arrays(
    path: Path | str, *, what: str, required: Collection[str] = (), optional: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read arrays of a file that `write_arrays` wrote, by name. Others in it are never unpacked.

    Parameters
    ----------
    path
        The file.
    what
        The file's kind, for the error: the file is no `what`.
    required, optional
        The names of the arrays that must, and that may, be in the file.

    Raises
    ------
    DataError
        Where the file cannot be read, or would unpack to far more than its size.
    """
    path = Path(path)
    if _read_start(path) != _ZIP:
        raise DataError(f"{path} is no {what}")
    try:
        with explain_read_errors(path), path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            missing = [name for name in required if name not in members]
            if missing:
                there = ", ".join(list(members)[:12])
                raise DataError(f"{path} is no {what}: {', '.join(missing)} is missing, got {there}")
            wanted = [name for name in (*required, *optional) if name in members]
            require_plausible_size(path, sum(members[name].file_size for name in wanted))
            return {name: _read_array(archive, members[name]) for name in wanted}
    except _DAMAGED as error:
        raise DataError(f"{path} is damaged, or no {what}: {str(error)[:200]}") from error


def decode_texts(array: NDArray[Any]) -> NDArray[np.str_]:
    """Decode (N,) UTF-8 bytes, as numpy has no arrays of texts that other programs read. Raises ValueError."""
    if array.ndim != 1 or array.dtype.kind != "S":
        raise ValueError(f"texts must be (N,) bytes, got {array.shape} {array.dtype}")
    decoded: NDArray[np.str_] = np.char.decode(array, "utf-8")
    return decoded


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Read an array whose header claims no more bytes than its member has."""
    with archive.open(info) as member:
        parse = _HEADER_READERS.get(np.lib.format.read_magic(member))
        if parse is None:
            raise ValueError(f"{info.filename} is of an unknown version of numpy's format")
        shape, _, dtype = parse(member)
        if math.prod(shape) * max(dtype.itemsize, 1) > info.file_size:
            raise ValueError(f"{info.filename} claims to be {shape} and has {info.file_size:,} bytes")
    with archive.open(info) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _read_start(path: Path) -> bytes:
    if is_dir(path):
        raise DataError(f"{path} is a folder; make a file of faces of it with: mien data import {path} -o faces.npz")
    if is_stream(path):  # it could be read once only, and this is the first time
        raise DataError(f"cannot read {path}: it must be a file, not a pipe or a device")
    with explain_read_errors(path), path.open("rb") as file:
        return file.read(4)
