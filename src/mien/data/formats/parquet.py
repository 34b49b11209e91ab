"""Parquet tables of faces: read and written in the layout that Hugging Face's `datasets` gives image data sets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.bad_rows import OnBad
from mien.data.decode import encode_png, read_crop, read_faces, warn_of_photos
from mien.data.formats.parquet_rows import ParquetRow, ParquetTable, parse_row, parse_texts
from mien.data.formats.parquet_schema import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    OTHER_COLUMNS,
    find_class_names,
    find_own_classes,
    make_schema,
    open_parquet,
)
from mien.data.formats.paths import id_from_path, parse_split
from mien.errors import DataError, explain_read_errors
from mien.io.atomic_write import atomic_write
from mien.io.parquet_rows import import_pyarrow
from mien.io.source import walk_files
from mien.labels import EXPRESSIONS, VOTES
from mien.types import FaceSet, Progress, batches, require_class_names

_ROWS = 2048  # in a row group, and at a time


def read_parquet(
    path: Path | str,
    *,
    names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> FaceSet:
    """Read a Parquet file of pictures, or a folder of such files, in the layout of Hugging Face's image data sets.

    Labels go by name: the names stand in the file, or the labels are text, or `names` gives them. Null and -1 are
    unknown labels. The split is that of a column `split`, or of the name of the file
    (`train-00000-of-00001.parquet`) or its folder; else it is train if there is a column of labels, and test if there
    is none. Ids are those of a column `id`, as `<file>:<id>` if several files use the same ones, or `<file>:<row>`. If
    some rows have votes, the others get votes of 0. Pictures become 48x48 grey, as from a folder.

    Parameters
    ----------
    path
        The file or the folder.
    names
        The class that each of the labels 0, 1, 2... means.
    class_names
        The classes of the set. The default is the seven of FER2013, or those of a set that mien wrote.
    on_bad
        Called with the error of each bad row, which tells its number from 0; the row is left out. Without it the first
        error is raised.
    progress
        Called with the rows read and how many there are.

    Raises
    ------
    DataError
        Where a file cannot be read or lacks a column, or where there is no face.
    ExtraError
        Where pyarrow is not installed.
    """
    root = Path(path)
    files = _find_files(root) if root.is_dir() else [root]
    if not files:
        raise DataError(f"{root} holds no .parquet file")
    tables = [_open(file, root, names, class_names) for file in files]
    total = sum(table.file.metadata.num_rows for table in tables)
    parts: list[tuple[ParquetTable, FaceSet]] = []
    photos: list[tuple[str, tuple[int, int]]] = []
    done = 0
    for table in tables:
        for start, batch in _read_batches(table):
            faces, photos_here = _decode(table, start, batch, on_bad)
            parts.append((table, faces))
            photos += photos_here
            done += batch.num_rows
            if progress:
                progress(done, total)
    warn_of_photos(photos, count=done)
    if not any(len(part) for _, part in parts):
        raise DataError(f"{root} holds no faces: there is no row that can be read")
    with _explain_errors(root):
        return FaceSet.concatenate(_with_distinct_ids(parts))


def write_parquet(faces: FaceSet, path: Path | str, *, progress: Progress | None = None) -> None:
    """Write faces as Parquet that `datasets.load_dataset("parquet", data_files=...)` reads, whole or not at all.

    The columns are image (PNG), label (-1 where it is unknown), split, id and, if there are votes, votes (10 numbers in
    the order of `VOTES`). Raises OutputError, and ExtraError where pyarrow is not installed.
    """
    arrow, parquet = import_pyarrow()
    schema = make_schema(arrow, faces.class_names, voted=faces.votes is not None)
    with atomic_write(path) as file, parquet.ParquetWriter(file, schema) as writer:
        for rows in batches(len(faces), _ROWS):
            writer.write_table(arrow.table(_make_columns(arrow, faces[rows]), schema=schema))
            if progress:
                progress(rows.stop, len(faces))


@contextmanager
def _explain_errors(path: Path) -> Iterator[None]:
    """Turn the errors of pyarrow and `FaceSet` into DataErrors that name the file."""
    arrow, _ = import_pyarrow()
    try:
        with explain_read_errors(path):
            yield
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must hold text in UTF-8: {error}") from error
    except arrow.ArrowException as error:
        raise DataError(f"{path} must be a Parquet file, and whole: {error}") from error


def _open(path: Path, root: Path, names: Sequence[str] | None, class_names: Sequence[str] | None) -> ParquetTable:
    arrow, _ = import_pyarrow()
    with _explain_errors(path):
        file = open_parquet(path)
    schema = file.schema_arrow
    image, label = (
        next((name for name in each if name in schema.names), None) for each in (IMAGE_COLUMNS, LABEL_COLUMNS)
    )
    if image is None:
        raise DataError(f"{path} must have a column image, of pictures; got {', '.join(schema.names)}")
    if label and not names:
        names = find_class_names(schema, label)
        kind = schema.field(label).type
        if not names and (arrow.types.is_integer(kind) or arrow.types.is_floating(kind)):
            raise DataError(
                f"{path}: {label} is a number, and nothing in the file says what it means; give the names of "
                "0, 1, 2... in this order, as in --names angry,disgust,..."
            )
    folder = root if root.is_dir() else root.parent
    split = parse_split(path.stem.split("-")[0]) or parse_split(path.parent.name)
    return ParquetTable(
        path=path,
        file=file,
        name=id_from_path(path.relative_to(folder).with_suffix("").as_posix()),
        image=image,
        label=label,
        names=tuple(names) if names else None,
        split=split or ("train" if label else "test"),
        class_names=require_class_names(class_names or find_own_classes(schema) or EXPRESSIONS),
    )


def _find_files(folder: Path) -> list[Path]:
    """Return the Parquet files in a folder and its sub-folders, sorted. Raises DataError where one cannot be read."""

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    return sorted(path for path in map(Path, walk_files(str(folder), on_locked=refuse)) if path.suffix == ".parquet")


def _read_batches(table: ParquetTable) -> Iterator[tuple[int, Any]]:
    """Yield the rows of a file some at a time, each time with the number of the first."""
    wanted = [name for name in table.file.schema_arrow.names if name in {table.image, table.label, *OTHER_COLUMNS}]
    start = 0
    with _explain_errors(table.path):
        for batch in table.file.iter_batches(batch_size=_ROWS, columns=wanted):
            yield start, batch
            start += batch.num_rows


def _decode(
    table: ParquetTable, start: int, batch: Any, on_bad: OnBad | None
) -> tuple[FaceSet, list[tuple[str, tuple[int, int]]]]:
    """Return the faces of the good rows of a batch, and the names and sizes of pictures that look like photos."""
    with _explain_errors(table.path):
        rows = parse_texts(table, batch)
        images = batch.column(table.image)
        if import_pyarrow()[0].types.is_struct(images.type):
            images = images.field("bytes") if images.type.get_field_index("bytes") >= 0 else [None] * len(rows)
    parsed: dict[int, ParquetRow] = {}

    def read(place: int) -> NDArray[np.uint8]:
        number = start + place
        try:
            with _explain_errors(table.path):
                content = None if images[place] is None else images[place].as_py()
            parsed[place] = parse_row(table, number, rows[place])
            return read_crop(_require_bytes(table, content))
        except DataError as error:
            raise DataError(f"{table.path} row {number}: {error}") from error

    decoded = read_faces(len(rows), read, on_bad=on_bad)
    good = [parsed[place] for place in decoded.numbers]
    photos = [(f"row {start + place} of {table.path}", size) for place, size in decoded.photos.items()]
    voted = any(row.votes is not None for row in good)
    votes = np.array([row.votes or [0.0] * len(VOTES) for row in good], np.float32) if voted else None
    with _explain_errors(table.path):
        faces = FaceSet(
            images=decoded.images,
            labels=np.array([row.label for row in good], np.int64),
            splits=np.array([row.split for row in good], np.str_),
            ids=np.array([row.id for row in good], np.str_),
            votes=votes,
            class_names=table.class_names,
        )
    return faces, photos


def _require_bytes(table: ParquetTable, content: object) -> bytes:
    if not isinstance(content, bytes):
        raise DataError(f"{table.image} must hold the bytes of a picture file, got {type(content).__name__}")
    return content


def _with_distinct_ids(parts: list[tuple[ParquetTable, FaceSet]]) -> list[FaceSet]:
    """Return the faces of all files; if files use the same ids, with the name of the file before each id."""
    used: dict[str, Path] = {}
    if all(used.setdefault(name, table.path) == table.path for table, part in parts for name in part.ids.tolist()):
        return [part for _, part in parts]
    return [
        replace(
            part, ids=np.array([f"{table.name}:{name.removeprefix(f'{table.name}:')}" for name in part.ids.tolist()])
        )
        for table, part in parts
        if len(part)
    ]


def _make_columns(arrow: Any, faces: FaceSet) -> dict[str, Any]:
    columns = {
        "image": [{"bytes": encode_png(image), "path": None} for image in faces.images],
        "label": faces.labels,
        "split": faces.splits.tolist(),
        "id": faces.ids.tolist(),
    }
    if faces.votes is not None:
        columns["votes"] = arrow.FixedSizeListArray.from_arrays(faces.votes.ravel(), len(VOTES))
    return columns
