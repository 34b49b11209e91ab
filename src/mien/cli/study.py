"""`mien study`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.errors import RunError

if TYPE_CHECKING:
    from mien.train import Candidate, Epoch, Trial


def study(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE[@FACES][+KEY=VALUE]...",
            help="TOML files; the others are compared with the first, which may be named again. RECIPE@clean.npz is"
            " trained on the train faces of that file instead; RECIPE+optim.lr=0.1 with that, whatever --set says.",
        ),
    ],
    faces: Annotated[Path, typer.Option("--faces", help="The file of faces; all are judged on its valid ones.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder of the study, such as runs/study.")],
    seeds: Annotated[int, typer.Option(help="Train each recipe with the seeds 1 to this.", min=1)] = 2,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting in all: optim.epochs=8. May be repeated.")
    ] = None,
    workers: Annotated[int, typer.Option(help="How many runs are trained at a time.", min=1)] = 1,
    threads: Annotated[int, typer.Option(help="Processor threads of each; 0: as suits.", min=0)] = 1,
) -> None:
    """Compare recipes over several seeds. May be killed at any moment; the same command goes on."""
    import logging

    from mien.cli.console import stderr, stdout
    from mien.data.formats.npz import load_faces
    from mien.io.atomic_write import is_file
    from mien.train.studies.study import study as study_

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    _refuse_seeds(changes or [])
    # Of final.toml *.toml, final is first, and once.
    distinct = {Path(each).resolve() if is_file(each) else each: each for each in recipes}
    candidates = [_candidate(each, changes or []) for each in distinct.values()]
    shown = _Shown(len(candidates) * seeds, workers)
    with shown.bar:
        trials = study_(
            candidates,
            load_faces(faces),
            out=out,
            seeds=seeds,
            workers=workers,
            threads=threads,
            progress=shown.progress,
        )
        try:
            for trial in trials:
                shown.trial(trial)
        except KeyboardInterrupt:
            text = f"stopped; what is done is in {out / 'table.md'}, and the same command goes on"
            stderr.print(text, markup=False, soft_wrap=True)
            raise
    stdout.print((out / "table.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True, end="")
    stderr.print(f"{out}: table.md, table.csv, table.png", markup=False, soft_wrap=True)
    if shown.failed:
        raise RunError(
            f"{shown.failed} of {shown.trials} trials failed, as the table says; the same command tries again"
        )


def _candidate(text: str, changes: list[str]) -> "Candidate":
    """What an argument names: a recipe, perhaps on other faces, perhaps with settings of its own."""
    import re
    from dataclasses import replace

    from mien.data.formats.npz import load_faces
    from mien.io.atomic_write import exists
    from mien.train import load_candidate

    if exists(text):
        return load_candidate(text, changes)
    rest, *own = re.split(r"\+(?=[a-z_.]+=)", text)
    _refuse_seeds(own)
    path, _, other = ("", "", "") if exists(rest) else rest.rpartition("@")
    one = load_candidate(path or rest, [*changes, *own])
    if path:
        faces = load_faces(other)
        count = int((faces.splits == "train").sum())
        about = f"{one.about} On the {count:,} train faces of {Path(other).name}.".strip()
        one = replace(one, name=f"{one.name}@{Path(other).stem}", about=about, train_faces=faces)
    for setting in own:
        name = re.sub(r"[^\w.=-]+", "_", setting)  # it becomes a folder's
        one = replace(one, name=f"{one.name}+{name}", about=f"{one.about} With {setting}.".strip())
    return one


def _refuse_seeds(settings: list[str]) -> None:
    if any(setting.partition("=")[0].strip() == "seed" for setting in settings):
        raise typer.BadParameter("leave seed=... out: a study gives each recipe the seeds 1 to --seeds")


class _Shown:
    """A bar on a terminal, epoch by epoch; a line a trial wherever stderr goes."""

    def __init__(self, trials: int, workers: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from mien.cli.console import on_terminal, stderr

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"))
        self.bar = Progress(*columns, TimeElapsedColumn(), console=stderr, disable=not on_terminal(stderr))
        self.trials, self.workers = trials, workers
        self.done, self.failed, self.left = 0, 0, 0
        self.epochs: list[Epoch] = []
        self.task = self.bar.add_task(f"trial 1 of {trials}", total=None)

    def progress(self, done: int, total: int) -> None:
        """Of the epochs of all trials so many are done."""
        self.left = total - done
        self.bar.update(self.task, completed=done, total=total)

    def trial(self, trial: "Trial") -> None:
        """This one is done."""
        from mien.cli.console import stderr

        self.done += 1
        self.epochs += trial.epochs
        if trial.failure:
            self.failed += 1
            what = f"failed: {trial.failure}"
        else:
            what = f"last {trial.last:.4f}, best {trial.best:.4f}, {trial.minutes:.1f} minutes"
        left = f"; about {self._minutes_left():.0f} minutes left" if self.left and self.epochs else ""
        text = f"trial {self.done} of {self.trials}: {trial.name}, seed {trial.seed}: {what}{left}"
        stderr.print(text, markup=False, soft_wrap=True)
        self.bar.update(self.task, description=f"trial {min(self.done + 1, self.trials)} of {self.trials}")

    def _minutes_left(self) -> float:
        """By the pace of all epochs so far."""
        pace = sum(epoch.seconds for epoch in self.epochs) / len(self.epochs)
        return self.left * pace / min(self.workers, self.trials - self.done) / 60
