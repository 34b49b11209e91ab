"""`mien study`: recipes compared over several seeds."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien import train as training
from mien.cli.console import ProgressBar, progress_bar, remark, say
from mien.cli.options import HARDWARE, TRAINING, Changes, FacesOption, Quiet, argument, option, out
from mien.data.formats.npz import load_faces
from mien.errors import RunError
from mien.io.atomic_write import is_file, require_folder
from mien.io.recipe_files import find_recipe

if TYPE_CHECKING:
    from mien.train import Epoch, Trial


def study(
    recipes: Annotated[
        list[str],
        argument(
            "RECIPE",
            "TOML files, or names of recipes that ship; others are compared with the first, which may come again.",
        ),
    ],
    faces: FacesOption,
    out: Annotated[Path, out("DIR", "The folder of the study, such as runs/study.")],
    _quiet: Quiet = False,
    seeds: Annotated[
        int, option("--seeds", panel=TRAINING, metavar="N", help="Train each recipe with the seeds 1 to N.", min=1)
    ] = 2,
    changes: Changes = None,
    workers: Annotated[
        int, option("--workers", panel=HARDWARE, metavar="N", help="How many runs to train at a time.", min=1)
    ] = 1,
    threads: Annotated[
        int,
        option("--threads", panel=HARDWARE, metavar="N", help="Processor threads of each; 0: as many as suit.", min=0),
    ] = 1,
) -> None:
    """Compare recipes over several seeds.

    It may be killed at any moment; the same command goes on. All are judged on the valid faces of the file.

    Examples
    --------
    mien study recipes/report/*.toml --faces faces.npz -o runs/study --seeds 3
    """
    if any(change.partition("=")[0].strip() == "seed" for change in changes or []):
        raise typer.BadParameter(
            "leave seed=... out: a study gives each recipe the seeds 1 to --seeds", param_hint="--set"
        )
    for name in recipes:
        if not is_file(name) and re.search(r"@|\+[a-z_.]+=", name):
            raise typer.BadParameter(
                f'must be a TOML file, got {name}; write what differs into a recipe with base = "OTHER.toml"',
                param_hint="RECIPE",
            )
    require_folder(out)
    # Of final.toml *.toml, final is first, and once.
    distinct = {Path(each).resolve() if is_file(each) else each: each for each in recipes}
    for each in distinct.values():
        find_recipe(each)  # a wrong name is answered before torch is imported, which takes seconds
    face_set = load_faces(faces)
    with progress_bar("Loading torch"):
        candidates = [training.load_candidate(each, changes or ()) for each in distinct.values()]
    with progress_bar("trials") as bar:
        shown = _Trials(bar, len(candidates) * seeds, workers)
        trials = training.study(
            candidates,
            face_set,
            out=out,
            seeds=seeds,
            workers=workers,
            threads=threads,
            progress=shown.progress,
        )
        try:
            for trial in trials:
                shown.add(trial)
        except KeyboardInterrupt:
            remark(f"stopped; what is done is in {out / 'table.md'}, and the same command goes on")
            raise
    say((out / "table.md").read_text(encoding="utf-8").rstrip("\n"))
    remark(f"{out}: table.md, table.csv, table.png")
    if shown.failed:
        raise RunError(
            f"{shown.failed} of {shown.total} trials failed, as the table says; the same command tries again"
        )


class _Trials:
    """Counts trials, and says how each ended and how long the others take."""

    def __init__(self, bar: ProgressBar, total: int, workers: int) -> None:
        self._bar = bar
        self.total, self.workers = total, workers
        self.done, self.failed, self.left = 0, 0, 0
        self.epochs: list[Epoch] = []

    def progress(self, done: int, total: int) -> None:
        """Take up how many of the epochs of all trials are done."""
        self.left = total - done
        self._bar.title(f"trial {min(self.done + 1, self.total)} of {self.total}, epochs")
        self._bar(done, total)

    def add(self, trial: "Trial") -> None:
        """Say how a trial ended."""
        self.done += 1
        self.epochs += trial.epochs
        if trial.failure:
            self.failed += 1
            what = f"failed: {trial.failure}"
        else:
            what = f"last {trial.last:.4f}, best {trial.best:.4f}, {trial.minutes:.1f} minutes"
        left = f"; about {self._minutes_left():.0f} minutes left" if self.left and self.epochs else ""
        remark(f"trial {self.done} of {self.total}: {trial.name}, seed {trial.seed}: {what}{left}")

    def _minutes_left(self) -> float:
        """Estimate how long the rest takes, by the pace of all epochs so far."""
        pace = sum(epoch.seconds for epoch in self.epochs) / len(self.epochs)
        return self.left * pace / min(self.workers, self.total - self.done) / 60
