"""`mien train` and `mien export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mien.train import Recipe, Run
    from mien.types import FaceSet


def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file, such as recipes/swift.toml.")],
    faces: Annotated[Path, typer.Option("--faces", help="The file of faces that `mien data import` wrote.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder of the run, such as runs/swift.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting: optim.lr=0.2. TOML; may be repeated.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in that folder, to the same bits.")
    ] = False,
    threads: Annotated[int, typer.Option(help="Processor threads; 0: as many as there are cores.", min=0)] = 0,
    folds: Annotated[
        int, typer.Option(help="Train this many nets, each without one part of the train faces, and score that.", min=0)
    ] = 0,
) -> None:
    """Train a net by a recipe. May be killed at any moment, and gone on with by --resume."""
    from mien.apps.terminal import stderr
    from mien.data.store import load_faces
    from mien.train import load_recipe
    from mien.train import train as train_

    how, loaded = load_recipe(recipe, changes or ()), load_faces(faces)
    if folds:
        _train_folds(how, loaded, out, folds=folds, resume=resume, threads=threads)
        return
    run = train_(how, loaded, out=out, resume=resume, threads=threads)
    _finish(run)
    stderr.print(f"next: mien export {out} -o model.onnx --faces {faces}", markup=False, soft_wrap=True)


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The model file to write, such as swift.onnx.")],
    name: Annotated[str, typer.Option(help="The model's name in its card; the file's, if not given.")] = "",
    note: Annotated[str, typer.Option(help="What a user should know: data, licence, limits.")] = "",
    faces: Annotated[
        Path | None, typer.Option(help="Measure the finished file on the valid faces of this file; into its card.")
    ] = None,
) -> None:
    """Write a run's best epoch as one self-describing ONNX file."""
    from mien.apps.terminal import stdout
    from mien.data.store import load_faces
    from mien.train import export as export_

    card = export_(run, out, name=name, note=note, faces=load_faces(faces) if faces else None)
    size = out.stat().st_size / 1e6
    stdout.print(f"{out}: {card.name}, {card.parameters:,} parameters, {size:.1f} MB", markup=False, soft_wrap=True)
    for figure, value in card.scores.items():
        stdout.print(f"{figure.replace('_', ' '):<30} {value:.4g}")


def _train_folds(how: "Recipe", faces: "FaceSet", out: Path, *, folds: int, resume: bool, threads: int) -> None:
    from mien.apps.terminal import stderr
    from mien.data.scores import save_scores
    from mien.train import fold_runs, held_out_scores

    runs: list[Run] = []
    for run in fold_runs(how, faces, out=out, folds=folds, resume=resume, threads=threads):
        stderr.print(f"fold {len(runs) + 1} of {folds}")
        _finish(run)
        runs.append(run)
    save_scores(held_out_scores(runs), out / "scores.npz")
    stderr.print(
        f"next: mien data audit FACES -o audit.json --scores {out / 'scores.npz'}", markup=False, soft_wrap=True
    )


def _finish(run: "Run") -> None:
    """Train what is left of a run, and say what came of it."""
    from mien.apps.terminal import stderr, stdout

    if run.epochs:
        stderr.print(f"going on after epoch {run.epochs[-1].number} of {run.recipe.optim.epochs}")
    _show_epochs(run)
    best = run.best
    if best:
        text = f"{run.out}: best valid accuracy {best.valid_accuracy:.4f}, in epoch {best.number}"
        stdout.print(text, markup=False, soft_wrap=True)


def _show_epochs(run: "Run") -> None:
    """A bar on a terminal; a line an epoch wherever stderr goes."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from mien.apps.terminal import stderr

    columns = (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f}%  loss {task.fields[loss]:.3f}  {task.fields[pace]:.0f} faces/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("train", total=run.recipe.optim.epochs * 1.0, epoch=len(run.epochs) + 1, loss=0.0, pace=0.0)

        def on_step(epochs: float, loss: float, pace: float) -> None:
            bar.update(task, completed=epochs, epoch=int(epochs) + 1, loss=loss, pace=pace)

        run.on_step = on_step
        for epoch in run:
            stderr.print(
                f"epoch {epoch.number:3d}  side {epoch.side}  loss {epoch.train_loss:.4f}  valid {epoch.valid_loss:.4f}"
                f"  accuracy {epoch.valid_accuracy:.4f}  lr {epoch.lr:.5f}  {epoch.faces_per_second:.0f} faces/s"
                f"  {epoch.seconds:.0f} s",
                soft_wrap=True,
            )
