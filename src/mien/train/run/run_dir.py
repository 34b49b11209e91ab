"""The folder of a run: one process trains in it at a time, and its files are right at every moment.

recipe.toml         the recipe, every value written out
run.json            what the run is of, and each environment that computed it
run.lock            held by the process that trains in the folder
last.safetensors    all that is needed to go on: weights, their average, optimizer state, the epochs so far
best.safetensors    the averaged weights of the epoch with the highest validation accuracy
teacher-views.npz   the answers of its teachers to views of the train faces (`loss.teacher_views`)
metrics.csv, curve.png   the epochs, for people; beside them TensorBoard's, where it is installed
"""

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from filelock import FileLock, Timeout

from mien.errors import OutputError, RunError
from mien.io.atomic_write import find_parts, make_folder, write_text
from mien.train.recipe_toml import parse_recipe
from mien.train.run.checkpoint import Checkpoint, Epoch, RunFacts, load_checkpoint, save_checkpoint
from mien.train.run.plots import RunPlots

_NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # what some network disks answer
_IDENTIFYING = ("run.json", "last.safetensors")  # a folder with one of these is a run's
_REPLACED = ("recipe.toml", "metrics.csv", "curve.png", "best.safetensors")
TEACHER_VIEWS = "teacher-views.npz"  # may lie in a new run's folder, as another run wrote it
RUN_FILES = (*_IDENTIFYING, *_REPLACED, "run.lock", TEACHER_VIEWS)

Environment = dict[str, str | int]  # versions of packages, the device, and so on, by name


@dataclass(frozen=True)
class _Session:
    """One process, or several together, that trained in the folder for some time."""

    started: str
    environment: Environment


@dataclass(frozen=True)
class _About:
    """The schema of run.json. sessions: the first, and then each whose environment differs from the one before."""

    run: RunFacts
    sessions: Annotated[list[_Session], msgspec.Meta(min_length=1)]


class RunDir:
    """The folder of one run.

    Parameters
    ----------
    path
        The folder; it is made when the run is opened.
    facts
        What the run is of.
    """

    def __init__(self, path: Path, facts: RunFacts) -> None:
        self.path, self.facts = path, facts
        self.changes: list[str] = []  # what differs from before the run was interrupted, by name
        self._plots = RunPlots(path)

    @contextmanager
    def lock(self, epochs: Sequence[Epoch]) -> Iterator[None]:
        """Keep other processes out of the folder.

        Raises RunError where another process trains in it, or has trained on from these epochs; OutputError where the
        lock cannot be written.
        """
        last = self.path / "last.safetensors"
        with lock_folder(self.path / "run.lock"):
            if list(epochs) != (load_checkpoint(last).epochs if last.exists() else []):
                raise RunError(f"the run in {self.path} has gone on since: take it up again by resume")
            self._remove_parts()
            yield

    def open(self, *, resume: bool, environment: Environment) -> Checkpoint | None:
        """Make the folder, or read how far its run has come; None where no epoch is finished.

        Raises RunError as `require_vacant` does, and where the folder holds another run; OutputError where it cannot be
        made.
        """
        require_vacant(self.path, resume=resume)
        last, about = self.path / "last.safetensors", self.path / "run.json"
        if last.exists():
            saved = load_checkpoint(last)
            self._go_on_with(saved.facts, environment)
            self.plot(saved.epochs)  # a process that was killed may not have come to it
            return saved
        if about.exists():
            self._require_same_run(_read_about(about).run)
        make_folder(self.path)
        _write_about(about, _About(self.facts, [_session(environment)]))  # the first: it makes the folder a run's
        write_text(self.path / "recipe.toml", self.facts.recipe)
        return None

    def _remove_parts(self) -> None:
        """Remove what a process that was killed in this folder had begun to write: no other process writes here."""
        for name in (*_IDENTIFYING, *_REPLACED, TEACHER_VIEWS):
            for part in find_parts(self.path / name):
                part.unlink(missing_ok=True)

    def save(self, saved: Checkpoint, *, best: Checkpoint | None) -> None:
        """Write a finished epoch as the last, and before it the best one, where that is new. Raises OutputError."""
        if best:
            save_checkpoint(self.path / "best.safetensors", best)
        save_checkpoint(self.path / "last.safetensors", saved)

    def plot(self, epochs: Sequence[Epoch]) -> None:
        """Write the epochs for people. Raises OutputError."""
        self._plots.write(epochs)

    def _require_same_run(self, before: RunFacts) -> bool:
        """Refuse another run than this one; return whether this one is longer than before."""
        then, now = (parse_recipe(each.recipe, where=f"the recipe of {self.path}") for each in (before, self.facts))
        longer = now.optim.epochs > then.optim.epochs
        if now == replace(then, optim=replace(then.optim, epochs=now.optim.epochs)):
            if now.optim.epochs < then.optim.epochs:
                raise RunError(
                    f"{self.path} holds a run of {then.optim.epochs} epochs, which cannot be shortened to"
                    f" {now.optim.epochs}: go on with --set optim.epochs={then.optim.epochs}"
                )
            then = now
        require_same(
            f"{self.path} holds a run",
            {"another recipe": then, "other faces": before.faces_hash, "another teacher": before.teacher},
            {"another recipe": now, "other faces": self.facts.faces_hash, "another teacher": self.facts.teacher},
        )
        return longer

    def _go_on_with(self, before: RunFacts, environment: Environment) -> None:
        """Take up a run; note in run.json what differs from before."""
        longer = self._require_same_run(before)
        self.facts = replace(self.facts, commit=before.commit)
        if longer:
            write_text(self.path / "recipe.toml", self.facts.recipe)
        path = self.path / "run.json"
        try:
            sessions = _read_about(path).sessions
        except RunError:  # it is gone or damaged, and the checkpoint has all that is needed
            return
        known = sessions[-1].environment
        self.changes = [name for name, value in environment.items() if known.get(name) != value]
        if longer:
            self.changes.append("optim.epochs")
        if self.changes:
            _write_about(path, _About(self.facts, [*sessions, _session(environment)]))


