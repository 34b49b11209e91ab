"""Reads faces from Parquet tables in the layout that Hugging Face's `datasets` gives image data sets."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.bad_rows import OnBad
from mien.data.decode import face_of, faces_of
from mien.data.formats.image_folder import spelled, split_of_folder
from mien.data.formats.parquet_writer import pyarrow_or_error
from mien.errors import DataError
from mien.labels import EXPRESSIONS, SPLITS, VOTES, parse_expression
from mien.types import FaceSet, Progress

_ROWS = 2048  # at a time
_IMAGE_COLUMNS = ("image", "img", "img_bytes")
_LABEL_COLUMNS = ("label", "labels", "emotion")
_OTHER_COLUMNS = ("split", "id", "votes")  # that `write_parquet` adds


@dataclass(frozen=True)
class _Table:
    """A file of pictures. name: what its rows' ids start with; split: of rows that do not say theirs, if it is known.

    image, label: the names of those columns; names: what the numbers of the labels mean.
    """

    path: Path
    file: Any
    name: str
    image: str
    label: str | None
    names: tuple[str, ...] | None
    split: str | None


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

    Labels are matched by name: the names stand in the file, or the labels are text, or `names` gives what 0, 1, 2...
    mean. Null and -1 are unknown labels. Splits are those of a column `split`, or of the name of the file
    (`train-00000-of-00001.parquet`) or its folder, else train where there is a column of labels, and test where there
    is none. Ids are those of a column `id`, as `<file>:<id>` where several files use the same ones, or `<file>:<row>`.
    Where some rows have votes, the others get zeros, which is to have none. Pictures become 48x48 grey, as from a
    folder.

    on_bad is told of each row (counted from 0) that is no face, which is left out; without it the first raises
    DataError, as does a file that cannot be read or lacks a column. Raises ExtraError where pyarrow is not installed.
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
        for start, rows in _batches(table):
            parts.append((table, _faces(table, start, rows, on_bad)))
            done += len(rows)
            if progress:
                progress(done, total)
    return _joined(_told_apart(parts), root)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turns what pyarrow and `FaceSet` raise into DataErrors that name the file."""
    arrow, _ = pyarrow_or_error()
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must hold text in UTF-8: {error}") from error
    except arrow.ArrowException as error:
        raise DataError(f"{path} must be a Parquet file, and whole: {error}") from error


def _open(path: Path, root: Path, names: Sequence[str] | None) -> _Table:
    _, parquet = pyarrow_or_error()
    with _naming(path):
        file = parquet.ParquetFile(path)
    schema = file.schema_arrow
    image, label = (
        next((name for name in known if name in schema.names), None) for known in (_IMAGE_COLUMNS, _LABEL_COLUMNS)
    )
    if image is None:
        raise DataError(f"{path} must have a column image, of pictures; got {', '.join(schema.names)}")
    if label and not names:
        names = _names(schema, label)
        if not names and _numeric(schema.field(label).type):
            raise DataError(
                f"{path}: {label} is a number, and nothing in the file says what it means; give the names of "
                "0, 1, 2... in this order, as in --names angry,disgust,..."
            )
    folder = root if root.is_dir() else root.parent
    return _Table(
        path=path,
        file=file,
        name=spelled(path.relative_to(folder).with_suffix("").as_posix()),
        image=image,
        label=label,
        names=tuple(names) if names else None,
        split=split_of_folder(path.stem.split("-")[0]) or split_of_folder(path.parent.name),
    )


def _numeric(kind: Any) -> bool:
    arrow, _ = pyarrow_or_error()
    return bool(arrow.types.is_integer(kind) or arrow.types.is_floating(kind))


def _names(schema: Any, label: str) -> list[str] | None:
    """The names of the classes, where the schema's metadata gives them."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (ValueError, TypeError, KeyError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _batches(table: _Table) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The rows of a file some at a time, each time with the number of the first."""
    wanted = [name for name in table.file.schema_arrow.names if name in {table.image, table.label, *_OTHER_COLUMNS}]
    start = 0
    with _naming(table.path):
        for batch in table.file.iter_batches(batch_size=_ROWS, columns=wanted):
            rows = batch.to_pylist()
            yield start, rows
            start += len(rows)


def _faces(table: _Table, start: int, rows: list[dict[str, Any]], on_bad: OnBad | None) -> FaceSet:
    """The faces of the good ones of some rows."""
    parsed: dict[int, _Row] = {}

    def read(place: int) -> NDArray[np.uint8]:
        number = start + place
        try:
            parsed[place] = _row(table, number, rows[place])
            return face_of(parsed[place].content)
        except DataError as error:
            raise DataError(f"{table.path} row {number}: {error}") from error

    images, kept = faces_of(len(rows), read, on_bad=on_bad)
    good = [parsed[place] for place in kept]
    none = [0.0] * len(VOTES)
    votes = None if all(row.votes is None for row in good) else [row.votes or none for row in good]
    with _naming(table.path):
        return FaceSet(
            images=images,
            labels=np.array([row.label for row in good], np.int64),
            splits=np.array([row.split for row in good], np.str_),
            ids=np.array([row.id for row in good], np.str_),
            votes=None if votes is None else np.array(votes, np.float32),
        )


def _row(table: _Table, number: int, values: dict[str, Any]) -> _Row:
    """A row's values, checked. Raises DataError that says what is wrong with them."""
    image = values[table.image]
    content = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(content, bytes):
        raise DataError(f"{table.image} must hold the bytes of a picture file, got {type(content).__name__}")
    split = table.split or ("test" if table.label is None else "train")
    if values.get("split") is not None:
        split = split_of_folder(str(values["split"])) or ""
        if not split:
            raise DataError(f"split must be {', '.join(SPLITS)}, got {values['split']!r}")
    votes = values.get("votes")
    if votes is not None and not _are_votes(votes):
        raise DataError(f"votes must be {len(VOTES)} numbers of 0 or more, got {votes}")
    name = values["id"] if values.get("id") is not None else f"{table.name}:{number}"
    label = -1 if table.label is None else _label(table, values[table.label])
    return _Row(content, label, split, str(name), votes)


def _are_votes(value: Any) -> bool:
    counts = value if isinstance(value, list) else []
    return len(counts) == len(VOTES) and all(
        isinstance(count, int | float) and 0 <= count < math.inf for count in counts
    )


def _label(table: _Table, value: Any) -> int:
    """The index in `EXPRESSIONS` that a label means, or -1. Raises DataError where it means none."""
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


def _told_apart(parts: list[tuple[_Table, FaceSet]]) -> list[FaceSet]:
    """The faces of all files, their ids with the files' names where these use the same ones."""
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


def _joined(parts: list[FaceSet], path: Path) -> FaceSet:
    if not sum(len(part) for part in parts):
        raise DataError(f"{path} holds no faces: there is no row that can be read")
    votes = [np.zeros((len(part), len(VOTES)), np.float32) if part.votes is None else part.votes for part in parts]
    voted = any(part.votes is not None for part in parts)
    with _naming(path):
        return FaceSet(
            images=np.concatenate([part.images for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            splits=np.concatenate([part.splits for part in parts]),
            ids=np.concatenate([part.ids for part in parts]),
            votes=np.concatenate(votes) if voted else None,
        )
