"""Work on the next items in several threads, while the results are taken in the items' order."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_WAITING = 4  # results that wait for each thread: as long as a batch of faces takes to be classified
_MOST_BYTES = 1 << 26  # of results that wait


class Ahead(Generic[Item, Result]):
    """A queue of items that threads work on; a context manager, at whose end the threads end.

    Parameters
    ----------
    work
        Makes a result of an item; is called in several threads at once where there are several.
    threads
        How many there are. With one, each item is worked on when its result is taken, by whoever takes it.
    nbytes
        The bytes of a result: where 64 MiB wait, it is time to take one.
    """

    def __init__(self, work: Callable[[Item], Result], *, threads: int, nbytes: Callable[[Result], int]) -> None:
        self._work, self._nbytes = work, nbytes
        self._most = _WAITING * threads if threads > 1 else 1
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mien-ahead") if threads > 1 else None
        self._waiting: deque[tuple[Item, Future[Result] | None]] = deque()

    def __enter__(self) -> "Ahead[Item, Result]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, item: Item) -> None:
        """Let a thread work on an item as soon as one is free."""
        self._waiting.append((item, None if self._pool is None else self._pool.submit(self._work, item)))

    @property
    def is_full(self) -> bool:
        """True if a result should be taken before another item is put in."""
        done = [future for _, future in self._waiting if future is not None and future.done()]
        held = sum(self._nbytes(future.result()) for future in done if future.exception() is None)
        return len(self._waiting) >= self._most or held >= _MOST_BYTES

    def take(self) -> tuple[Item, Callable[[], Result]]:
        """Return the first item that waits, and a function that gives its result, or raises what its work raised."""
        item, future = self._waiting.popleft()
        if future is None:
            return item, lambda: self._work(item)
        return item, future.result
