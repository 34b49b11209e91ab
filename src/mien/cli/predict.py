"""`mien predict` and `mien demo`: expressions read from pictures and videos, as tables, files and annotated copies."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.annotated_copies import marking
from mien.cli.preview_window import WindowClosed, window
from mien.cli.sinks import plotted, summed, table
from mien.cli.stats import Tally

if TYPE_CHECKING:
    from mien.classify.tta import Tta
    from mien.io.frame import Frame, FrameSelection
    from mien.types import Classifier, Prediction

    Take = Callable[[Frame, Prediction], None]


def _seconds(text: str) -> float:
    """Seconds, as `90`, `90s`, `1:30` or `0:01:30.5` spell them."""
    seconds = 0.0
    try:
        for part in text.removesuffix("s").split(":"):
            seconds = seconds * 60 + float(part)
    except ValueError as error:
        raise typer.BadParameter(f"must be seconds, such as 0.2, 90s or 1:30, got {text}") from error
    return seconds


def predict(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Pictures, folders of pictures, videos, glob patterns in quotes, @FILE for a list of these, webcam:0, "
            "rtsp://... or http://..., or - for a picture on standard input.",
            show_default=False,
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A model that ships, by name, or a model file; several are an ensemble.",
            metavar="MODEL",
        ),
    ] = None,
    crops: Annotated[
        bool, typer.Option("--crops", help="Each picture is one face, cropped already: no face is searched for.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the table to this file: .csv, .jsonl or .parquet.", metavar="FILE"),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            help="Write copies, with what was seen drawn in, to this folder; of one video, to this file, .mp4.",
            metavar="DIR|FILE",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Write the probabilities of each face over time to this file: .png or .html.", metavar="FILE"
        ),
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Print each face's share of time per expression instead of all rows.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Show what is seen in a window; q closes it.")] = False,
    every: Annotated[
        float | None,
        typer.Option(
            parser=_seconds, metavar="SECONDS", help="Of a video, take a frame each so many seconds, such as 0.2."
        ),
    ] = None,
    start: Annotated[
        float | None, typer.Option(parser=_seconds, metavar="SECONDS", help="Begin there in a video: 90 or 1:30.")
    ] = None,
    end: Annotated[float | None, typer.Option(parser=_seconds, metavar="SECONDS", help="End there in a video.")] = None,
    max_side: Annotated[
        int | None,
        typer.Option(min=48, metavar="PIXELS", help="Make larger pictures and frames smaller than this first."),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Do not average the probabilities of a face in a video over time.")
    ] = False,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out faces whose expression is less certain than this.")
    ] = 0.0,
    min_detection: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out what is less surely a face than this.")
    ] = 0.65,
    min_face: Annotated[
        float,
        typer.Option(
            min=1,
            metavar="PIXELS",
            help="Leave out faces narrower than this. Big pictures are scaled down to what the smallest wanted face "
            "needs before faces are searched for, so a larger number is faster.",
        ),
    ] = 20.0,
    mirror: Annotated[bool, typer.Option("--mirror", help="Average over each face and its mirror image.")] = False,
    five_crop: Annotated[
        bool, typer.Option("--five-crop", help="Average over each face's corners and middle; with --mirror, ten crops.")
    ] = False,
) -> None:
    """Read the expressions of the faces in pictures and videos."""
    from mien.classify.ensemble import class_names_of
    from mien.detect.whole_image import whole_image
    from mien.io.atomic_write import require_writable
    from mien.io.frame import FrameSelection
    from mien.io.source import LIST, find_sources, is_live, is_video
    from mien.pipeline.predictor import Predictor, threads_beside
    from mien.track.smoothing import SMOOTHING_SECONDS

    selection = FrameSelection(every=every, start=start or 0.0, end=end, max_side=max_side)
    names: list[str] = list(find_sources(sources))
    require_writable(
        output, plot, inputs=[Path(name) for source in sources for name in (source, source.removeprefix(LIST))]
    )
    detector = whole_image if crops else None
    classifier = _classifier(model or [], mirror=mirror, five_crop=five_crop, threads=threads_beside(detector))
    predictor = Predictor(
        classifier,
        detector=detector,
        min_face=min_face,
        min_detection=min_detection,
        min_confidence=min_confidence,
        smooth=0 if raw else SMOOTHING_SECONDS,
    )
    moving = any(map(is_video, names))
    tally = Tally(names, moving=moving, frames=_frames(names, selection))
    with ExitStack() as stack:
        takers: list[Take] = [tally.add]
        if show:
            takers.append(stack.enter_context(window()))
        if output is not None or not summary:
            takers.append(
                stack.enter_context(table(output, names, moving=moving, class_names=class_names_of(classifier)))
            )
        if draw is not None:
            takers.append(stack.enter_context(marking(draw, names, sources)).add)
        if plot is not None:
            takers.append(stack.enter_context(plotted(plot, names)))
        if summary:
            takers.append(stack.enter_context(summed()))
        stack.enter_context(tally.progress_bar())
        seen = predictor.stream_with_frames(
            names,
            every=selection.every,
            start=selection.start,
            end=selection.end,
            max_side=selection.max_side,
            on_error=tally.refuse,
        )
        _hand_over(seen, takers, live=all(map(is_live, names)))
        tally.require_some()
    tally.tell()
    tally.require_all()


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The annotated picture to write.", metavar="FILE")
    ] = Path("mien-demo.png"),
) -> None:
    """Read the expression of a portrait that ships, and draw what was seen."""
    from importlib.resources import files

    from mien.cli.console import stdout
    from mien.cli.terminal_table import Lines
    from mien.io.image import read_picture
    from mien.pipeline.predictor import Predictor
    from mien.visualize.annotate import draw, save_picture

    with (files("mien") / "assets" / "portrait.jpg").open("rb") as file:
        picture = read_picture(file)
    prediction = Predictor()(picture, source="portrait.jpg")
    Lines([prediction.source]).show(prediction)
    save_picture(draw(picture, prediction), output)
    stdout.print(_NEXT.format(output=output), markup=False, soft_wrap=True)


_NEXT = """
The picture with the face marked is {output}: the astronaut Eileen Collins, by NASA.

