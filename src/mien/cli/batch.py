"""`mien batch`: expressions read from very many pictures and videos, by processes or a cluster, into Parquet files."""

import time
from typing import Annotated, Literal

import typer

from mien.batch.run import Batch, Engine
from mien.batch.tables import TableColumns
from mien.classify.ensemble import base_classifiers
from mien.classify.session import providers_of
from mien.cli.console import ProgressBar, on_terminal, progress_bar, remark, say, stderr
from mien.cli.options import (
    DEFAULT_MODELS,
    HARDWARE,
    INPUT,
    OUTPUT,
    THRESHOLDS,
    VIDEO,
    Device,
    Models,
    PriorText,
    Quiet,
    Tta,
    argument,
    classifier_of,
    flag,
    option,
)
from mien.cli.sources import require_pictures
from mien.cli.stats import count
from mien.detect.whole_image import whole_image
from mien.detect.yunet import YuNet
from mien.errors import DataError
from mien.io.frame import FrameSelection
from mien.pipeline.predictor import MIN_FACE, Predictor
from mien.track.smoothing import SMOOTHING_SECONDS

_SOURCES = (
    "Pictures, videos, Parquet files of pictures, folders of these, patterns in quotes, addresses such as "
    "s3://bucket/photos, or @FILE for a list of these, one a line."
)
_NAMED = 5  # errors that are told in full, before it is only said where all are
_LINE_SECONDS = 60.0  # between lines of progress, where no terminal shows a bar


