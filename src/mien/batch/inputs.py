"""The inputs of a batch: what its sources stand for, with size and time, found without reading a picture."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from glob import has_magic
from itertools import islice
from pathlib import PurePosixPath
from typing import Literal

from mien.batch.storage import FileInfo, is_address, read_all, storage_of
from mien.batch.tables import TableColumns, count_groups
from mien.errors import DataError
from mien.io.atomic_write import exists
from mien.io.image_format import PICTURE_SUFFIXES, UNREAD_SUFFIXES, starts_as_picture
from mien.io.source import LIST, VIDEO_SUFFIXES, display_name, is_live
from mien.types import batches

Kind = Literal["picture", "video", "table"]

_TABLE = ".parquet"
_LONGEST_LIST = 1 << 32  # bytes
_AT_ONCE = 32  # files of a list that are asked about at a time
_LINES = 10_000  # of a list that are held at a time
_FILES = 256  # of a folder that are held at a time


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to read: a picture's file, a video, or a row group of a Parquet file of pictures.

    path, size, stamp: as `FileInfo` has them. groups: the first row group, and the one after the last. count: how many
    pictures it has; a video counts as one.
    """

    path: str
    kind: Kind
    size: int
    stamp: str
    groups: tuple[int, int] = (0, 0)
    count: int = 1


@dataclass(frozen=True, slots=True)
class Refused:
    """The name of an input that is missing or cannot be read, and why, in a line."""

    source: str
    error: str


def find_inputs(
    sources: Sequence[str],
    *,
    columns: TableColumns | None = None,
    require: Callable[[str], None] = lambda _source: None,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[Input], list[Refused]]:
    """Find all pictures and videos that the sources stand for, in order, each once.

    Parameters
    ----------
    sources
        Files, folders, patterns and addresses. A folder stands for the pictures, videos and Parquet files of pictures
        in it and in its sub-folders, sorted. `@FILE` is a text file with one of these on each line.
    columns
        The columns of Parquet files that hold the pictures and what to call them.
    require
        Is called with each source, and each line of a list, before it is looked for; what it raises ends the search.
    progress
        Is called with the number of pictures and videos found so far.

    Returns
    -------
    tuple
        The inputs, and what of lists and folders is missing or cannot be read.

    Raises
    ------
    DataError
        Where a source itself is missing, or nothing is found.
    """
    inputs: dict[tuple[str, tuple[int, int]], Input] = {}
    refused: dict[Refused, None] = {}
    count = 0
    for source in sources:
        for each in _find(source, columns or TableColumns(), require):
            if isinstance(each, Refused):
                refused[each] = None
            elif (each.path, each.groups) not in inputs:
                inputs[each.path, each.groups] = each
                count += each.count
                if progress and len(inputs) % 1000 == 0:
                    progress(count)
    if not inputs and not refused:
        raise DataError(f"there must be pictures, videos or Parquet files of pictures in {' '.join(sources)}, got none")
    return list(inputs.values()), list(refused)


def _find(source: str, columns: TableColumns, require: Callable[[str], None]) -> Iterator[Input | Refused]:
    if not source.startswith(LIST) or exists(source):
        require(source)
        yield from _find_files(source, columns)
        return
    path = source.removeprefix(LIST)
    text = read_all(storage_of(path), path, most=_LONGEST_LIST).getvalue().decode("utf-8-sig", "surrogateescape")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if "\0" in text or not lines:
        got = "other content" if lines else "none"
        raise DataError(f"{source} must be a text file with a source on each line, got {got}")

    def find_line(line: str) -> list[Input | Refused]:
        require(line)
        try:
            return list(_find_files(line, columns))
        except DataError as error:
            return [Refused(display_name(line), str(error))]

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for some in batches(len(lines), _LINES):
            for found in threads.map(find_line, lines[some]):
                yield from found


def _find_files(source: str, columns: TableColumns) -> Iterator[Input | Refused]:
    """Find what a file, a folder, a pattern or an address stands for. Raises DataError where there is none."""
    if is_live(source) and not source.lower().startswith(("http://", "https://")):
        raise DataError(f"{display_name(source)} must be a file: cameras and streams are for mien predict")
    storage = storage_of(source)
    refused: list[Refused] = []
    if has_magic(source) and not exists(source):
        paths = [path for path in storage.glob(source) if _kind(path) is not None]
        if not paths:
            raise DataError(f"{display_name(source)} must match pictures, videos or Parquet files, got nothing")
        infos = (storage.info(path) for path in paths)
        yield from _inputs_of_all(((info, _kind(info.path) or "picture") for info in infos if info), columns)
        return
    info = storage.info(source)
    if info is not None:
        yield from _inputs_of(info, _kind(source) or "picture", columns)
        return

    def refuse(name: str, error: DataError) -> None:
        refused.append(Refused(display_name(name), str(error)))

    files = storage.list_files(source, on_locked=refuse)
    kinds = ((each, _kind(each.path, look=not is_address(each.path))) for each in files)
    yield from _inputs_of_all(((each, kind) for each, kind in kinds if kind is not None), columns)
    yield from refused


def _inputs_of_all(files: Iterator[tuple[FileInfo, Kind]], columns: TableColumns) -> Iterator[Input | Refused]:
    """Yield the inputs of files, in order; several Parquet files are asked about at a time, as it takes long."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        while some := list(islice(files, _FILES)):
            if any(kind == "table" for _, kind in some):
                for inputs in threads.map(lambda file: list(_inputs_of(file[0], file[1], columns)), some):
                    yield from inputs
            else:
                for info, kind in some:
                    yield from _inputs_of(info, kind, columns)


def _inputs_of(info: FileInfo, kind: Kind, columns: TableColumns) -> Iterator[Input | Refused]:
    """Yield the inputs of a file: a Parquet file's row groups, or else the file."""
    if kind != "table":
        yield Input(info.path, kind, info.size, info.stamp)
        return
    try:
        counts = count_groups(storage_of(info.path), info.path, columns)
    except DataError as error:
        yield Refused(display_name(info.path), str(error))
        return
    for place, count in enumerate(counts):
        if count:
            yield Input(info.path, kind, info.size, info.stamp, (place, place + 1), count)


def _kind(path: str, *, look: bool = False) -> Kind | None:
    """Return what a file is by its suffix; look: whether one without a suffix is a picture if it begins as one."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == _TABLE:
        return "table"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    picture = suffix in PICTURE_SUFFIXES | UNREAD_SUFFIXES or (look and not suffix and starts_as_picture(path))
    return "picture" if picture else None
