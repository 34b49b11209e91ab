"""A run's folder: opened only by the run whose it is, and right on disk at every moment."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mien.errors import OutputError, RunError
from mien.files import write_text
from mien.train.charts import Charts
from mien.train.run import Checkpoint, Epoch, load_tensors, save_tensors, versions
from mien.train.spelling import parse_recipe


class Folder:
    """Where a run lives. facts: what it is a run of, and what its model file will say of it."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = path, facts
        self._charts = Charts(path)

    def refuse_to_overwrite(self, *, resume: bool) -> None:
        """Raise RunError where the folder holds a run that is not to be resumed."""
        if (self.path / "run.json").exists() and not resume:
            raise RunError(f"{self.path} already holds a run: add --resume to go on with it, or name another folder")

    def open(self, *, resume: bool, computer: dict[str, Any]) -> Checkpoint | None:
        """Make the folder, or read from it where its run stands; None where no epoch of it is finished.

        computer: facts of what computes here, for run.json.
        Raises RunError where the folder holds a run that is not to be resumed, or one of other faces, another recipe or
        another teacher; OutputError where the folder cannot be made.
        """
        last, about = self.path / "last.safetensors", self.path / "run.json"
        self.refuse_to_overwrite(resume=resume)
        if last.exists():
            saved = load_tensors(last)
            self._check_same(saved.facts)
            self.facts["commit"] = saved.facts["commit"]
            self.draw(saved.epochs)  # a process that was killed may not have come to it
            return saved
        if about.exists():
            try:
                before = json.loads(about.read_text(encoding="utf-8"))
                self._check_same(before)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise RunError(f"{about} cannot be read: remove it to begin anew, or name another folder") from error
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {self.path}: {error.strerror}") from error
        write_text(self.path / "recipe.toml", self.facts["recipe"])
        facts = {**self.facts, **versions(), **computer, "started": datetime.now(UTC).isoformat(timespec="seconds")}
        write_text(about, json.dumps(facts, indent=2) + "\n")
        return None

    def save(self, saved: Checkpoint) -> None:
        """Write a finished epoch down: as the best, if it is, and as the last. Raises OutputError."""
        saved = saved._replace(facts={**self.facts, **saved.facts})
        *before, newest = (epoch.valid_accuracy for epoch in saved.epochs)
        if newest > max(before, default=-1.0):
            average = {name: tensor for name, tensor in saved.tensors.items() if name.startswith("average.")}
            save_tensors(self.path / "best.safetensors", saved._replace(tensors=average))
        save_tensors(self.path / "last.safetensors", saved)

    def draw(self, epochs: Sequence[Epoch]) -> None:
        """Show the epochs to people. Raises OutputError."""
        self._charts.draw(epochs)

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
