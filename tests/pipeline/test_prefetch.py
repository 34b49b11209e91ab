import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest

from mien.pipeline.prefetch import prefetch

WAIT = 10  # seconds, at the most


def alive() -> int:
    return sum(thread.name == "mien-prefetch" for thread in threading.enumerate())


class Source:
    """Numbers, with what became of their maker."""

    def __init__(self, count: int, *, error: BaseException | None = None) -> None:
        self.made = 0
        self.closed = threading.Event()
        self._count = count
        self._error = error

    def items(self) -> Iterator[int]:
        try:
            for number in range(self._count):
                self.made += 1
                yield number
            if self._error:
                raise self._error
        finally:
            self.closed.set()

    def until_made(self, count: int) -> None:
        deadline = time.monotonic() + WAIT
        while self.made < count and time.monotonic() < deadline:
            time.sleep(0.001)
        assert self.made >= count


@pytest.mark.parametrize("size", [1, 3, 100])
def test_all_items_come_in_their_order_and_the_thread_ends(size: int) -> None:
    assert list(prefetch(Source(50).items(), size=size)) == list(range(50))
    assert alive() == 0


def test_no_more_than_size_are_made_before_they_are_asked_for() -> None:
    source = Source(50)
    items = prefetch(source.items(), size=3)
    assert source.made == 0
    assert next(items) == 0
    source.until_made(5)  # one taken, three waiting, one in hand
    time.sleep(0.05)
    assert source.made == 5
    items.close()


def test_few_large_items_are_made_before_they_are_asked_for() -> None:
    source = Source(50)
    items = prefetch(source.items(), size=30, nbytes=lambda _: 1 << 25)
    assert next(items) == 0
    source.until_made(4)  # one taken, two waiting, one in hand
    time.sleep(0.05)
    assert source.made == 4
    items.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    items = prefetch(Source(3, error=KeyError("gone")).items(), size=10)
    assert [next(items), next(items), next(items)] == [0, 1, 2]
    with pytest.raises(KeyError, match="gone"):
        next(items)
    assert alive() == 0


@pytest.mark.parametrize("end", ["close", "forget", "raise"])
def test_a_consumer_that_leaves_ends_the_thread_and_what_it_ran(end: str) -> None:
    source = Source(10**9)
    items = prefetch(prefetch(source.items(), size=2), size=2)
    next(items)
    if end == "close":
        items.close()
    elif end == "forget":
        del items
    else:
        with pytest.raises(RuntimeError):
            items.throw(RuntimeError)
    assert source.closed.wait(WAIT)
    assert alive() == 0


def test_what_was_never_asked_for_is_never_begun() -> None:
    source = Source(5)
    prefetch(source.items(), size=2).close()
    assert (source.made, alive()) == (0, 0)


def test_the_newest_overtakes_what_waits_where_it_should() -> None:
    go_on = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        assert go_on.wait(WAIT)
        yield from range(1, 4)

    newest = prefetch(items(), size=3, overtakes=lambda number: number != 3)
    assert next(newest) == 0
    go_on.set()
    deadline = time.monotonic() + WAIT
    while alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert list(newest) == [2, 3]


def test_a_program_that_ends_ends_its_threads() -> None:
    """Threads that run into the end of the program crash it, some of the time."""
    code = """
        from mien.pipeline.prefetch import prefetch

        def numbers():
            try:
                yield from range(10**9)
            finally:
                print("closed", flush=True)

        def doubled(items):
            for item in items:
                yield 2 * item

        stream = prefetch(doubled(prefetch(numbers(), size=2)), size=2)
        print(next(stream), next(stream), flush=True)
    """
    end = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert (end.returncode, end.stdout, end.stderr) == (0, "0 2\nclosed\n", "")
