"""`mien data show`: how many faces there are of each kind, and what they look like."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from rich import box
from rich.table import Table

from mien.cli.console import progress_bar, remark, say, say_json, stdout
from mien.cli.options import INPUT, OUTPUT, Changes, Faces, Json, Quiet, option
from mien.data.contact_sheet import captioned_sheet, contact_sheet
from mien.data.formats.npz import load_faces, load_history
from mien.io.atomic_write import atomic_write, require_suffix, require_writable
from mien.labels import SPLITS, parse_class
from mien.types import FaceSet

if TYPE_CHECKING:
    from mien.train import Recipe

Split = Literal["train", "valid", "test"]


def show_faces(
    faces: Faces,
    split: Annotated[
        Split | None,
        option("--split", panel=INPUT, metavar="SPLIT", help="Count only this split: train, valid or test."),
    ] = None,
    expression: Annotated[
        str | None,
        option(
            "--expression", panel=INPUT, metavar="NAME", help="Count only this expression; none: faces without a label."
        ),
    ] = None,
    draw: Annotated[
        Path | None, option("--draw", panel=OUTPUT, metavar="FILE", help="Draw the first faces into this PNG file.")
    ] = None,
    first: Annotated[
        int | None,
        option(
            "--first",
            panel=OUTPUT,
            metavar="N",
            help="How many faces to draw. Default: 100, or 8 with --recipe, or 8 of each class with --prototypes.",
            min=1,
        ),
    ] = None,
    json: Json = False,
    _quiet: Quiet = False,
    recipe: Annotated[
        Path | None,
        option(
            "--recipe", panel=OUTPUT, metavar="RECIPE", help="Draw labelled train faces as this recipe changes them."
        ),
    ] = None,
    prototypes: Annotated[
        Path | None,
        option(
            "--prototypes",
            panel=OUTPUT,
            metavar="RUN",
            help="Draw the faces that are typical of each class by the net of a run, and a map of its features.",
        ),
    ] = None,
    changes: Changes = None,
) -> None:
    """Count the faces by expression and split, and look at them.

    Examples
    --------
    mien data show faces.npz
    mien data show faces.npz --split test --expression fear --draw fear.png
    mien data show faces.npz --split train --prototypes runs/final-18 --draw prototypes.png
    """
    for name, value in (("--recipe", recipe), ("--first", first), ("--prototypes", prototypes)):
        if value is not None and draw is None:
            raise typer.BadParameter("needs --draw sheet.png", param_hint=name)
    if recipe is not None and prototypes is not None:
        raise typer.BadParameter("does not go with --recipe", param_hint="--prototypes")
    if changes and recipe is None:
        raise typer.BadParameter("needs --recipe", param_hint="--set")
    require_writable(draw, inputs=(faces, recipe))
    if draw is not None:
        require_suffix(draw, (".png",), "a picture")
    loaded = None if recipe is None else _load_recipe(recipe, changes or ())
    chosen = show_counts(faces, split=split, expression=expression, as_json=json)
    if draw is not None and prototypes is not None:
        _draw_prototypes(prototypes, chosen, draw, nearest=first or 8)
    elif draw is not None and loaded is not None:
        trained_on = chosen[(chosen.labels >= 0) & ((split is not None) | (chosen.splits == "train"))][: first or 8]
        _draw(_training_sheet(trained_on, loaded), draw)
        remark(f"what training sees of {len(trained_on)} faces is drawn in {draw}")
    elif draw is not None:
        drawn = chosen[: first or 100]
        _draw(contact_sheet(drawn), draw)
        remark(f"the first {len(drawn)} faces are drawn in {draw}")


def show_counts(
    path: Path, *, split: Split | None = None, expression: str | None = None, as_json: bool = False
) -> FaceSet:
    """Print how many faces a file holds, or those of a split and an expression; return them."""
    with progress_bar(f"Reading {path}") as progress:
        chosen = load_faces(path, progress=progress)
    if split is not None:
        chosen = chosen[chosen.splits == split]
    if expression is not None:
        chosen = chosen[chosen.labels == _parse_class(expression, chosen.class_names)]
    history = load_history(path)
    if as_json:
        say_json(_facts(chosen, history))
        return chosen
    stdout.print(counts(chosen))
    facts = _facts(chosen, history)
    if facts["pixel_mean"] is not None:
        say(f"pixels           mean {facts['pixel_mean']:.2f}, standard deviation {facts['pixel_std']:.2f}")
    say(f"with FER+ votes  {facts['with_votes']:,}\nhash             {facts['hash']}")
    for line in history:
        say(f"came about by     {line}")
    return chosen


def _parse_class(name: str, class_names: Sequence[str]) -> int:
    """Return the label that --expression names; -1 for none. Raises BadParameter for another name."""
    label = -1 if name == "none" else parse_class(name, class_names)
    if label is None:
        raise typer.BadParameter(f"must be {', '.join(class_names)} or none, got {name!r}", param_hint="--expression")
    return label


def _counted(faces: FaceSet) -> dict[str, list[int]]:
    """Count the faces of each expression, `none` and `all`: in each split, then together."""
    masks = {name: faces.labels == label for label, name in enumerate(faces.class_names)}
    masks |= {"none": faces.labels < 0, "all": faces.labels >= -1}
    each = {name: [int((mask & (faces.splits == split)).sum()) for split in SPLITS] for name, mask in masks.items()}
    return {name: [*numbers, sum(numbers)] for name, numbers in each.items()}


def counts(faces: FaceSet) -> Table:
    """A table of how many faces there are of each expression in each split."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("expression")
    for name in (*SPLITS, "all"):
        table.add_column(name, justify="right")
    for name, numbers in _counted(faces).items():
        table.add_row(name, *(f"{number:,}" for number in numbers), end_section=name == "none")
    return table


