"""`mien calibrate`: honest confidence for a model file."""

from pathlib import Path
from typing import Annotated

from mien import train
from mien.cli.console import add_row, progress_bar, say, stdout, table
from mien.cli.options import INPUT, Quiet, argument, option, out
from mien.data.formats.npz import load_faces
from mien.errors import DataError
from mien.io.atomic_write import require_writable


def calibrate(
    model: Annotated[str, argument("MODEL", "A model that ships, by its name, or a model file.")],
    faces: Annotated[Path, argument("FACES", "A file of faces, as `mien data import` writes it.")],
    out: Annotated[Path, out("FILE", "The model file to write.")],
    split: Annotated[
        str, option("--split", panel=INPUT, metavar="SPLIT", help="Faces that the model was not trained on.")
    ] = "valid",
    _quiet: Quiet = False,
) -> None:
    """Write a copy of a model whose confidence is its accuracy.

    One half of the faces fits it; the other half says how good it is, and when the model should abstain.

    Examples
    --------
    mien calibrate swift faces.npz -o honest.onnx
    """
    require_writable(out, inputs=(faces, Path(model)))
    loaded = load_faces(faces)
    chosen = loaded[loaded.splits == split]
    if not len(chosen):
        raise DataError(f"{faces} has no faces for --split {split}")
    with progress_bar("Calibrating") as progress:
        done = train.recalibrate(model, chosen, out, progress=progress)
    say(f"{out}: {done.card.name}, divided by a temperature of {done.card.temperature:.3g}")
    say(f"On the half that fitted nothing: ECE {done.ece_before:.3f} before, {done.ece_after:.3f} after;")
    say(f"NLL {done.nll_before:.3f} before, {done.nll_after:.3f} after.\n")
    shown = table("at most wrong", "confidence", "answers kept", "of them wrong")
    for each in done.thresholds:
        kept = ("-", "0%", "-") if each.errors is None else _kept(each.confidence, each.coverage, each.errors.value)
        add_row(shown, [f"{each.max_error:.0%}", *kept])
    stdout.print(shown)


def _kept(confidence: float, coverage: float, wrong: float) -> tuple[str, str, str]:
    return f"{confidence:.3f}", f"{coverage:.1%}", f"{wrong:.1%}"
