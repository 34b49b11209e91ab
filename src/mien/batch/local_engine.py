"""The local engine: processes of this machine, each with a predictor of its own. One that ends is replaced."""

import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, cast

from mien.batch.deaths import Attempt, Deaths
from mien.batch.output import Done
from mien.batch.plan import Partition
from mien.batch.worker import Job, sendable, work_on
from mien.errors import RunError

_TELL_SECONDS = 0.1  # from one item that is told of to the next, where none needs to be known for certain
_STARTS = 3  # of a worker that ends at once
_PATIENCE = 5.0  # seconds: how long a worker may take to end

_log = logging.getLogger(__name__)


def run_local(
    job: Job,
    partitions: Sequence[Partition],
    *,
    workers: int,
    on_item: Callable[[str, int], None] | None = None,
) -> Generator[Done]:
    """Work on partitions in processes, and yield the result of each as it comes.

    Parameters
    ----------
    job
        What is to be done with each partition.
    partitions
        The partitions that are not done.
    workers
        The number of processes.
    on_item
        Is called with the name of a partition and the number of the item in it that is read next.

    Raises
    ------
    MienError
        That a worker raised.
    RunError
        Where workers end again and again in the same partition.
    """
    pool = _Pool(job, partitions, on_item)
    try:
        for _ in range(min(workers, len(partitions))):
            pool.start_worker()
        while pool.busy:
            yield from pool.next_results()
    finally:
        pool.stop()


class _Pool:
    """Workers by the pipe to each, what each works on, and the partitions that nobody works on yet."""

    def __init__(self, job: Job, partitions: Sequence[Partition], on_item: Callable[[str, int], None] | None) -> None:
        self._job, self._on_item = job, on_item
        self._waiting = deque(partitions)
        self._context = get_context("spawn")  # a fork would copy locks and threads that nobody ends
        self._workers: dict[Connection, SpawnProcess] = {}
        self._tasks: dict[Connection, Partition] = {}
        self._deaths = Deaths()

    @property
    def busy(self) -> bool:
        """True while some partition is being worked on."""
        return bool(self._tasks)

    def start_worker(self) -> None:
        """Start a worker on the next partition."""
        here, there = self._context.Pipe()
        process = self._started(there)
        there.close()
        self._workers[here] = process
        self._give(here)

    def _started(self, pipe: Connection) -> SpawnProcess:
        """Start the process of a worker; where it ends before it has read what it is to do, start another."""
        for _ in range(_STARTS):
            process = self._context.Process(target=_serve, args=(pipe, self._job), daemon=True)
            with suppress(BrokenPipeError), _interrupts_held_back():
                process.start()
                return process
        raise RunError("cannot start a worker: it ends at once")

    def next_results(self) -> Iterator[Done]:
        """Wait until a worker says something or ends, and yield what is done."""
        for pipe in cast("list[Connection]", wait(list(self._tasks))):
            try:
                kind, value = pipe.recv()
            except (EOFError, OSError):  # it has ended
                self._replace(pipe)
                continue
            partition = self._tasks[pipe]
            if kind == "item":
                self._deaths.read(partition.name, value)
                if self._on_item:
                    self._on_item(partition.name, value)
            elif kind == "error":
                raise value
            else:
                self._deaths.finish(partition.name)
                del self._tasks[pipe]
                self._give(pipe)
                yield value

    def stop(self) -> None:
        """End all workers; none leaves half a file."""
        for process in self._workers.values():
            process.terminate()
        for pipe, process in self._workers.items():
            process.join(_PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
            pipe.close()
            process.close()
        self._workers.clear()
        self._tasks.clear()

    def _give(self, pipe: Connection) -> None:
        """Give a worker the next partition, if there is one."""
        if self._waiting:
            partition = self._waiting.popleft()
            self._tasks[pipe] = partition
            attempt = self._deaths.begin(partition.name)
            with suppress(OSError):  # it has ended, which the next wait tells
                pipe.send((partition, attempt))

    def _replace(self, pipe: Connection) -> None:
        """Replace a worker that has ended, and do its partition again."""
        partition = self._tasks.pop(pipe)
        process = self._workers.pop(pipe)
        process.join()
        _log.warning("a worker ended (%s); its partition is done again", _how_ended(process.exitcode))
        pipe.close()
        process.close()
        self._waiting.appendleft(partition)
        self.start_worker()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends; a process that is started in it is never told of one."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which lets signals through again where it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _how_ended(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"with code {code}"


def _serve(pipe: Connection, job: Job) -> None:
    """Work on the partitions that come through a pipe, until it is closed. It is the main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the one that waits for us ends us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that no half-written file stays
    logging.getLogger("mien").addHandler(logging.NullHandler())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):  # the process that waits for us is gone
        while True:
            partition, attempt = pipe.recv()
            pipe.send(_result(pipe, job, partition, attempt))


def _end_with_parent() -> None:
    """End this process once the one that started it is gone, however it ended."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _result(pipe: Connection, job: Job, partition: Partition, attempt: Attempt) -> tuple[str, Any]:
    told = 0.0

    def tell(item: int) -> None:
        nonlocal told
        now = time.monotonic()
        if not attempt.careful and now - told < _TELL_SECONDS:
            return
        told = now
        try:
            pipe.send(("item", item))
        except OSError:
            sys.exit(1)  # nobody waits for us any more

    try:
        return "done", work_on(job, partition, attempt, on_item=tell)
    except Exception as error:  # noqa: BLE001  # it is raised where it can be shown
        return "error", sendable(error)