Next, with pictures of your own:
  mien predict photo.jpg                         the faces of a photo
  mien predict photos/ --draw marked/            of a folder, and draws into copies
  mien predict photos/ -o faces.csv              as a table: .csv, .jsonl or .parquet
  mien predict crops/ --crops                    where each picture is one face already
  mien models                                    what ships, and how good it is"""


def _tta(*, mirror: bool, five_crop: bool) -> "Tta":
    if five_crop:
        return "ten-crop" if mirror else "five-crop"
    return "mirror" if mirror else "none"


def _classifier(models: list[str], *, mirror: bool, five_crop: bool, threads: int) -> "Classifier":
    """What the options -m, --mirror and --five-crop ask for."""
    from mien.classify.ensemble import Ensemble
    from mien.classify.onnx import load
    from mien.classify.tta import with_tta
    from mien.pipeline.predictor import DEFAULT_MODEL

    loaded = [load(model, threads=threads) for model in models or [DEFAULT_MODEL]]
    classifier: Classifier = loaded[0] if len(loaded) == 1 else Ensemble(*loaded)
    return with_tta(classifier, _tta(mirror=mirror, five_crop=five_crop))


def _frames(names: list[str], selection: "FrameSelection") -> int:
    """About how many pictures and frames there are; 0: not known."""
    from mien.errors import MienError
    from mien.io.source import is_video

    counts = [1] * len(names)
    for place, name in enumerate(names):
        if is_video(name):
            from mien.io.video_reader import count_frames

            try:
                counts[place] = count_frames(name, selection=selection)
            except MienError:  # it is told of when its turn comes
                counts[place] = 0
    return sum(counts) if all(counts) else 0


def _hand_over(seen: "Generator[tuple[Frame, Prediction]]", takers: "list[Take]", *, live: bool) -> None:
    """Hand each prediction to all who take them. A live source ends by an interrupt, any by closing the window."""
    with closing(seen):
        try:
            for frame, prediction in seen:
                for take in takers:
                    take(frame, prediction)
        except WindowClosed:
            return
        except KeyboardInterrupt:
            if not live:
                raise
