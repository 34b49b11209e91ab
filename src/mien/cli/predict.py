"""`mien predict`: expressions read from pictures and videos, as tables, files and annotated copies."""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from mien.classify.abstain import Abstaining
from mien.classify.session import providers_of
from mien.cli.annotated_copies import annotated_copies
from mien.cli.options import (
    DEFAULT_MODELS,
    INPUT,
    OUTPUT,
    THRESHOLDS,
    VIDEO,
    Device,
    Json,
    Models,
    PriorText,
    Quiet,
    Threads,
    Tta,
    argument,
    classifier_of,
    flag,
    option,
    out,
)
from mien.cli.preview_window import WindowClosed, preview_window
from mien.cli.sinks import STDOUT, Sink, faceless_sink, summary_sink, table_sink, timeline_sink
from mien.cli.sources import find_all
from mien.cli.stats import PredictionStats
from mien.detect.whole_image import whole_image
from mien.detect.yunet import YuNet
from mien.errors import MienError
from mien.io.atomic_write import require_suffix, require_writable
from mien.io.frame import Frame, FrameSelection
from mien.io.source import LIST, is_live, is_video
from mien.io.video_reader import count_frames
from mien.pipeline.predictor import MIN_FACE, Predictor, threads_beside
from mien.track.smoothing import SMOOTHING_SECONDS
from mien.types import Prediction


def _seconds(text: object) -> float:
    """Parse seconds, as `90`, `90s`, `1:30` or `0:01:30.5` spell them."""
    seconds = 0.0
    try:
        for part in str(text).removesuffix("s").split(":"):
            seconds = seconds * 60 + float(part)
    except ValueError as error:
        raise typer.BadParameter(f"must be seconds, such as 0.2, 90s or 1:30, got {text}") from error
    return seconds


_SOURCES = (
    "Pictures, folders of pictures, videos, glob patterns in quotes, @FILE for a list of these, webcam:0, rtsp://... "
    "or http://..., or - for a picture on standard input."
)
_MIN_FACE = (
    "Leave out faces narrower than this. Big pictures are scaled down to what the smallest wanted face needs before "
    "faces are searched for, so a larger number is faster."
)


