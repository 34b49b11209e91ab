"""FER2013 as a CSV file: Kaggle's `fer2013.csv`, and the spellings that the challenge's other files use.

A file of 300 MB is mostly decimal digits, so the pixels of many rows at a time are read as one array of bytes. Where a
row is written in an unusual way, the rows of its block are read number by number, which also tells what is wrong.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mien.data.bad_rows import OnBad, raise_or_report
from mien.data.formats.paths import id_from_path
from mien.errors import DataError, explain_read_errors
from mien.io.atomic_write import atomic_write
from mien.labels import EXPRESSIONS
from mien.types import FACE_SIDE, FaceSet, Progress, batches, require_class_names

_PIXELS = FACE_SIDE * FACE_SIDE
_ROWS_READ = 64  # at a time: about half a megabyte, which stays in the processor's cache
_ROWS_WRITTEN = 256  # between two calls of `progress`
_LONGEST_LINE = 1 << 20  # bytes: no row of 2,304 numbers comes near
_MEGABYTE = 1_000_000

USAGES: dict[str, str] = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
_SPLIT_OF_USAGE = {usage.lower().encode(): split for usage, split in USAGES.items()}
_USAGE_OF_SPLIT = {split: usage.encode() for usage, split in USAGES.items()}
_DIGITS_OF_BYTE = [str(value).encode() for value in range(256)]


@dataclass(frozen=True)
class _Columns:
    """The places of a file's columns, counted from 0."""

    count: int
    pixels: int
    emotion: int | None
    usage: int | None
    labels: dict[bytes, int]  # what a text in the column emotion means


@dataclass(frozen=True)
class _Row:
    """One data row. `line` is its number in the file, the header being 1; `number` counts the data rows from 0."""

    line: int
    number: int
    label: int
    split: str
    pixels: bytes


def read_fer2013(
    path: Path | str,
    *,
    class_names: Sequence[str] = EXPRESSIONS,
    on_bad: OnBad | None = None,
    progress: Progress | None = None,
) -> FaceSet:
    """Read FER2013's CSV file, a row a face: `pixels` is 2,304 numbers, `emotion` 0 to 6, and `Usage` the split.

    The columns come in any order and case. An empty `emotion` is an unknown label. Training is the split train,
    PublicTest valid and PrivateTest test. Without `Usage` labelled faces are train, and a file of pixels alone is test.
    Ids are `fer0000000`, by the number of the data row as in FER+, if there is a column `Usage`; else `<stem>:<row>`.

    Parameters
    ----------
    path
        The CSV file.
    class_names
        The classes that the numbers of `emotion` mean, in their order.
    on_bad
        Called with the error of each bad row, which names the line in the file; the row is left out. Without it the
        first error is raised.
    progress
        Called with the megabytes read and those of the file.

    Raises
    ------
    DataError
        Where the file cannot be read, lacks a column or holds no face.
    """
    path = Path(path)
    images: list[NDArray[np.uint8]] = []
    rows: list[_Row] = []
    with explain_read_errors(path), path.open("rb") as file:
        columns = _read_header(file, path, require_class_names(class_names))
        for block in _read_blocks(file, path, columns, on_bad, progress):
            faces, good = _read_faces(block, path, on_bad)
            images.append(faces)
            rows += [_Row(row.line, row.number, row.label, row.split, b"") for row in good]
    if not rows:
        raise DataError(f"{path} holds no faces: it has a header, and no row that can be read")
    prefix, digits = ("fer", 7) if columns.usage is not None else (f"{id_from_path(path.stem)}:", 0)
    return FaceSet(
        images=np.concatenate(images),
        labels=np.array([row.label for row in rows], np.int64),
        splits=np.array([row.split for row in rows]),
        ids=np.array([f"{prefix}{row.number:0{digits}d}" for row in rows]),
        class_names=tuple(class_names),
    )