def _facts(faces: FaceSet, history: Sequence[str]) -> dict[str, Any]:
    """Collect what there is to know of faces, as JSON takes it."""
    voted = 0 if faces.votes is None else int((faces.votes.sum(axis=1) > 0).sum())
    return {
        "faces": {name: dict(zip((*SPLITS, "all"), numbers, strict=True)) for name, numbers in _counted(faces).items()},
        "pixel_mean": float(faces.images.mean()) if len(faces) else None,
        "pixel_std": float(faces.images.std()) if len(faces) else None,
        "with_votes": voted,
        "hash": faces.hash,
        "history": list(history),
    }


def _load_recipe(path: Path, changes: Sequence[str]) -> "Recipe":
    from mien.train import load_recipe  # the extra `train`, and only --recipe needs it

    return load_recipe(path, changes)


def _draw_prototypes(run: Path, faces: FaceSet, path: Path, *, nearest: int) -> None:
    from mien.train.studies.prototypes import map_features, plot_features  # torch, and only --prototypes needs it

    with progress_bar("Reading features") as progress:
        features = map_features(run, faces, nearest=nearest, progress=progress)
    plot_features(path, features)
    remark(f"the faces nearest to each class's prototype, and a map of {len(features.faces):,}, are drawn in {path}")


def _training_sheet(faces: FaceSet, recipe: "Recipe") -> NDArray[np.uint8]:
    """A row a face: as it is, and several times as training sees it."""
    from mien.train.inputs.preview import preview  # torch, and only --recipe needs it

    rows = preview(recipe.augment, faces, sides=recipe.optim.sides, seed=recipe.seed, camera=recipe.camera)
    cells = [[(seen.image, _caption(seen.labels)) for seen in row] for row in rows]
    return captioned_sheet(cells, heads=["as it is", *(f"{seen.side} pixels" for seen in rows[0][1:])])


def _caption(labels: Sequence[tuple[str, float]]) -> str:
    if len(labels) == 1:
        return labels[0][0]
    return "\n".join(f"{share:.2f} {name}" for name, share in labels)


def _draw(sheet: NDArray[np.uint8], path: Path) -> None:
    with atomic_write(path) as file:
        Image.fromarray(sheet).save(file, "PNG")