def predict(
    sources: Annotated[list[str], argument("SOURCE", _SOURCES)],
    cropped: Annotated[
        bool,
        flag("--cropped", panel=INPUT, help="Take each picture as one face that is cropped already; search for none."),
    ] = False,
    max_side: Annotated[
        int | None,
        option(
            "--max-side", panel=INPUT, metavar="PIXELS", help="Make larger pictures and frames smaller first.", min=48
        ),
    ] = None,
    out: Annotated[
        Path | None,
        out(
            "FILE", "Write the table to this file: .csv, .jsonl or .parquet; - is standard output, as CSV.", stdout=True
        ),
    ] = None,
    json: Json = False,
    draw: Annotated[
        str | None,
        option(
            "--draw",
            panel=OUTPUT,
            metavar="DIR|FILE",
            help="Write copies with what was seen drawn in: into a folder, or to a file of one picture (.jpg, .png) "
            "or one video (.mp4).",
        ),
    ] = None,
    timeline: Annotated[
        Path | None,
        option(
            "--timeline",
            panel=OUTPUT,
            metavar="FILE",
            help="Write a chart of the probabilities of each face over time: .png or .html.",
        ),
    ] = None,
    faceless: Annotated[
        Path | None,
        option(
            "--faceless",
            panel=OUTPUT,
            metavar="FILE",
            help="Write the pictures and frames without a face to this file, .csv.",
        ),
    ] = None,
    summary: Annotated[
        bool,
        flag("--summary", panel=OUTPUT, help="Print each face's share of time per expression instead of all rows."),
    ] = False,
    show: Annotated[bool, flag("--show", panel=OUTPUT, help="Show what is seen in a window; q closes it.")] = False,
    _quiet: Quiet = False,
    model: Models = DEFAULT_MODELS,
    tta: Tta = "none",
    prior: PriorText = "",
    device: Device = "auto",
    threads: Threads = 0,
    every: Annotated[
        float | None,
        option(
            "--every",
            panel=VIDEO,
            metavar="SECONDS",
            help="Take a frame each so many seconds: 0.2. Default: all frames.",
            parser=_seconds,
        ),
    ] = None,
    start: Annotated[
        float,
        option("--start", panel=VIDEO, metavar="SECONDS", help="Begin at this time: 90 or 1:30.", parser=_seconds),
    ] = 0.0,
    end: Annotated[
        float | None,
        option("--end", panel=VIDEO, metavar="SECONDS", help="End at this time. Default: at the end.", parser=_seconds),
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
    max_error: Annotated[
        float | None,
        option(
            "--max-error",
            panel=THRESHOLDS,
            metavar="SHARE",
            help="Write `uncertain` where more answers than this would be wrong: 0.05, 0.1, 0.15 or 0.2.",
            min=0,
            max=1,
        ),
    ] = None,
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
    min_face: Annotated[
        float, option("--min-face", panel=THRESHOLDS, metavar="PIXELS", help=_MIN_FACE, min=1)
    ] = MIN_FACE,
) -> None:
    """Read the expressions of the faces in pictures and videos.

    Examples
    --------
    mien predict photo.jpg --draw marked.jpg
    mien predict photos/ -o faces.csv --draw marked/
    mien predict party.mp4 --every 0.2 -o rows.csv --timeline faces.html
    """
    if max_error is not None and (tta != "none" or prior or len(model) > 1):
        raise typer.BadParameter("goes with one model, without --tta and --prior", param_hint="--max-error")
    selection = FrameSelection(every=every, start=start, end=end, max_side=max_side)
    names, missing = find_all(sources)
    lists = [source.removeprefix(LIST) for source in sources]
    _check_outputs(out, timeline, faceless, inputs=[*sources, *lists, *names, *(model or [])], as_json=json)
    detector = whole_image if cropped else None
    providers = providers_of(device)
    classifier = classifier_of(model, tta=tta, prior=prior, threads=threads_beside(detector), providers=providers)
    predictor = Predictor(
        classifier if max_error is None else Abstaining(classifier, max_error=max_error),
        detector=detector,
        min_face=min_face,
        min_detection=min_detection,
        min_confidence=min_confidence,
        smooth=smooth,
        threads=threads,
        providers=providers,
    )
    moving = any(map(is_video, names))
    stats = PredictionStats(len(names) + len(missing), moving=moving, expected=_expected(names, selection))
    for error in missing:
        stats.add_error("", error)
    outputs: list[AbstractContextManager[Sink]] = []  # closed from the last to the first
    if show:
        outputs.append(preview_window())
    if timeline is not None:
        outputs.append(timeline_sink(timeline, names))
    if draw is not None:
        outputs.append(annotated_copies(draw, names, sources))
    if faceless is not None:
        outputs.append(faceless_sink(faceless))
    if summary:
        outputs.append(summary_sink(as_json=json))
    if not summary or out is not None:  # the last, so that the table is whole whatever happens to the others
        outputs.append(table_sink(out, names, moving=moving, class_names=predictor.class_names, as_json=json))
    with ExitStack() as stack:
        sinks = [stats.add, *map(stack.enter_context, outputs)]
        stack.enter_context(stats.progress_bar())
        predictions = predictor.stream_with_frames(
            names,
            every=selection.every,
            start=selection.start,
            end=selection.end,
            max_side=selection.max_side,
            on_error=stats.add_error,
        )
        _hand_over(predictions, sinks, live=all(map(is_live, names)))
        stats.require_some()
    stats.report()
    stats.require_all()


def _check_outputs(*outputs: Path | None, inputs: Sequence[str], as_json: bool) -> None:
    """Refuse, before the work, what cannot be written, or would be written over what is read."""
    if as_json and outputs[0] is not None:
        raise typer.BadParameter("goes without --out: it prints the table", param_hint="--json")
    if outputs[2] is not None:
        require_suffix(outputs[2], (".csv",), "the list of --faceless")
    require_writable(*(None if path == STDOUT else path for path in outputs), inputs=map(Path, inputs))


def _expected(names: Sequence[str], selection: FrameSelection) -> int:
    """Estimate how many pictures and frames there are; 0: not known."""
    counts = [1] * len(names)
    for place, name in enumerate(names):
        if is_video(name):
            try:
                counts[place] = count_frames(name, selection=selection)
            except MienError:  # it is told of when its turn comes
                counts[place] = 0
    return sum(counts) if all(counts) else 0


def _hand_over(seen: Generator[tuple[Frame, Prediction]], sinks: Sequence[Sink], *, live: bool) -> None:
    """Hand each prediction to all sinks. A live source ends by an interrupt, any by closing the window."""
    with closing(seen):
        try:
            for frame, prediction in seen:
                for sink in sinks:
                    sink(frame, prediction)
        except WindowClosed:
            return
        except KeyboardInterrupt:
            if not live:
                raise
