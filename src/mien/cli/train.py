"""`mien train`: a run by a recipe, its epochs as lines on stderr and its result on stdout."""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mien import train as training
from mien.cli import console
from mien.cli.console import progress_bar, remark, say
from mien.cli.options import (
    HARDWARE,
    RECIPE,
    TRAINING,
    Changes,
    FacesOption,
    Quiet,
    Threads,
    argument,
    flag,
    option,
    out,
)
from mien.data.formats.npz import load_faces
from mien.data.scores_file import save_scores
from mien.errors import MienError
from mien.io.atomic_write import require_folder
from mien.io.recipe_files import find_recipe

if TYPE_CHECKING:
    from mien.train import Epoch, Run

Accelerator = Literal["auto", "cpu", "cuda", "mps"]
CudaGraph = Annotated[
    bool, flag("--cuda-graph", panel=HARDWARE, help="Replay each step as a CUDA graph, on one GPU: fewer launches.")
]


def train(
    recipe: Annotated[Path, argument("RECIPE", RECIPE)],
    faces: FacesOption,
    out: Annotated[Path, out("DIR", "The folder of the run, such as runs/plain.")],
    _quiet: Quiet = False,
    changes: Changes = None,
    resume: Annotated[
        bool,
        flag("--resume", panel=TRAINING, help="Go on with the run in that folder; the result is the same to the bit."),
    ] = False,
    minutes: Annotated[
        float,
        option(
            "--minutes",
            panel=TRAINING,
            metavar="MINUTES",
            help="Start no epoch that would end later than so many minutes from now; 0: no limit.",
            min=0,
        ),
    ] = 0,
    folds: Annotated[
        int,
        option(
            "--folds",
            panel=TRAINING,
            metavar="N",
            help="Train this many nets, each without one part of the train faces, and score that part; 0: one net.",
            min=0,
        ),
    ] = 0,
    threads: Threads = 0,
    devices: Annotated[
        int, option("--devices", panel=HARDWARE, metavar="N", help="Devices of each machine, a process each.", min=1)
    ] = 1,
    nodes: Annotated[
        int,
        option("--nodes", panel=HARDWARE, metavar="N", help="Machines; docs/train.md says how to start each.", min=1),
    ] = 1,
    accelerator: Annotated[
        Accelerator,
        option("--accelerator", panel=HARDWARE, metavar="NAME", help="auto (the fastest there is), cpu, cuda or mps."),
    ] = "auto",
    cuda_graph: CudaGraph = False,
) -> None:
    """Train a net by a recipe.

    It may be killed at any moment; --resume goes on.

    Examples
    --------
    mien train plain --faces faces.npz -o runs/plain
    mien train plain --faces faces.npz -o runs/fast --set optim.epochs=5
    """
    if folds and minutes:
        raise typer.BadParameter("goes with a single run, without --folds", param_hint="--minutes")
    find_recipe(recipe)  # a wrong name is answered before torch is imported, which takes seconds
    hardware = training.Hardware(threads, devices, nodes, accelerator, cuda_graph)
    face_set = load_faces(faces)
    require_folder(out)
    with _one_voice():
        loaded = training.load_recipe(recipe, changes or ())
        if folds:
            runs = training.fold_runs(loaded, face_set, out=out, folds=folds, resume=resume, hardware=hardware)
            _finish_folds(runs, out, faces, folds=folds)
            return
        with progress_bar("Asking the teacher" if loaded.loss.teachers else "Preparing") as progress:
            run = training.train(
                loaded, face_set, out=out, resume=resume, minutes=minutes, hardware=hardware, progress=progress
            )
        _finish(run)
        remark(f"next: mien export {out} -o model.onnx --faces {faces}")


@contextmanager
def _one_voice() -> Iterator[None]:
    """Let only the first of several processes speak, and one that has lost another."""
    another = os.environ.get("LOCAL_RANK", "0") != "0"  # a process that the first one started
    with nullcontext() if another else progress_bar("Loading torch"):
        from mien.train.run.distributed import LostProcessError, is_rank_zero  # after the arguments are checked

    before = console.stdout.quiet, console.stderr.quiet
    if not is_rank_zero():
        console.stdout.quiet = console.stderr.quiet = True
    try:
        yield
    except LostProcessError:
        raise
    except MienError as error:
        if not is_rank_zero():
            raise typer.Exit(1) from error
        raise
    finally:
        console.stdout.quiet, console.stderr.quiet = before


def _finish_folds(runs: "Iterable[Run]", out: Path, faces: Path, *, folds: int) -> None:
    done: list[Run] = []
    for run in runs:
        remark(f"fold {len(done) + 1} of {folds}")
        _finish(run)
        done.append(run)
    if done[0].fabric.is_global_zero:
        save_scores(training.held_out_scores(done), out / "scores.npz")
    remark(f"next: mien data audit {faces} -o audit.json --scores {out / 'scores.npz'}")


def _finish(run: "Run") -> None:
    """Train what is left of a run, and say what came of it."""
    if not run.fabric.is_global_zero:  # of several machines, which one it is comes out only now
        console.stdout.quiet = console.stderr.quiet = True
    epochs = run.recipe.optim.epochs
    if run.remark:
        remark(run.remark)
    if run.epochs:
        changes = [] if run.finished else run.run_dir.changes
        others = f"; perhaps not to the same bits, as these are others now: {', '.join(changes)}" if changes else ""
        remark(f"going on after epoch {run.epochs[-1].number} of {epochs}{others}")
    try:
        _show_epochs(run)
    except KeyboardInterrupt:
        safe = f"the first {run.saved_count} are safe in {run.out}: go on with --resume"
        remark(f"stopped in epoch {len(run.epochs) + 1} of {epochs}; {safe}")
        raise
    done = len(run.epochs)
    if run.out_of_time:
        text = f"time is up after epoch {done} of {epochs}: the next takes about {run.next_epoch_seconds:.0f} s"
        remark(f"{text}; go on with --resume")
    elif done < epochs:
        remark(f"ended after epoch {done} of {epochs}: the last {run.recipe.optim.early_stop_patience} were no better")
    best = run.best
    if best:
        say(f"{run.out}: best valid accuracy {best.valid_accuracy:.4f}, in epoch {best.number}")


def _show_epochs(run: "Run") -> None:
    """Show a bar on a terminal, and a line an epoch wherever stderr goes."""
    with progress_bar(f"epoch {len(run.epochs) + 1}") as bar:

        def on_step(epochs: float, loss: float, faces_per_second: float) -> None:
            bar.title(f"epoch {math.ceil(epochs)}  loss {loss:.3f}  {faces_per_second:.0f} faces/s")
            bar(epochs, run.recipe.optim.epochs)

        run.on_step = on_step
        for epoch in run:
            remark(_line(epoch))


def _line(epoch: "Epoch") -> str:
    return (
        f"epoch {epoch.number:3d}  side {epoch.image_size}  loss {epoch.train_loss:.4f}  valid {epoch.valid_loss:.4f}"
        f"  accuracy {epoch.valid_accuracy:.4f}  lr {epoch.lr:.5f}  {epoch.faces_per_second:.0f} faces/s"
        f"  {epoch.seconds:.0f} s"
    )
