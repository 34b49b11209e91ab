"""FER2013 as a CSV file: Kaggle's `fer2013.csv`, and the spellings that the challenge's other files use.

A file of 300 MB is mostly decimal digits, so the pixels of many rows at a time are read as one array of bytes. Where
one of them is written in any unusual way they are read one by one, in plain Python, which also says what is wrong.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mien.data.bad_rows import OnBad, refuse
from mien.data.formats.image_folder import spelled
from mien.errors import DataError
from mien.labels import EXPRESSIONS
from mien.types import FACE_SIDE, FaceSet, Progress

_PIXELS = FACE_SIDE * FACE_SIDE
_ROWS = 64  # at a time: about half a megabyte, which stays in the processor's cache
_LONGEST = 1 << 20  # bytes: no row of 2,304 numbers comes near
_MEGABYTE = 1_000_000

USAGES: dict[str, str] = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
_SPLIT_OF_USAGE = {usage.lower().encode(): split for usage, split in USAGES.items()}
# pandas writes a column of whole numbers with gaps as 3.0
_LABEL_OF_TEXT = {f"{label}{tail}".encode(): label for label in range(len(EXPRESSIONS)) for tail in ("", ".0")} | {
    b"": -1
}


@dataclass(frozen=True)
class _Columns:
    """Where the columns of a file are, counted from 0."""

    count: int
    pixels: int
    emotion: int | None
    usage: int | None


@dataclass(frozen=True)
class _Row:
    """One data row. line: its number in the file, the header being 1; number: of the data row, counted from 0."""

    line: int
    number: int
    label: int
    split: str
    pixels: bytes


def read_fer2013(path: Path | str, *, on_bad: OnBad | None = None, progress: Progress | None = None) -> FaceSet:
    """Read FER2013's CSV file: a row a face, `pixels` being 2,304 numbers, with `emotion` (0 to 6) and `Usage`.

    The columns come in any order and case. An empty `emotion` is an unknown label. Usage gives the split: Training is
    train, PublicTest valid, PrivateTest test. Without that column labelled faces are train, and a file of pixels
    alone is test. Ids are `fer0000000`, by the number of the data row as FER+ has it, where there is a Usage column,
    and `<stem>:<row>` otherwise.

    on_bad is told of each row that is no face (its number is the line's in the file), which is then left out; without
    it the first one raises DataError, as does a file that cannot be read or lacks a column. progress: in megabytes.
    """
    path = Path(path)
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    splits: list[str] = []
    numbers: list[int] = []
    try:
        with path.open("rb") as file:
            columns = _header(file, path)
            for block in _blocks(file, path, columns, on_bad, progress):
                faces, good = _faces(block, path, on_bad)
                images.append(faces)
                labels.extend(row.label for row in good)
                splits.extend(row.split for row in good)
                numbers.extend(row.number for row in good)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if not numbers:
        raise DataError(f"{path} holds no faces: it has a header, and no row that can be read")
    prefix, digits = ("fer", 7) if columns.usage is not None else (f"{spelled(path.stem)}:", 0)
    return FaceSet(
        images=np.concatenate(images),
        labels=np.array(labels, np.int64),
        splits=np.array(splits),
        ids=np.array([f"{prefix}{number:0{digits}d}" for number in numbers]),
    )


def _header(file: BinaryIO, path: Path) -> _Columns:
    line = file.readline(_LONGEST).removeprefix(b"\xef\xbb\xbf")
    try:
        names = [field.decode("utf-8", "replace") for field in _fields(line, 0)]
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
    return _Columns(len(names), places["pixels"], emotion, usage)


def _fields(line: bytes, count: int) -> list[bytes]:
    """The fields of a line that should have `count`, without quotes and outer spaces. Raises ValueError."""
    fields = line.split(b",")
    if len(fields) != count and b'"' in line:  # there may be commas within quotes
        text = line.decode("utf-8", "surrogateescape").strip()
        try:
            parsed = next(csv.reader([text], skipinitialspace=True), [])
        except csv.Error as error:
            raise ValueError(f"is no row of a CSV file: {error}") from error
        fields = [field.encode("utf-8", "surrogateescape") for field in parsed]
    return [field.strip(b' "\t\r\n') for field in fields]


def _blocks(
    file: BinaryIO, path: Path, columns: _Columns, on_bad: OnBad | None, progress: Progress | None
) -> Iterator[list[_Row]]:
    total = path.stat().st_size // _MEGABYTE
    block: list[_Row] = []
    number = done = 0
    for count, line in enumerate(iter(lambda: file.readline(_LONGEST), b""), start=2):
        done += len(line)
        rest = line
        while rest and not rest.endswith(b"\n"):  # what is longer than any row is still one line
            rest = file.readline(_LONGEST)
            done += len(rest)
        if line.isspace():
            continue
        try:
            block.append(_row(line, count, number, columns))
        except ValueError as error:
            yield block  # what is wrong with rows before this one comes first
            block = []
            refuse(DataError(f"{path} line {count}: {error}"), on_bad)
        number += 1
        if len(block) == _ROWS:
            yield block
            block = []
            if progress:
                progress(min(done // _MEGABYTE, total), total)
    yield block
    if progress:
        progress(total, total)


def _row(line: bytes, count: int, number: int, columns: _Columns) -> _Row:
    """A line taken apart, its pixels not yet read. Raises ValueError that says what is wrong with it."""
    fields = _fields(line, columns.count)
    if len(fields) != columns.count:
        raise ValueError(f"must have {columns.count} columns as the header has, got {len(fields)}")
    label, split = -1, "test"
    if columns.emotion is not None:
        text = fields[columns.emotion]
        split = "train"
        if text not in _LABEL_OF_TEXT:
            raise ValueError(f"emotion must be 0 to {len(EXPRESSIONS) - 1} or empty, got {_shown(text)}")
        label = _LABEL_OF_TEXT[text]
    if columns.usage is not None:
        text = fields[columns.usage]
        if text.lower() not in _SPLIT_OF_USAGE:
            raise ValueError(f"Usage must be {', '.join(USAGES)}, got {_shown(text)}")
        split = _SPLIT_OF_USAGE[text.lower()]
    return _Row(count, number, label, split, fields[columns.pixels])


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "replace"))


def _faces(block: list[_Row], path: Path, on_bad: OnBad | None) -> tuple[NDArray[np.uint8], list[_Row]]:
    """The faces (M, 48, 48) uint8 of the good rows of a block, and those rows."""
    images = _plain_pixels([row.pixels for row in block])
    if images is not None:
        return images, block
    faces = [np.zeros((0, FACE_SIDE, FACE_SIDE), np.uint8)]
    good: list[_Row] = []
    for row in block:
        try:
            faces.append(_any_pixels(row.pixels)[None])
            good.append(row)
        except ValueError as error:
            refuse(DataError(f"{path} line {row.line}: {error}"), on_bad)
    return np.concatenate(faces), good


def _plain_pixels(fields: list[bytes]) -> NDArray[np.uint8] | None:
    """The faces (M, 48, 48) uint8 of fields that all hold 2,304 numbers of 1 to 3 digits up to 255, apart by spaces.

    None where one holds anything else. Every byte is read as if a number ended there, from the digits at and before
    it; then those are kept where one does end.
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


def _any_pixels(field: bytes) -> NDArray[np.uint8]:
    """The face (48, 48) uint8 of one field. Raises ValueError that says what is wrong with it."""
    words = field.split()
    if len(words) != _PIXELS:
        raise ValueError(f"pixels must be {_PIXELS} numbers, got {len(words)}")
    for place, word in enumerate(words):
        if not word.isdigit() or len(word) > 9 or int(word) > 255:
            raise ValueError(f"pixels must be whole numbers of 0 to 255, got {_shown(word)} at place {place}")
    return np.array([int(word) for word in words], np.uint8).reshape(FACE_SIDE, FACE_SIDE)
