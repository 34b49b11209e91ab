"""`mien export` and `mien join`: model files, from runs and from other model files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from mien.classify.card import ModelCard


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The model file to write, such as swift.onnx.")],
    name: Annotated[str, typer.Option(help="The model's name in its card; the file's, if not given.")] = "",
    note: Annotated[str, typer.Option(help="What a user should know: data, licence, limits.")] = "",
    faces: Annotated[
        Path | None, typer.Option(help="Measure the finished file on the valid faces of this file; into its card.")
    ] = None,
    prototypes: Annotated[
        Literal["euclidean", "cosine"] | None,
        typer.Option(help="Classify by nearness to the mean feature of each class's train faces in --faces."),
    ] = None,
) -> None:
    """Write a run's best epoch as one self-describing ONNX file."""
    from mien.data.formats.npz import load_faces
    from mien.io.atomic_write import require_writable
    from mien.train.onnx_export.export import export as export_

    require_writable(out, inputs=(faces,))
    loaded = load_faces(faces) if faces else None
    _show_card(export_(run, out, name=name, note=note, faces=loaded, prototypes=prototypes), out)


def join(
    models: Annotated[list[str], typer.Argument(help="Models that ship, by name, or model files.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The model file to write, such as ensemble.onnx.")],
    weights: Annotated[
        list[float] | None, typer.Option("--weight", help="What each counts, in their order; else all alike.")
    ] = None,
    name: Annotated[str, typer.Option(help="The model's name in its card; the file's, if not given.")] = "",
    note: Annotated[str, typer.Option(help="What a user should know; else what the models' own notes say.")] = "",
    faces: Annotated[
        Path | None, typer.Option(help="Measure the finished file on the valid faces of this file; into its card.")
    ] = None,
) -> None:
    """Write several models as one, which gives the mean of their probabilities."""
    from mien.data.formats.npz import load_faces
    from mien.io.atomic_write import require_writable
    from mien.train.onnx_export.ensemble import join as join_

    require_writable(out, inputs=(faces, *map(Path, models)))
    loaded = load_faces(faces) if faces else None
    _show_card(join_(models, out, weights=weights, name=name, note=note, faces=loaded), out)


def _show_card(card: "ModelCard", out: Path) -> None:
    from mien.cli.console import stdout

    size = out.stat().st_size / 1e6
    stdout.print(f"{out}: {card.name}, {card.parameters:,} parameters, {size:.1f} MB", markup=False, soft_wrap=True)
    for figure, value in card.scores.items():
        stdout.print(f"{figure.replace('_', ' '):<30} {value:.4g}")
