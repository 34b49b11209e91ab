"""Parquet tables of faces: read and written in the layout that Hugging Face's `datasets` gives image data sets."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.bad_rows import OnBad
from mien.data.decode import encode_png, read_face, read_faces
from mien.data.formats.parquet_schema import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    OTHER_COLUMNS,
    find_class_names,
    import_pyarrow,
    make_schema,
)
from mien.data.formats.paths import id_from_path, parse_split
from mien.errors import DataError, explain_read_errors
from mien.io.atomic_write import atomic_write
from mien.labels import EXPRESSIONS, SPLITS, VOTES, parse_expression
from mien.types import FaceSet, Progress, batches

_ROWS = 2048  # in a row group, and at a time
_HELD = 1 << 26  # bytes of rows at a time
# What a file may unpack to, in bytes: this, or so many times its own size.
_SMALL, _INFLATES = 1 << 28, 20


@dataclass(frozen=True)
class _Table:
    """An open file of pictures.

    `name` is what its rows' ids begin with, `image` and `label` are the names of those columns, `names` the classes
    that the numbers of the labels mean, and `split` that of the rows that do not tell theirs.
    """

    path: Path
    file: Any
    name: str
    image: str
    label: str | None
    names: tuple[str, ...] | None
    split: str


@dataclass(frozen=True)
class _Row:
    """One row, its picture not yet decoded."""

    content: bytes
    label: int
    split: str
    id: str
    votes: list[float] | None


def read_parquet(
    path: Path | str,
    *,
    names: Sequence[str] | None = None,
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
    files = sorted(root.rglob("*.parquet")) if root.is_dir() else [root]
    if not files:
        raise DataError(f"{root} holds no .parquet file")
    tables = [_open(file, root, names) for file in files]
    total = sum(table.file.metadata.num_rows for table in tables)
    parts: list[tuple[_Table, FaceSet]] = []
    done = 0
    for table in tables:
        for start, rows in _read_rows(table):
            parts.append((table, _decode(table, start, rows, on_bad)))
            done += len(rows)
            if progress:
                progress(done, total)
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
    schema = make_schema(arrow, voted=faces.votes is not None)
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


def _open(path: Path, root: Path, names: Sequence[str] | None) -> _Table:
    arrow, parquet = import_pyarrow()
    with _explain_errors(path):
        file = parquet.ParquetFile(path)
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
    return _Table(
        path=path,
        file=file,
        name=id_from_path(path.relative_to(folder).with_suffix("").as_posix()),
        image=image,
        label=label,
        names=tuple(names) if names else None,
        split=split or ("train" if label else "test"),
    )


def _read_rows(table: _Table) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield the rows of a file some at a time, each time with the number of the first."""
    wanted = [name for name in table.file.schema_arrow.names if name in {table.image, table.label, *OTHER_COLUMNS}]
    start, held = 0, 0
    rows: list[dict[str, Any]] = []
    with _explain_errors(table.path):
        for batch in table.file.iter_batches(batch_size=_rows_at_once(table, wanted), columns=wanted):
            rows += batch.to_pylist()
            held += batch.nbytes
            if len(rows) >= _ROWS or held >= _HELD:
                yield start, rows
                start, rows, held = start + len(rows), [], 0
        if rows:
            yield start, rows


def _rows_at_once(table: _Table, wanted: list[str]) -> int:
    """Return how many rows surely fit into memory. Raises DataError where a small file claims to unpack to a huge one.

    Where a column has a dictionary, each row may hold its largest value, of which only the column's size is known.
    """
    groups = [table.file.metadata.row_group(number) for number in range(table.file.metadata.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    columns = [column for column in columns if column.path_in_schema.split(".")[0] in wanted]
    limit = max(_SMALL, _INFLATES * table.path.stat().st_size)
    if sum(column.total_uncompressed_size for column in columns) > limit:
        raise DataError(f"must not unpack to more than {limit:,} bytes")
    largest = max((column.total_uncompressed_size for column in columns if column.has_dictionary_page), default=1)
    return min(_ROWS, max(1, _HELD // max(1, largest)))


def _decode(table: _Table, start: int, rows: list[dict[str, Any]], on_bad: OnBad | None) -> FaceSet:
    """Return the faces of the good rows among some."""
    parsed: dict[int, _Row] = {}

    def read(place: int) -> NDArray[np.uint8]:
        number = start + place
        try:
            parsed[place] = _parse_row(table, number, rows[place])
            return read_face(parsed[place].content)
        except DataError as error:
            raise DataError(f"{table.path} row {number}: {error}") from error

    images, kept = read_faces(len(rows), read, on_bad=on_bad)
    good = [parsed[place] for place in kept]
    voted = any(row.votes is not None for row in good)
    votes = np.array([row.votes or [0.0] * len(VOTES) for row in good], np.float32) if voted else None
    with _explain_errors(table.path):
        return FaceSet(
            images=images,
            labels=np.array([row.label for row in good], np.int64),
            splits=np.array([row.split for row in good], np.str_),
            ids=np.array([row.id for row in good], np.str_),
            votes=votes,
        )


def _parse_row(table: _Table, number: int, values: dict[str, Any]) -> _Row:
    """Check the values of a row. Raises DataError that says what is wrong with them."""
    image = values[table.image]
    content = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(content, bytes):
        raise DataError(f"{table.image} must hold the bytes of a picture file, got {type(content).__name__}")
    split: str | None = table.split
    if values.get("split") is not None:
        split = parse_split(str(values["split"]))
    if split is None:
        raise DataError(f"split must be {', '.join(SPLITS)}, got {values['split']!r}")
    votes = values.get("votes")
    if votes is not None and not _are_votes(votes):
        raise DataError(f"votes must be {len(VOTES)} numbers of 0 or more, got {votes}")
    name = values["id"] if values.get("id") is not None else f"{table.name}:{number}"
    label = -1 if table.label is None else _parse_label(table, values[table.label])
    return _Row(content, label, split, str(name), votes)


def _are_votes(value: Any) -> bool:
    counts = value if isinstance(value, list) else []
    return len(counts) == len(VOTES) and all(
        isinstance(count, int | float) and 0 <= count < math.inf for count in counts
    )


def _parse_label(table: _Table, value: Any) -> int:
    """Return the index in `EXPRESSIONS` that a label means, or -1. Raises DataError where it means none."""
    if value is None or value in ("", -1) or (isinstance(value, float) and math.isnan(value)):
        return -1
    name = str(value)
    if isinstance(value, int | float):
        if table.names is None or not math.isfinite(value) or value != int(value) or not 0 <= value < len(table.names):
            raise DataError(f"{table.label} must be -1 to {len(table.names or ()) - 1}, got {value!r}")
        name = table.names[int(value)]
    label = parse_expression(name)
    if label is None:
        raise DataError(f"{table.label} must be one of {', '.join(EXPRESSIONS)}, got {name!r}")
    return label


def _with_distinct_ids(parts: list[tuple[_Table, FaceSet]]) -> list[FaceSet]:
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
