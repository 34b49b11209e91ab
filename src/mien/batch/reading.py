"""The items of a partition, one after the other: pictures, fetched ahead where that takes long, and videos."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from tempfile import TemporaryDirectory

from mien.batch.inputs import Input
from mien.batch.storage import Storage, explained, is_address, read_all, storage_of
from mien.batch.tables import TableColumns, read_groups
from mien.errors import DataError
from mien.io.image import MAX_BYTES
from mien.io.source import display_name

_AHEAD = 8  # files that are fetched at a time where that takes long


@dataclass(frozen=True)
class Item:
    """A picture or a video of a partition.

    name: what rows call it. fetch: returns a picture's file, in memory; it raises DataError. video: the path or
    address of a video, "" for a picture.
    """

    name: str
    fetch: Callable[[], BytesIO]
    video: str = ""


def read_items(inputs: tuple[Input, ...], *, base: str, columns: TableColumns) -> Generator[Item]:
    """Yield all items of some inputs, in order; what is not on the local disk is fetched ahead, in threads.

    base: the folder that relative paths start from. An input that cannot be read is an item whose `fetch` raises.
    """
    items = (item for each in inputs for item in _items_of(each, base, columns))
    if not any(each.kind == "picture" and is_address(each.path) for each in inputs):
        yield from items
        return
    with ThreadPoolExecutor(_AHEAD) as threads:
        waiting = deque(_fetching(threads, item) for item in islice(items, _AHEAD))
        while waiting:
            yield waiting.popleft()
            waiting.extend(_fetching(threads, item) for item in islice(items, 1))


@contextmanager
def local_video(path: str, *, base: str) -> Iterator[str]:
    """Give a video's path on the local disk; what is elsewhere is copied there meanwhile. Raises DataError."""
    if not is_address(path):
        yield str(Path(base, path))
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder, f"video{PurePosixPath(path).suffix}")
        with explained(path), storage_of(path).open(path) as file, copy.open("wb") as target:
            copyfileobj(file, target)
        yield str(copy)


def _items_of(each: Input, base: str, columns: TableColumns) -> Iterator[Item]:
    name = display_name(each.path)
    try:
        storage = storage_of(each.path, base=base)
        if each.kind == "table":
            yield from _rows_of(each, storage, columns)
        else:
            fetch = partial(read_all, storage, each.path, most=MAX_BYTES)
            yield Item(name, fetch, each.path if each.kind == "video" else "")
    except DataError as error:
        yield Item(name, partial(_raise, error))


def _rows_of(each: Input, storage: Storage, columns: TableColumns) -> Iterator[Item]:
    for name, content in read_groups(storage, each.path, columns, each.groups):
        name = display_name(name)
        yield Item(name, partial(_in_memory, name, content))


def _in_memory(name: str, content: bytes | None) -> BytesIO:
    if content is None:
        raise DataError(f"{name} must be the bytes of a picture file, got none")
    file = BytesIO(content)
    file.name = name  # as files have one: `read_picture` calls them by it
    return file


def _fetching(threads: ThreadPoolExecutor, item: Item) -> Item:
    return item if item.video else Item(item.name, threads.submit(item.fetch).result)


def _raise(error: DataError) -> BytesIO:
    raise error
