"""`mien bench`: how fast a model is here."""

from typing import Annotated

from mien.classify.onnx import load
from mien.classify.session import providers_of
from mien.cli.console import add_row, progress_bar, say, say_json, stdout, table
from mien.cli.options import Device, Json, Quiet, Threads, argument
from mien.evaluation import latency
from mien.pipeline.predictor import DEFAULT_MODEL


def bench(
    model: Annotated[str, argument("MODEL", "A model that ships, by its name, or a model file.")] = DEFAULT_MODEL,
    threads: Threads = 0,
    device: Device = "auto",
    json: Json = False,
    _quiet: Quiet = False,
) -> None:
    """Measure how fast a model is on this machine.

    Examples
    --------
    mien bench
    mien bench my.onnx --threads 1
    """
    classifier = load(model, threads=threads, providers=providers_of(device))
    with progress_bar("Measuring"):
        speeds = {batch: latency.bench(classifier, batch=batch) for batch in (1, 64)}
    if json:
        rows = [
            {
                "batch": batch,
                "milliseconds": speed.milliseconds,
                "p90_milliseconds": speed.p90_milliseconds,
            }
            for batch, speed in speeds.items()
        ]
        facts = {"model": classifier.name, "threads": classifier.threads, "machine": latency.machine(), "speeds": rows}
        say_json(facts)
        return
    workers = f"{classifier.threads} thread{'s' * (classifier.threads > 1)}"
    say(f"{classifier.name}, {workers}\n{latency.machine()}\n")
    shown = table("faces at once", "ms a face", "slowest tenth", "faces a second")
    for batch, speed in speeds.items():
        figures = (f"{speed.milliseconds:.3f}", f"{speed.p90_milliseconds:.3f}", f"{speed.faces_per_second:,.0f}")
        add_row(shown, [batch, *figures])
    stdout.print(shown)
