"""`mien train`."""

import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mien.errors import MienError

if TYPE_CHECKING:
    from mien.train import Run

Accelerator = Literal["auto", "cpu", "cuda", "mps"]


def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file, such as recipes/plain.toml.")],
    faces: Annotated[Path, typer.Option("--faces", help="The file of faces that `mien data import` wrote.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder of the run, such as runs/plain.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting: optim.lr=0.2. TOML; may be repeated.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in that folder, to the same bits.")
    ] = False,
    minutes: Annotated[
        float, typer.Option(help="Start no epoch that would end later than this from now; 0: no limit.", min=0)
    ] = 0,
    threads: Annotated[int, typer.Option(help="Processor threads of each process; 0: as suits.", min=0)] = 0,
    devices: Annotated[int, typer.Option(help="Devices of each machine, a process each.", min=1)] = 1,
    nodes: Annotated[int, typer.Option(help="Machines; docs/train.md says how to start each.", min=1)] = 1,
    accelerator: Annotated[Accelerator, typer.Option(help="What kind of device; auto: the fastest there is.")] = "auto",
    folds: Annotated[
        int, typer.Option(help="Train this many nets, each without one part of the train faces, and score that.", min=0)
    ] = 0,
) -> None:
    """Train a net by a recipe. May be killed at any moment, and gone on with by --resume."""
    from mien.cli.console import progress_bar, stderr
    from mien.data.formats.npz import load_faces
    from mien.train import Hardware, fold_runs, load_recipe
    from mien.train import train as train_

    if folds and minutes:
        raise typer.BadParameter("--minutes goes with a single run, without --folds")
    hardware = Hardware(threads, devices, nodes, accelerator)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    with _one_voice():
        how, loaded = load_recipe(recipe, changes or ()), load_faces(faces)
        if folds:
            runs = fold_runs(
                how,
                loaded,
                out=out,
                folds=folds,
                resume=resume,
                hardware=hardware,
            )
            _finish_folds(runs, out, folds=folds)
            return
        with progress_bar("Hearing the teacher") if how.loss.teachers else nullcontext() as progress:
            run = train_(
                how,
                loaded,
                out=out,
                resume=resume,
                minutes=minutes,
                hardware=hardware,
                progress=progress,
            )
        _finish(run)
        stderr.print(f"next: mien export {out} -o model.onnx --faces {faces}", markup=False, soft_wrap=True)


@contextmanager
def _one_voice() -> Iterator[None]:
    """Of several processes, let the first alone speak, but for those that have lost another."""
    from mien.cli.console import stderr, stdout
    from mien.train.run.distributed import LostProcessError, is_rank_zero

    stdout.quiet = stderr.quiet = not is_rank_zero()
    try:
        yield
    except LostProcessError:
        raise
    except MienError as error:
        if not is_rank_zero():
            raise typer.Exit(1) from error
        raise
    finally:
        stdout.quiet = stderr.quiet = False


def _finish_folds(runs: "Iterable[Run]", out: Path, *, folds: int) -> None:
    from mien.cli.console import stderr
    from mien.data.scores_file import save_scores
    from mien.train import held_out_scores

    done: list[Run] = []
    for run in runs:
        stderr.print(f"fold {len(done) + 1} of {folds}")
        _finish(run)
        done.append(run)
    if done[0].fabric.is_global_zero:
        save_scores(held_out_scores(done), out / "scores.npz")
    stderr.print(
        f"next: mien data audit FACES -o audit.json --scores {out / 'scores.npz'}", markup=False, soft_wrap=True
    )


def _finish(run: "Run") -> None:
    """Train what is left of a run, and say what came of it."""
    from mien.cli.console import stderr, stdout
    from mien.train.run.distributed import is_rank_zero

    stdout.quiet = stderr.quiet = not is_rank_zero()  # of several machines, which one it is comes out only now
    epochs = run.recipe.optim.epochs
    if run.epochs:
        changes = [] if run.finished else run.run_dir.changes
        others = f"; perhaps not to the same bits, as these are others now: {', '.join(changes)}" if changes else ""
        stderr.print(f"going on after epoch {run.epochs[-1].number} of {epochs}{others}", soft_wrap=True)
    try:
        _show_epochs(run)
    except KeyboardInterrupt:
        done = len(run.epochs)
        text = f"stopped in epoch {done + 1} of {epochs}; the {done} before are safe in {run.out}: go on with --resume"
        stderr.print(text, markup=False, soft_wrap=True)
        raise
    done = len(run.epochs)
    if run.out_of_time:
        text = f"time is up after epoch {done} of {epochs}: the next takes about {run.next_epoch_seconds:.0f} s"
        stderr.print(f"{text}; go on with --resume", soft_wrap=True)
    elif done < epochs:
        text = f"ended after epoch {done} of {epochs}: the last {run.recipe.optim.patience} were no better"
        stderr.print(text, soft_wrap=True)
    best = run.best
    if best:
        text = f"{run.out}: best valid accuracy {best.valid_accuracy:.4f}, in epoch {best.number}"
        stdout.print(text, markup=False, soft_wrap=True)


def _show_epochs(run: "Run") -> None:
    """A bar on a terminal; a line an epoch wherever stderr goes."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from mien.cli.console import on_terminal, stderr

    columns = (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f}%  loss {task.fields[loss]:.3f}  {task.fields[pace]:.0f} faces/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, disable=not on_terminal(stderr)) as bar:
        task = bar.add_task("train", total=run.recipe.optim.epochs * 1.0, epoch=len(run.epochs) + 1, loss=0.0, pace=0.0)

        def on_step(epochs: float, loss: float, pace: float) -> None:
            bar.update(task, completed=epochs, epoch=math.ceil(epochs), loss=loss, pace=pace)

        run.on_step = on_step
        for epoch in run:
            stderr.print(
                f"epoch {epoch.number:3d}  side {epoch.side}  loss {epoch.train_loss:.4f}  valid {epoch.valid_loss:.4f}"
                f"  accuracy {epoch.valid_accuracy:.4f}  lr {epoch.lr:.5f}  {epoch.faces_per_second:.0f} faces/s"
                f"  {epoch.seconds:.0f} s",
                soft_wrap=True,
            )
