"""`mien bench`: how fast a model is here."""

from typing import Annotated

from mien.classify.onnx import load
from mien.classify.session import providers_of
from mien.cli.console import add_row, progress_bar, say, say_json, stdout, table
from mien.cli.options import MODEL, Device, Json, Quiet, Threads, argument, option
from mien.evaluation import latency
from mien.pipeline.predictor import DEFAULT_MODEL
from mien.types import Classifier

_ROUNDS = 6  # that two models take turns


def bench(
    model: Annotated[str, argument("MODEL", "A model that ships, by its name, or a model file.")] = DEFAULT_MODEL,
    against: Annotated[
        str | None,
        option(
            "--against",
            panel=MODEL,
            metavar="MODEL",
            help="Measure this model, too, by turns, and say how the times compare: an int8 file against its original.",
            show_default=False,
        ),
    ] = None,
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
    mien bench small.onnx --against swift --threads 1
    """
    classifier = load(model, threads=threads, providers=providers_of(device))
    other = load(against, threads=threads, providers=providers_of(device)) if against else None
    with progress_bar("Measuring"):
        pairs = {batch: _measure(classifier, other, batch=batch) for batch in (1, 64)}
    if json:
        facts: dict[str, object] = {
            "model": classifier.name,
            "threads": classifier.threads,
            "machine": latency.machine(),
            "speeds": [_row(speed) for speed, _ in pairs.values()],
        }
        if other is not None:
            facts |= {"against": other.name, "against_speeds": [_row(speed) for _, speed in pairs.values() if speed]}
        say_json(facts)
        return
    workers = f"{classifier.threads} thread{'s' * (classifier.threads > 1)}"
    say(f"{classifier.name}, {workers}\n{latency.machine()}\n")
    compared = () if other is None else (f"ms of {other.name}", "ratio")
    shown = table("faces at once", "ms a face", "slowest tenth", "faces a second", *compared)
    for batch, (speed, beside) in pairs.items():
        figures = [f"{speed.milliseconds:.3f}", f"{speed.p90_milliseconds:.3f}", f"{speed.faces_per_second:,.0f}"]
        if beside is not None:
            figures += [f"{beside.milliseconds:.3f}", f"{speed.milliseconds / beside.milliseconds:.2f}"]
        add_row(shown, [batch, *figures])
    stdout.print(shown)


def _measure(
    classifier: Classifier, other: Classifier | None, *, batch: int
) -> tuple[latency.Speed, latency.Speed | None]:
    """Time one model, or two by turns, so that what else the machine does meets both alike."""
    if other is None:
        return latency.bench(classifier, batch=batch), None
    rounds = [[latency.bench(each, batch=batch, seconds=0.3) for each in (classifier, other)] for _ in range(_ROUNDS)]
    one, two = (tuple(second for speed in side for second in speed.seconds) for side in zip(*rounds, strict=True))
    return latency.Speed(batch, one), latency.Speed(batch, two)


def _row(speed: latency.Speed) -> dict[str, float]:
    return {"batch": speed.batch, "milliseconds": speed.milliseconds, "p90_milliseconds": speed.p90_milliseconds}