def batch(
    sources: Annotated[list[str], argument("SOURCE", _SOURCES)],
    out: Annotated[
        str,
        option(
            "-o",
            "--out",
            panel=OUTPUT,
            metavar="DIR",
            help="The folder or address that gets rows/, errors.parquet and, when all is done, manifest.json. "
            "Finished partitions in it are not done again.",
        ),
    ],
    update: Annotated[
        bool,
        flag(
            "--update",
            panel=OUTPUT,
            help="Replace rows of other inputs or settings in this folder; else it is refused.",
        ),
    ] = False,
    retry: Annotated[
        bool, flag("--retry", panel=OUTPUT, help="Do partitions with errors again, such as after a network was down.")
    ] = False,
    partition: Annotated[
        int,
        option(
            "--partition",
            panel=OUTPUT,
            metavar="N",
            help="About as many pictures have a file of rows together; 0: 16 to 1024, as suits their number.",
            min=0,
        ),
    ] = 0,
    bytes_column: Annotated[
        str,
        option(
            "--bytes-column",
            panel=INPUT,
            metavar="NAME",
            help="The column of Parquet files that holds pictures. Default: image, bytes, content, img, jpg or data.",
            show_default=False,
        ),
    ] = "",
    id_column: Annotated[
        str,
        option(
            "--id-column",
            panel=INPUT,
            metavar="NAME",
            help="The column that says what to call each. Default: id, path, source, name, file_name, key or url.",
            show_default=False,
        ),
    ] = "",
    cropped: Annotated[
        bool, flag("--cropped", panel=INPUT, help="Take each picture as one face that is cropped already.")
    ] = False,
    max_side: Annotated[
        int | None,
        option("--max-side", panel=INPUT, metavar="PIXELS", help="Make larger pictures smaller first.", min=48),
    ] = None,
    _quiet: Quiet = False,
    model: Models = DEFAULT_MODELS,
    tta: Tta = "none",
    prior: PriorText = "",
    every: Annotated[
        float | None,
        option(
            "--every", panel=VIDEO, metavar="SECONDS", help="Take a frame each so many seconds. Default: all frames."
        ),
    ] = None,
    smooth: Annotated[
        float,
        option(
            "--smooth",
            panel=VIDEO,
            metavar="SECONDS",
            help="Average the probabilities of a face over about this time; 0: as they come.",
            min=0,
        ),
    ] = SMOOTHING_SECONDS,
    min_face: Annotated[
        float,
        option("--min-face", panel=THRESHOLDS, metavar="PIXELS", help="Leave out faces narrower than this.", min=1),
    ] = MIN_FACE,
    min_detection: Annotated[
        float,
        option(
            "--min-detection",
            panel=THRESHOLDS,
            metavar="SHARE",
            help="Leave out faces that the detector is less certain of than this.",
            min=0,
            max=1,
        ),
    ] = YuNet.threshold,
    min_confidence: Annotated[
        float,
        option(
            "--min-confidence",
            panel=THRESHOLDS,
            metavar="SHARE",
            help="Leave out faces whose expression is less certain than this.",
            min=0,
            max=1,
        ),
    ] = 0.0,
    engine: Annotated[
        Literal["local", "ray"],
        option(
            "--engine",
            panel=HARDWARE,
            metavar="NAME",
            help="local: processes of this machine; ray: actors of Ray, on a cluster, too. Both write the same files.",
        ),
    ] = "local",
    workers: Annotated[
        int,
        option("--workers", panel=HARDWARE, metavar="N", help="Processes or actors; 0: one a CPU, or GPU.", min=0),
    ] = 0,
    address: Annotated[
        str,
        option(
            "--address",
            panel=HARDWARE,
            metavar="HOST:PORT",
            help="The cluster of Ray, or auto. Default: Ray is started on this machine.",
            show_default=False,
        ),
    ] = "",
    worker_gpus: Annotated[
        float | None,
        option(
            "--worker-gpus",
            panel=HARDWARE,
            metavar="N",
            help="GPUs that Ray reserves for each actor, such as 0.5. Default: 1 with --device cuda, else 0.",
            min=0,
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Read the expressions in very many pictures and videos into Parquet files.

    The rows are those of `mien predict`. The same command goes on where it was stopped or killed. What cannot be read
    is in errors.parquet, and is no failure: the exit code is 0, and 1 only where nothing could be read.

    Examples
    --------
    mien batch photos/ -o rows/
    mien batch shards/ --id-column key -o s3://bucket/rows
    mien batch s3://bucket/photos -o s3://bucket/rows --engine ray --address auto
    """
    if engine == "local" and (address or worker_gpus):
        raise typer.BadParameter("goes with --engine ray", param_hint="--address" if address else "--worker-gpus")
    require_pictures(sources, tables=True)
    providers = providers_of(device)
    classifier = classifier_of(model, tta=tta, prior=prior, threads=1, providers=providers)
    predictor = Predictor(
        classifier,
        threads=1,  # the processes are as many as there is room for
        detector=whole_image if cropped else None,
        min_face=min_face,
        min_detection=min_detection,
        min_confidence=min_confidence,
        smooth=smooth,
        providers=providers,
    )
    settings = {
        "models": [getattr(each, "hash", "") for each in base_classifiers(classifier)],
        "tta": tta,
        "prior": prior,
        "cropped": cropped,
        "min_face": min_face,
        "min_detection": min_detection,
        "min_confidence": min_confidence,
        "smooth": smooth,
    }
    with progress_bar("pictures found") as bar:
        job = Batch(
            sources,
            out,
            predictor=predictor,
            settings=settings,
            columns=TableColumns(bytes_column, id_column),
            selection=FrameSelection(every=every, max_side=max_side),
            partition=partition,
            update=update,
            retry=retry,
            on_found=lambda found: bar(found, 0),
        )
    gpus = worker_gpus if worker_gpus is not None else float(device == "cuda")
    _run(job, Engine(name=engine, workers=workers, gpus=gpus, address=address), out)


def _run(job: Batch, engine: Engine, out: str) -> None:
    """Run a batch, show how it goes on, and say what came of it."""
    total = len(job.plan.partitions)
    if job.done and job.left:
        remark(f"going on: {len(job.done):,} of {count(total, 'partition')} are done")
    try:
        with progress_bar("") as bar:
            job.run(engine, on_progress=_Progress(bar, job))
    except (KeyboardInterrupt, SystemExit):
        remark(f"stopped: {len(job.done):,} of {count(total, 'partition')} are done; the same command goes on")
        raise
    results = list(job.done.values())
    pictures, frames, faces = (sum(getattr(each, name) for each in results) for name in ("pictures", "frames", "faces"))
    errors = [*job.plan.refused, *(error for each in results for error in each.errors)]
    seen = " and ".join(
        [count(pictures, "picture")] * bool(pictures or not frames) + [count(frames, "frame")] * bool(frames)
    )
    say(f"{out}: {count(faces, 'face')} in {seen}, {count(total, 'partition')}")
    for error in errors[:_NAMED]:
        remark(f"left out: {error.error}")
    where = f"{out.rstrip('/')}/errors.parquet"
    if errors and not pictures + frames:
        raise DataError(f"none of {job.plan.count + len(job.plan.refused):,} inputs could be read; {where} says why")
    if errors:
        remark(f"{count(len(errors), 'error')}, all in {where}; where a network or a disk was at fault: --retry")


class _Progress:
    """Shows how many pictures are read, how many a second, and how long the others take."""

    def __init__(self, bar: ProgressBar, job: Batch) -> None:
        self._bar = bar
        self._what = "inputs" if job.plan.has_videos else "pictures"
        self._total = job.plan.count
        self._before = job.finished_count
        self._start = self._said = time.monotonic()
        bar.title(self._what)
        bar(self._before, self._total)

    def __call__(self, done: int) -> None:
        """Show how many are read."""
        now = time.monotonic()
        rate = (done - self._before) / max(now - self._start, 1e-9)
        self._bar.title(f"{self._what} {rate:,.0f}/s")
        self._bar(done, self._total)
        if now - self._said >= _LINE_SECONDS and not on_terminal(stderr):
            self._said = now
            left = (self._total - done) / rate / 60 if rate else 0
            remark(f"{done:,} of {self._total:,} {self._what}, {rate:,.0f}/s, about {left:,.0f} minutes left")
