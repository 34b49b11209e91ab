"""`mien train` and `mien export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mien.train import Run


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
) -> None:
    """Train a net by a recipe. May be killed at any moment, and gone on with by --resume."""
    from mien.apps.terminal import stderr, stdout
    from mien.data.store import load_faces
    from mien.train import load_recipe
    from mien.train import train as train_

    run = train_(load_recipe(recipe, changes or ()), load_faces(faces), out=out, resume=resume, threads=threads)
    if run.epochs:
        stderr.print(f"going on after epoch {run.epochs[-1].number} of {run.recipe.optim.epochs}")
    _show_epochs(run)
    best = run.best
    if best:
        stdout.print(f"{out}: best valid accuracy {best.valid_accuracy:.4f}, in epoch {best.number}")
        stderr.print(f"next: mien export {out} -o model.onnx")


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
    figures = ", ".join(f"{key} {value:.4g}" for key, value in card.scores.items())
    stdout.print(f"{out}: {card.name}, {card.parameters:,} parameters, {out.stat().st_size / 1e6:.1f} MB; {figures}")


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
                f"  {epoch.seconds:.0f} s"
            )