def write_fer2013(faces: FaceSet, path: Path | str, *, progress: Progress | None = None) -> None:
    """Write Kaggle's `fer2013.csv`: emotion (empty where it is unknown), pixels, Usage.

    Ids, votes and the names of the classes have no place in it. Raises OutputError.
    """
    with atomic_write(path) as file:
        file.write(b"emotion,pixels,Usage\n")
        for rows in batches(len(faces), _ROWS_WRITTEN):
            part = faces[rows]
            for image, label, split in zip(part.images, part.labels.tolist(), part.splits.tolist(), strict=True):
                pixels = b" ".join(map(_DIGITS_OF_BYTE.__getitem__, image.tobytes()))
                file.write(b"%s,%s,%s\n" % (b"" if label < 0 else b"%d" % label, pixels, _USAGE_OF_SPLIT[split]))
            if progress:
                progress(rows.stop, len(faces))


def _read_header(file: BinaryIO, path: Path, class_names: Sequence[str]) -> _Columns:
    line = file.readline(_LONGEST_LINE).removeprefix(b"\xef\xbb\xbf")
    try:
        names = [field.decode("utf-8", "replace") for field in _split_fields(line, 0)]
    except ValueError as error:
        raise DataError(f"{path} line 1 {error}") from error
    places = {name.lower(): place for place, name in reversed(list(enumerate(names))) if name}
    emotion, usage = places.get("emotion"), places.get("usage")
    if "pixels" not in places or (emotion is None and len(places) > 1):
        missing = "emotion" if "pixels" in places else "pixels"
        found = ", ".join(repr(name[:40]) for name in names[:12])
        raise DataError(
            f"{path} line 1 must name the columns emotion, pixels and Usage (or emotion and pixels, or pixels alone): "
            f"{missing} is missing, got {found}"
        )
    # pandas writes a column of whole numbers with gaps as 3.0
    labels = {f"{label}{tail}".encode(): label for label in range(len(class_names)) for tail in ("", ".0")}
    return _Columns(len(names), places["pixels"], emotion, usage, labels | {b"": -1})


def _split_fields(line: bytes, count: int) -> list[bytes]:
    """Split a line that should have `count` fields, and strip quotes and outer spaces. Raises ValueError."""
    fields = line.split(b",")
    if len(fields) != count and b'"' in line:  # there may be commas within quotes
        text = line.decode("utf-8", "surrogateescape").strip()
        try:
            parsed = next(csv.reader([text], skipinitialspace=True), [])
        except csv.Error as error:
            raise ValueError(f"is no row of a CSV file: {error}") from error
        fields = [field.encode("utf-8", "surrogateescape") for field in parsed]
    return [field.strip(b' "\t\r\n') for field in fields]


def _read_blocks(
    file: BinaryIO, path: Path, columns: _Columns, on_bad: OnBad | None, progress: Progress | None
) -> Iterator[list[_Row]]:
    """Yield the rows of a file, some at a time, their pixels not yet read."""
    total = path.stat().st_size // _MEGABYTE
    block: list[_Row] = []
    for number, (line_number, line, done) in enumerate(_read_lines(file)):
        try:
            block.append(_parse_row(line, line_number, number, columns))
        except ValueError as error:
            yield block  # what is wrong with rows before this one comes first
            block = []
            raise_or_report(DataError(f"{path} line {line_number}: {error}"), on_bad)
        if len(block) == _ROWS_READ:
            yield block
            block = []
            if progress:
                progress(min(done // _MEGABYTE, total), total)
    yield block
    if progress:
        progress(total, total)


def _read_lines(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """Yield the number of each line after the header, its first megabyte, and the bytes read; no blank lines."""
    done = 0
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), start=2):
        done += len(line)
        rest = line
        while rest and not rest.endswith(b"\n"):  # what is longer than any row is still one line
            rest = file.readline(_LONGEST_LINE)
            done += len(rest)
        if not line.isspace():
            yield number, line, done


def _parse_row(line: bytes, line_number: int, number: int, columns: _Columns) -> _Row:
    """Parse a line; its pixels are left as text. Raises ValueError that says what is wrong with it."""
    fields = _split_fields(line, columns.count)
    if len(fields) != columns.count:
        raise ValueError(f"must have {columns.count} columns as the header has, got {len(fields)}")
    label, split = -1, "test"
    if columns.emotion is not None:
        text = fields[columns.emotion]
        split = "train"
        if text not in columns.labels:
            raise ValueError(f"emotion must be 0 to {max(columns.labels.values())} or empty, got {_quote(text)}")
        label = columns.labels[text]
    if columns.usage is not None:
        text = fields[columns.usage]
        if text.lower() not in _SPLIT_OF_USAGE:
            raise ValueError(f"Usage must be {', '.join(USAGES)}, got {_quote(text)}")
        split = _SPLIT_OF_USAGE[text.lower()]
    return _Row(line_number, number, label, split, fields[columns.pixels])


def _quote(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "replace"))


