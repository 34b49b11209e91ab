"""`mien bench train`: how fast a recipe trains here, and what the time goes to."""

from pathlib import Path
from typing import Annotated

from mien import train as training
from mien.cli.console import add_row, progress_bar, say, say_json, stdout, table
from mien.cli.options import HARDWARE, RECIPE, TRAINING, Changes, Json, Quiet, Threads, argument, option
from mien.cli.train import Accelerator, CudaGraph
from mien.evaluation import latency
from mien.io.recipe_files import find_recipe


def bench_train(
    recipe: Annotated[Path, argument("RECIPE", RECIPE)],
    seconds: Annotated[
        float, option("--seconds", panel=TRAINING, metavar="SECONDS", help="How long to measure.", min=0)
    ] = 10,
    changes: Changes = None,
    threads: Threads = 0,
    accelerator: Annotated[
        Accelerator,
        option("--accelerator", panel=HARDWARE, metavar="NAME", help="auto (the fastest there is), cpu, cuda or mps."),
    ] = "auto",
    cuda_graph: CudaGraph = False,
    json: Json = False,
    _quiet: Quiet = False,
) -> None:
    """Measure how fast a recipe trains on this machine.

    The faces are noise, since what they show costs nothing. The times are those of an epoch of FER2013.

    Examples
    --------
    mien bench train plain
    mien bench train swift-nano --threads 1 --seconds 30
    """
    find_recipe(recipe)  # a wrong name is answered before torch is imported, which takes seconds
    hardware = training.Hardware(threads, accelerator=accelerator, cuda_graph=cuda_graph)
    with progress_bar("Measuring") as progress:
        pace = training.bench(
            training.load_recipe(recipe, changes or ()), seconds=seconds, hardware=hardware, progress=progress
        )
    if json:
        facts = {"recipe": str(recipe), "machine": latency.machine(), "side": pace.side, "batch": pace.batch}
        computed = {"precision": pace.precision, "device": pace.device, "threads": pace.threads}
        figures = {"faces_per_second": pace.faces_per_second, "epoch_seconds": pace.seconds, "shares": pace.shares}
        say_json({**facts, **computed, **figures})
        return
    workers = f"{pace.threads} thread{'s' * (pace.threads > 1)} of " if pace.device == "cpu" else ""
    say(f"{recipe}, side {pace.side}, batch {pace.batch}, {pace.precision}, {workers}{pace.device}")
    say(f"{latency.machine()}\n")
    shown = table("part", "seconds an epoch", "share")
    for part, spent in pace.seconds.items():
        add_row(shown, [part, f"{spent:.2f}", f"{pace.shares[part]:.0%}"])
    stdout.print(shown)
    say(f"\n{pace.faces_per_second:,.0f} faces a second; an epoch of FER2013 takes {pace.epoch_seconds:.1f} s")
