"""`mien export`: a model file from a run."""

from pathlib import Path
from typing import Annotated, Literal

from mien import train
from mien.classify.card import ModelCard
from mien.cli.console import number, progress_bar, remark, say
from mien.cli.options import INPUT, MODEL, CardName, MeasuredFaces, Note, Quiet, argument, flag, option, out
from mien.data.formats.npz import load_faces
from mien.errors import RunError
from mien.io.atomic_write import is_dir, require_writable

_DETAILS = ("_recall_", "_corrupted_")  # figures that there are many of


def export(
    run: Annotated[Path, argument("RUN", "The folder of a run.")],
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
    _quiet: Quiet = False,
) -> None:
    """Write a run as one self-describing ONNX file.

    Examples
    --------
    mien export runs/plain -o my.onnx --faces faces.npz
    mien export runs/plain -o last.onnx --epoch last
    """
    require_writable(out, inputs=(faces, run))
    if not is_dir(run):
        raise RunError(f"{run} must be the folder of a run, as mien train makes it")
    loaded = load_faces(faces) if faces else None
    with progress_bar("Exporting"):
        card = train.export(
            run,
            out,
            epoch=epoch,
            name=name,
            note=note,
            faces=loaded,
            prototypes=prototypes,
            question=question,
            corrupt=corrupt,
        )
    show_card(card, out)


def show_card(card: ModelCard, out: Path) -> None:
    """Say what was written."""
    say(f"{out}: {card.name}, {card.parameters:,} parameters, {out.stat().st_size / 1e6:.1f} MB")
    for figure, value in card.scores.items():
        if not any(part in figure for part in _DETAILS):
            say(f"{figure.replace('_', ' '):<30} {number(value)}")
    remark(f"the whole card: mien show {out}")
