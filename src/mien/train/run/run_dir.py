"""A run's folder: opened only by the run whose it is, by one process at a time, and right on disk at every moment."""

import errno
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mien.errors import OutputError, RunError
from mien.io.atomic_write import find_parts, write_text
from mien.train.recipe_toml import parse_recipe
from mien.train.run.checkpoint import Checkpoint, Epoch, library_versions, load_checkpoint, save_checkpoint
from mien.train.run.plots import RunPlots

_NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # what some network disks answer


class RunDir:
    """Where a run lives. facts: what it is a run of, and what its model file will say of it."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = path, facts
        self.changes: list[str] = []  # what computes otherwise than before the run was broken off, by name
        self._charts = RunPlots(path)

    def require_vacant(self, *, resume: bool) -> None:
        """Raise RunError where the folder holds a run that is not to be resumed, or what is none of a run of ours."""
        if any((self.path / name).exists() for name in ("run.json", "last.safetensors")):
            if not resume:
                raise RunError(
                    f"{self.path} already holds a run: add --resume to go on with it, or name another folder"
                )
            with self.alone():
                return
        for name in ("recipe.toml", "metrics.csv", "curve.png", "best.safetensors"):
            if (self.path / name).exists():
                raise RunError(f"{self.path / name} is there, and a run would replace it: name another folder")

    @contextmanager
    def alone(self, epochs: Sequence[Epoch] | None = None) -> Iterator[None]:
        """Keep other processes out of the folder. epochs: those that its run must have come to.

        Raises RunError where another process trains in it, or has trained in it since; OutputError.
        """
        last = self.path / "last.safetensors"
        with lock_folder(self.path / "run.lock"):
            if epochs is not None and list(epochs) != (load_checkpoint(last).epochs if last.exists() else []):
                raise RunError(f"the run in {self.path} has gone on since: take it up again by resume")
            self._remove_parts()
            yield

    def open(self, *, resume: bool, computer: dict[str, Any]) -> Checkpoint | None:
        """Make the folder, or read from it where its run stands; None where no epoch of it is finished.

        computer: facts of what computes here, for run.json.
        Raises RunError where the folder holds a run that is not to be resumed, or one of other faces, another recipe or
        another teacher, or another process trains in it; OutputError where the folder cannot be made.
        """
        last, about = self.path / "last.safetensors", self.path / "run.json"
        self.require_vacant(resume=resume)
        here = {**library_versions(), **computer}
        if last.exists():
            saved = load_checkpoint(last)
            self._check_same(saved.facts)
            self._note_changes(about, {**here, "commit": self.facts["commit"]})
            self.facts["commit"] = saved.facts["commit"]
            self.draw(saved.epochs)  # a process that was killed may not have come to it
            return saved
        if about.exists():
            try:
                self._check_same(_read(about))
            except (KeyError, TypeError) as error:
                raise _unreadable(about) from error
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {self.path}: {error.strerror}") from error
        facts = {**self.facts, **here, "started": datetime.now(UTC).isoformat(timespec="seconds")}
        write_text(about, json.dumps(facts, indent=2) + "\n")  # the first: it makes the folder a run's
        write_text(self.path / "recipe.toml", self.facts["recipe"])
        return None

    def _remove_parts(self) -> None:
        """Remove what a process that was killed in this folder had begun to write: no other process writes here."""
        for name in ("last.safetensors", "best.safetensors", "metrics.csv", "curve.png", "run.json", "recipe.toml"):
            for part in find_parts(self.path / name):
                part.unlink(missing_ok=True)

    def save(self, saved: Checkpoint) -> None:
        """Write a finished epoch down: as the best, if it is, and as the last. Raises OutputError."""
        saved = saved._replace(facts={**self.facts, **saved.facts})
        *before, newest = (epoch.valid_accuracy for epoch in saved.epochs)
        if newest > max(before, default=-1.0):
            average = {name: tensor for name, tensor in saved.tensors.items() if name.startswith("average.")}
            save_checkpoint(self.path / "best.safetensors", saved._replace(tensors=average))
        save_checkpoint(self.path / "last.safetensors", saved)

    def draw(self, epochs: Sequence[Epoch]) -> None:
        """Show the epochs to people. Raises OutputError."""
        self._charts.draw(epochs)

    def _note_changes(self, about: Path, here: dict[str, Any]) -> None:
        """Where other versions or another computer go on with a run, say so in run.json."""
        try:
            facts = _read(about)
        except RunError:  # it is gone or damaged, and the checkpoint has all that is needed
            return
        times = facts.setdefault("resumed", [])
        before = {**facts, **(times[-1] if times else {})}
        self.changes = [name for name, value in here.items() if before.get(name) != value]
        if self.changes:
            times.append({**here, "started": datetime.now(UTC).isoformat(timespec="seconds")})
            write_text(about, json.dumps(facts, indent=2) + "\n")

    def _check_same(self, facts: dict[str, Any]) -> None:
        recipe, own = (parse_recipe(each["recipe"], where=f"the recipe of {self.path}") for each in (facts, self.facts))
        differs = {
            "another recipe": recipe != own,
            "other faces": facts["faces_hash"] != self.facts["faces_hash"],
            "another teacher": facts.get("teacher") != self.facts.get("teacher"),
        }
        for what, does in differs.items():
            if does:
                raise RunError(f"{self.path} holds a run of {what}: resume it with its own, or name another folder")


@contextmanager
def lock_folder(lock: Path) -> Iterator[None]:
    """Keep other processes out of a folder by a lock file in it, which may stay; a killed process lets go of it.

    Where the disk knows no locks, nothing is kept out. Raises RunError where another process has it, OutputError where
    it cannot be written.
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


def _read(about: Path) -> dict[str, Any]:
    """What run.json says. Raises RunError where it is damaged."""
    try:
        facts = json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(about) from error
    if not isinstance(facts, dict):
        raise _unreadable(about)
    return facts


def _unreadable(about: Path) -> RunError:
    return RunError(f"{about} cannot be read: empty the folder to begin anew, or name another")
