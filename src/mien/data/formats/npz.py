"""Face sets as .npz files: archives of plain arrays, which numpy reads anywhere, the same to the byte each time.

The images are stored uncompressed: deflate makes FER2013's 85 MB a mere 7 percent smaller, takes 4 seconds to write
them and 1 to read them where 0.2 are enough. `save_faces` and `load_faces` also take Parquet.
"""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.formats.parquet import read_parquet, write_parquet
from mien.data.formats.parquet_schema import import_pyarrow
from mien.errors import DataError, OutputError, explain_read_errors
from mien.io.atomic_write import atomic_write, require_writable
from mien.types import FaceSet, Progress

_VERSION = 1
_ENTRIES = ("version", "images", "labels", "splits", "ids")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that an archive can give a file
_ZIP, _PARQUET = b"PK\x03\x04", b"PAR1"  # the first bytes of such files
# The errors of zipfile and numpy for wrong bits in a file; the header of an array is parsed as Python.
_DAMAGED = (ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# What a file may unpack to, in bytes: this, or so many times its own size. Pictures of faces deflate by a few percent.
_SMALL, _INFLATES = 1 << 28, 20


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
    bytes and, if there are votes, votes (N, 10) float32.

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
    arrays = read_arrays(path, what="file of faces", required=_ENTRIES, optional=("votes",))
    _require_version(arrays, path)
    try:
        splits, ids = (decode_texts(arrays[name]) for name in ("splits", "ids"))
        return FaceSet(arrays["images"], arrays["labels"], splits, ids, arrays.get("votes"))
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
    path: Path | str, *, what: str, required: Sequence[str] = (), optional: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read arrays by name from a file that `write_arrays` wrote; nothing else in it is unpacked.

    Raises DataError where the file cannot be read or lacks a required array; the message says that it is no `what`.
    """
    path = Path(path)
    if _read_start(path) != _ZIP:
        raise DataError(f"{path} is no {what}")
    try:
        with explain_read_errors(path), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [name for name in required if name not in archive.files]
            if missing:
                got = ", ".join(archive.files)
                raise DataError(f"{path} is no {what}: {', '.join(missing)} is missing, got {got}")
            names = [name for name in archive.files if name in (*required, *optional)]
            _require_sizes(archive.zip, names, path)
            return {name: archive[name] for name in names}
    except _DAMAGED as error:
        raise DataError(f"{path} is damaged, or no {what}: {error}") from error


def decode_texts(array: NDArray[Any]) -> NDArray[np.str_]:
    """Decode (N,) UTF-8 bytes, as numpy has no arrays of texts that other programs read. Raises ValueError."""
    if array.ndim != 1 or array.dtype.kind != "S":
        raise ValueError(f"texts must be (N,) bytes, got {array.shape} {array.dtype}")
    decoded: NDArray[np.str_] = np.char.decode(array, "utf-8")
    return decoded


def _require_sizes(archive: zipfile.ZipFile, names: Collection[str], path: Path) -> None:
    """Refuse arrays that a small file inflates to, or whose headers claim more than they hold, before they are read."""
    members = [member for member in archive.infolist() if member.filename.removesuffix(".npy") in names]
    limit = max(_SMALL, _INFLATES * path.stat().st_size)
    if sum(member.file_size for member in members) > limit:
        raise DataError(f"{path} must not unpack to more than {limit:,} bytes")
    for member in members:
        with archive.open(member) as file:
            read_header = _HEADERS.get(np.lib.format.read_magic(file))
            if read_header is None:
                raise ValueError(f"{member.filename} is no array of numpy")
            shape, _, dtype = read_header(file)
        if math.prod(shape) * dtype.itemsize > member.file_size:
            raise ValueError(f"{member.filename} claims to be {shape} {dtype}, and is shorter")


def _read_start(path: Path) -> bytes:
    with explain_read_errors(path), path.open("rb") as file:
        return file.read(4)


def _require_version(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    version = np.asarray(arrays["version"]).tolist()
    if version != _VERSION:
        raise DataError(f"{path} must be version {_VERSION} of the format, got {version}; update mien to read it")
