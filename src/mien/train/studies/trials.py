"""Cells of a study: runs, one after the other in this process, or several at a time in processes of their own."""

import logging
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
    """What came of one candidate with one seed. failure: why it did not come to its end, or empty."""

    name: str
    seed: int
    epochs: tuple[Epoch, ...]
    failure: str = ""

    @property
    def best(self) -> float:
        """The highest validation accuracy of its epochs: chosen on the faces it is measured on, so a little high.

        It is not a number (nan) where there is no epoch, as `last` is then.
        """
        return max((epoch.valid_accuracy for epoch in self.epochs), default=math.nan)

    @property
    def last(self) -> float:
        """The validation accuracy of the last epoch."""
        return self.epochs[-1].valid_accuracy if self.epochs else math.nan

    @property
    def minutes(self) -> float:
        """That its epochs took."""
        return sum(epoch.seconds for epoch in self.epochs) / 60


@dataclass(frozen=True)
class TrialJob:
    """A trial that is to be trained: by this recipe, its seed in it, on these faces, in this folder."""

    name: str
    recipe: Recipe
    faces: FaceSet
    folder: Path


Tell = Callable[[TrialJob, int], None]  # called with how many of a job's epochs are done


def run_in_turn(jobs: Sequence[TrialJob], *, threads: int, tell: Tell) -> Iterator[tuple[TrialJob, Trial]]:
    """Train one after the other, here."""
    for job in jobs:
        yield job, _trained(job, threads, tell)


def run_in_processes(
    jobs: Sequence[TrialJob], *, workers: int, threads: int, tell: Tell
) -> Iterator[tuple[TrialJob, Trial]]:
    """Train so many at a time, a new process for each; a process that dies is a failure of its trial alone."""
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
                    tell(job, message)
                    continue
                del running[pipe]
                process.join()
                yield job, message
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _trained(job: TrialJob, threads: int, tell: Tell) -> Trial:
    epochs: list[Epoch] = []
    try:
        run = train(job.recipe, job.faces, out=job.folder, resume=True, hardware=Hardware(threads=threads))
        epochs = run.epochs
        tell(job, len(epochs))
        for epoch in run:
            tell(job, epoch.number)
    except (MienError, OSError, RuntimeError, ValueError, MemoryError) as error:  # the others can go on
        what = str(error) if isinstance(error, MienError) else f"{type(error).__name__}: {error}"
        return Trial(job.name, job.recipe.seed, tuple(epochs), what.partition("\n")[0])
    return Trial(job.name, job.recipe.seed, tuple(epochs))


def _start(job: TrialJob, threads: int) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")  # a process of torch's cannot be forked
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, threads, theirs), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _work(job: TrialJob, threads: int, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one is interrupted, too, and ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    pipe.send(_trained(job, threads, lambda _job, epochs: pipe.send(epochs)))


def _end_with_parent() -> None:
    """End this process when the one that started it is killed, so that no two train in one folder later."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