def require_vacant(path: Path, *, resume: bool) -> None:
    """Refuse a folder that a run must not be written to.

    Raises RunError where it holds a run that is not to be resumed, or in which another process trains; or where it
    holds a file of another origin that a run would replace.
    """
    if any((path / name).exists() for name in _IDENTIFYING):
        if not resume:
            raise RunError(f"{path} already holds a run: add --resume to go on with it, or name another folder")
        with lock_folder(path / "run.lock"):
            return
    for name in _REPLACED:
        if (path / name).exists():
            raise RunError(f"{path / name} is there, and a run would replace it: name another folder")


def require_same(holder: str, before: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Refuse to go on with what was begun with something else.

    Parameters
    ----------
    holder
        The subject of the error, such as "runs/plain holds a run".
    before, now
        What must be equal, by the words for what differs, such as "another recipe".

    Raises
    ------
    RunError
        Where a value differs.
    """
    for what in now:
        if before[what] != now[what]:
            raise RunError(f"{holder} with {what}: resume it with its own, or name another folder")


@contextmanager
def lock_folder(lock: Path) -> Iterator[None]:
    """Keep other processes out of a folder by a lock file in it; a killed process lets go of it.

    The file may stay. Where the disk knows no locks, nobody is kept out. Raises RunError where another process holds
    the lock, OutputError where it cannot be written.
    """
    held = FileLock(lock.resolve(), timeout=0, is_singleton=True, thread_local=False)
    try:
        held.acquire()
    except Timeout as error:
        raise RunError(f"another process trains in {lock.parent}: wait for its end, or name another folder") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise OutputError(f"cannot write {lock}: {error.strerror or error}") from error
    try:
        yield
    finally:
        held.release()


def _session(environment: Environment) -> _Session:
    return _Session(datetime.now(UTC).isoformat(timespec="seconds"), environment)


def _read_about(path: Path) -> _About:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_About)
    except (OSError, RecursionError, ValueError) as error:
        raise RunError(f"{path} cannot be read: empty the folder to begin anew, or name another: {error}") from error


def _write_about(path: Path, about: _About) -> None:
    write_text(path, msgspec.json.format(msgspec.json.encode(about)).decode() + "\n")
