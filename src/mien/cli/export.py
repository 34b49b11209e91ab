"""`mien export`: a model file from a run."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from mien import train
from mien.classify.card import ModelCard
from mien.cli.console import number, progress_bar, remark, say
from mien.cli.options import INPUT, MODEL, CardName, MeasuredFaces, Note, Quiet, argument, flag, option, out
from mien.data.formats.npz import load_faces
from mien.errors import RunError
from mien.io.atomic_write import is_dir, require_writable

_DETAILS = ("_recall_", "_corrupted_")  # figures that there are many of


def export(
    run: Annotated[
        Path, argument("RUN", "The folder of a run; with --int8, a model that ships or a model file will do, too.")
    ],
    out: Annotated[Path, out("FILE", "The model file to write, such as swift.onnx.")],
    epoch: Annotated[
        Literal["best", "last"],
        option(
            "--epoch",
            panel=MODEL,
            metavar="EPOCH",
            help="best (by the accuracy on the valid faces) or last (which nothing has chosen).",
        ),
    ] = "best",
    question: Annotated[
        Literal["ferplus", "fer2013"] | None,
        option(
            "--question",
            panel=MODEL,
            metavar="QUESTION",
            help="ferplus (which expression would people name?) or fer2013 (which label would FER2013 give?), where it "
            "is not the recipe's own.",
            show_default=False,
        ),
    ] = None,
    name: CardName = "",
    note: Note = "",
    faces: MeasuredFaces = None,
    corrupt: Annotated[
        bool, flag("--corrupt", panel=INPUT, help="Measure its robustness, too, on 1,000 of these faces.")
    ] = False,
    prototypes: Annotated[
        Literal["euclidean", "cosine"] | None,
        option(
            "--prototypes",
            panel=MODEL,
            metavar="DISTANCE",
            help="Classify by nearness to each class's mean feature among the train faces: euclidean or cosine.",
        ),
    ] = None,
    int8: Annotated[
        bool,
        flag(
            "--int8",
            panel=MODEL,
            help="Let convolutions compute in 8 bits; refused where answers or accuracy on the valid faces change.",
        ),
    ] = False,
    calibrate: Annotated[
        Path | None,
        option(
            "--calibrate",
            panel=INPUT,
            metavar="FACES",
            help="The faces for --int8: those of train give the ranges of activations, those of valid judge.",
            show_default=False,
        ),
    ] = None,
    _quiet: Quiet = False,
) -> None:
    """Write a run as one self-describing ONNX file.

    Examples
    --------
    mien export runs/plain -o my.onnx --faces faces.npz
    mien export runs/plain -o last.onnx --epoch last
    mien export swift -o small.onnx --int8 --calibrate faces.npz
    """
    require_writable(out, inputs=(faces, run, calibrate))
    if int8 and calibrate is None:
        raise typer.BadParameter("needs faces: add --calibrate FACES", param_hint="--int8")
    if calibrate is not None and not int8:
        raise typer.BadParameter("is for files in 8 bits: add --int8", param_hint="--calibrate")
    if calibrate is not None and not is_dir(run):
        _export_int8(run, out, calibrate, name=name, note=note)
        return
    if not is_dir(run):
        raise RunError(f"{run} must be the folder of a run, as mien train makes it; only --int8 takes a model, too")
    loaded = load_faces(faces) if faces else None
    with TemporaryDirectory() as folder, progress_bar("Exporting"):
        whole = Path(folder) / out.name if calibrate else out
        card = train.export(
            run,
            whole,
            epoch=epoch,
            name=name,
            note=note,
            faces=loaded,
            prototypes=prototypes,
            question=question,
            corrupt=corrupt,
        )
        if calibrate is not None:
            _export_int8(whole, out, calibrate, name=name)
            return
    show_card(card, out)


def _export_int8(model: Path, out: Path, calibrate: Path, *, name: str, note: str = "") -> None:
    with progress_bar("Trying 8 bits"):
        made = train.export_int8(model, out, load_faces(calibrate), name=name, note=note)
    show_card(made.card, out)
    say(
        f"{made.layers} in 8 bits: {made.agreement:.1%} of valid faces get the same answer, {made.time:.2f} of the time"
    )


def show_card(card: ModelCard, out: Path) -> None:
    """Say what was written."""
    say(f"{out}: {card.name}, {card.parameters:,} parameters, {out.stat().st_size / 1e6:.1f} MB")
    for figure, value in card.scores.items():
        if not any(part in figure for part in _DETAILS):
            say(f"{figure.replace('_', ' '):<30} {number(value)}")
    remark(f"the whole card: mien show {out}")
