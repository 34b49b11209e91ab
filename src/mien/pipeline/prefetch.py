"""Work ahead of its consumer: an iterator that runs in a thread of its own, a few items in advance."""

import atexit
from collections import deque
from collections.abc import Callable, Generator, Iterator
from threading import Condition, Thread
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_MOST_BYTES = 1 << 26  # that wait in one queue
_END_SECONDS = 15.0  # how long a thread may take to end: longer than a camera is waited for


def prefetch(
    items: Iterator[Item],
    *,
    size: int,
    overtakes: Callable[[Item], bool] = lambda _: False,
    nbytes: Callable[[Item], int] = lambda _: 0,
) -> Generator[Item]:
    """Yield the same items in the same order; a thread makes up to `size` of them before they are asked for.

    What `items` raises is raised after the items before it. When the consumer stops early, and closes this or lets go
    of it, the thread ends and `items` is closed.

    Parameters
    ----------
    items
        What is run in the thread.
    size
        How many items wait, at the most.
    overtakes
        Whether an item takes the place of all that wait, which are left out, as is right for a camera's frames.
    nbytes
        The bytes of an item: where 64 MiB wait, no more items are made, however few wait.
    """
    queue: _Queue[Item] = _Queue(size, overtakes, nbytes)
    thread = Thread(target=queue.fill, args=(items,), name="mien-prefetch", daemon=True)
    _running[thread] = queue
    thread.start()
    try:
        yield from queue.items()
    finally:
        queue.leave()
        thread.join()
        _running.pop(thread, None)


class _Queue(Generic[Item]):
    """A queue between two threads, either of which may go away."""

    def __init__(self, size: int, overtakes: Callable[[Item], bool], nbytes: Callable[[Item], int]) -> None:
        self._size = size
        self._nbytes = nbytes
        self._overtakes = overtakes
        self._waiting: deque[Item] = deque()
        self._changed = Condition()
        self._left = False  # the consumer is gone
        self._ended = False  # there is no more
        self._error: BaseException | None = None

    def fill(self, items: Iterator[Item]) -> None:
        """Put all items in, until the consumer leaves; then close what makes them."""
        try:
            for item in items:
                if not self._put(item):
                    break
            if isinstance(items, Generator):
                items.close()
        except BaseException as error:  # noqa: BLE001  # it is raised where the consumer is
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def items(self) -> Iterator[Item]:
        """Take all items out."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                item = self._waiting.popleft()
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Note that the consumer wants no more."""
        with self._changed:
            self._left = True
            self._changed.notify_all()

    def _put(self, item: Item) -> bool:
        """Add an item when there is room; return False where nobody wants any."""
        with self._changed:
            if self._overtakes(item):
                self._waiting.clear()
            self._changed.wait_for(lambda: self._left or self._has_room())
            if not self._left:
                self._waiting.append(item)
                self._changed.notify_all()
            return not self._left

    def _has_room(self) -> bool:
        return len(self._waiting) < self._size and sum(map(self._nbytes, self._waiting)) < _MOST_BYTES


_running: dict[Thread, _Queue[Any]] = {}


@atexit.register
def _end_threads() -> None:
    """End the threads of iterators still open when the program ends: they would crash it in its last moments."""
    for queue in list(_running.values()):
        queue.leave()
    for thread in list(_running):
        if thread.is_alive():  # one that a signal kept from being started cannot be joined
            thread.join(_END_SECONDS)
