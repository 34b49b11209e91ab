"""One file that holds a `FaceSet`: an .npz archive of plain arrays, which numpy reads anywhere, or Parquet.

The images lie in the archive as they are: deflate makes FER2013's 85 MB a mere 7 percent smaller, and takes 4 seconds
to write them and 1 to read them where 0.2 are enough.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.parquet import pyarrow_or_error, write_parquet
from mien.data.tables import read_parquet
from mien.errors import DataError, OutputError
from mien.files import written_whole
from mien.types import FaceSet

_VERSION = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that an archive can say a file is of


def require_faces_path(path: Path | str) -> None:
    """Raise OutputError or ExtraError where `save_faces` could not write, before hours went into what to write."""
    path = Path(path)
    if path.suffix.lower() not in (".npz", ".parquet"):
        raise OutputError(f"the file of faces must end in .npz or .parquet, got {path}")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    if path.suffix.lower() == ".parquet":
        pyarrow_or_error()


def save_faces(faces: FaceSet, path: Path | str) -> None:
    """Write faces to one file, whole or not at all; equal faces give equal bytes.

    An .npz file has the entries version (1), images (N, 48, 48) uint8, labels (N,) int64, splits and ids (N,) UTF-8
    bytes and, where there are votes, votes (N, 10) float32. A path that ends in .parquet is written by `write_parquet`.
    Raises OutputError.
    """
    require_faces_path(path)
    if Path(path).suffix.lower() == ".parquet":
        write_parquet(faces, path)
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
    with written_whole(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def load_faces(path: Path | str) -> FaceSet:
    """Read a file that `save_faces` wrote. Raises DataError where it is missing, damaged or something else."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1":
            return read_parquet(path)
        if start != b"PK\x03\x04":
            raise DataError(f"{path} is no file of faces; make one with: mien data import SOURCE -o faces.npz")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged, or no file of faces: {error}") from error
    return _checked(arrays, path)


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