def _read_faces(block: list[_Row], path: Path, on_bad: OnBad | None) -> tuple[NDArray[np.uint8], list[_Row]]:
    """Return the faces (M, 48, 48) uint8 of the good rows of a block, and those rows."""
    images = _parse_plain_pixels([row.pixels for row in block])
    if images is not None:
        return images, block
    faces = [np.zeros((0, FACE_SIDE, FACE_SIDE), np.uint8)]
    good: list[_Row] = []
    for row in block:
        try:
            faces.append(_parse_pixels(row.pixels)[None])
            good.append(row)
        except ValueError as error:
            raise_or_report(DataError(f"{path} line {row.line}: {error}"), on_bad)
    return np.concatenate(faces), good


def _parse_plain_pixels(fields: list[bytes]) -> NDArray[np.uint8] | None:
    """Parse fields that all hold 2,304 numbers of 1 to 3 digits up to 255, separated by spaces.

    Every byte is read as if a number ended there, from the digits at and before it; then the places where a number does
    end are kept. Returns the faces (M, 48, 48), or None where a field holds anything else.
    """
    text = np.frombuffer(b"  " + b" ".join(fields) + b" ", np.uint8)
    digit = text - np.uint8(ord("0")) < 10
    if np.count_nonzero(digit) + np.count_nonzero(text == ord(" ")) != len(text):
        return None
    two = digit[1:] & digit[:-1]
    ends = np.flatnonzero(digit[2:-1] > digit[3:])  # counted from the third byte
    if np.any(two[2:] & two[:-2]) or len(ends) != len(fields) * _PIXELS:
        return None
    value = text & np.uint8(15)  # of a digit; 0 of a space
    below_hundred = value[2:-1] + value[1:-2] * np.uint8(10)
    hundreds = value[:-3] * digit[1:-2]
    values: NDArray[np.uint16] = (below_hundred + hundreds * np.uint16(100)).take(ends)
    after = np.cumsum([len(field) + 1 for field in fields])  # where the next row starts
    rows = ends.reshape(-1, _PIXELS)
    if np.any(rows[:, -1] >= after) or np.any(rows[1:, 0] < after[:-1]) or values.max(initial=0) > 255:
        return None
    return values.astype(np.uint8).reshape(-1, FACE_SIDE, FACE_SIDE)


def _parse_pixels(field: bytes) -> NDArray[np.uint8]:
    """Parse one field into a face (48, 48). Raises ValueError that says what is wrong with it."""
    words = field.split()
    if len(words) != _PIXELS:
        raise ValueError(f"pixels must be {_PIXELS} numbers, got {len(words)}")
    for place, word in enumerate(words):
        if not word.isdigit() or len(word) > 9 or int(word) > 255:
            raise ValueError(f"pixels must be whole numbers of 0 to 255, got {_quote(word)} at place {place}")
    return np.array([int(word) for word in words], np.uint8).reshape(FACE_SIDE, FACE_SIDE)
