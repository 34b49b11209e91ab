"""`mien join`: one model file from several."""

from pathlib import Path
from typing import Annotated

import typer

from mien import train
from mien.cli.console import progress_bar
from mien.cli.export import show_card
from mien.cli.options import MODEL, CardName, MeasuredFaces, Note, Quiet, argument, option, out
from mien.data.formats.npz import load_faces
from mien.io.atomic_write import require_writable


def join(
    models: Annotated[list[str], argument("MODEL", "Two or more models that ship, by name, or model files.")],
    out: Annotated[Path, out("FILE", "The model file to write, such as ensemble.onnx.")],
    weights: Annotated[
        list[float] | None,
        option(
            "--weight", panel=MODEL, metavar="N", help="The weight of each model, in their order. Default: all alike."
        ),
    ] = None,
    name: CardName = "",
    note: Note = "",
    faces: MeasuredFaces = None,
    _quiet: Quiet = False,
) -> None:
    """Write several models as one, which gives the mean of their probabilities.

    Examples
    --------
    mien join a.onnx b.onnx -o both.onnx --weight 2 --weight 1
    """
    if len(models) < 2:
        raise typer.BadParameter(f"must be two models or more, got {models[0]} alone", param_hint="MODEL")
    require_writable(out, inputs=(faces, *map(Path, models)))
    loaded = load_faces(faces) if faces else None
    with progress_bar("Joining"):
        card = train.join(models, out, weights=weights, name=name, note=note, faces=loaded)
    show_card(card, out)
