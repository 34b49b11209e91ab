"""The trials of a study: runs, one after the other in this process, or several at a time in processes of their own."""

import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from mien.errors import MienError
from mien.train.recipe import Recipe
from mien.train.run.checkpoint import Epoch
from mien.train.run.hardware import Hardware
from mien.train.run.trainer import train
from mien.types import FaceSet


@dataclass(frozen=True)
class Trial:
    """The result of one candidate with one seed.

    Parameters
    ----------
    name
        The candidate's name.
    seed
        The seed.
    epochs
        The epochs that were trained.
    failure
        Why it did not come to its end, or empty.
    """

    name: str
    seed: int
    epochs: tuple[Epoch, ...]
    failure: str = ""

    def __repr__(self) -> str:
        result = f"failed: {self.failure}" if self.failure else f"last {self.last:.2%}, best {self.best:.2%}"
        return f"<Trial {self.name}, seed {self.seed}: {result}>"

    @property
    def best(self) -> float:
        """The highest validation accuracy: chosen on the faces it is measured on, so a little high; nan without one."""
        return max((epoch.valid_accuracy for epoch in self.epochs), default=math.nan)

    @property
    def last(self) -> float:
        """The validation accuracy of the last epoch; nan without one."""
        return self.epochs[-1].valid_accuracy if self.epochs else math.nan

    @property
    def minutes(self) -> float:
        """The time that its epochs took."""
        return sum(epoch.seconds for epoch in self.epochs) / 60


@dataclass(frozen=True)
class TrialJob:
    """A trial that is still to be trained: its recipe with its seed, its faces and its folder."""

    name: str
    recipe: Recipe
    faces: FaceSet
    folder: Path


OnEpoch = Callable[[TrialJob, int], None]  # called with how many of a job's epochs are done


def run_in_turn(jobs: Sequence[TrialJob], *, threads: int, on_epoch: OnEpoch) -> Iterator[tuple[TrialJob, Trial]]:
    """Train one after the other in this process."""
    for job in jobs:
        yield job, _run(job, threads, on_epoch)


def run_in_processes(
    jobs: Sequence[TrialJob], *, workers: int, threads: int, on_epoch: OnEpoch
) -> Iterator[tuple[TrialJob, Trial]]:
    """Train several at a time, each in a new process. A process that dies is a failure of its own trial alone."""
    waiting, running = list(jobs), dict[Connection, tuple[TrialJob, BaseProcess]]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                pipe, process = _start(job, threads)
                running[pipe] = job, process
            ready = wait(list(running))
            for pipe in [each for each in running if each in ready]:
                job, process = running[pipe]
                try:
                    message: int | Trial = pipe.recv()
                except EOFError:
                    process.join()
                    message = Trial(job.name, job.recipe.seed, (), f"its process ended with code {process.exitcode}")
                if isinstance(message, int):
                    on_epoch(job, message)
                    continue
                del running[pipe]
                process.join()
                yield job, message
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _run(job: TrialJob, threads: int, on_epoch: OnEpoch) -> Trial:
    epochs: list[Epoch] = []
    try:
        run = train(job.recipe, job.faces, out=job.folder, resume=True, hardware=Hardware(threads=threads))
        epochs = run.epochs
        on_epoch(job, len(epochs))
        for epoch in run:
            on_epoch(job, epoch.number)
    except (MienError, OSError, RuntimeError, ValueError, MemoryError) as error:  # the others can go on
        reason = str(error) if isinstance(error, MienError) else f"{type(error).__name__}: {error}"
        return Trial(job.name, job.recipe.seed, tuple(epochs), reason.partition("\n")[0])
    return Trial(job.name, job.recipe.seed, tuple(epochs))


def _start(job: TrialJob, threads: int) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")  # a process that uses torch cannot be forked
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, threads, theirs), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _work(job: TrialJob, threads: int, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one is interrupted, too, and ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe.send(_run(job, threads, lambda _job, epochs: pipe.send(epochs)))


def _end_with_parent() -> None:
    """End this process when the one that started it is killed, so that no two train in one folder later."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
