"""`mien data import`, `show` and `export`: any form of FER2013 into one file of faces, a look at it, and back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from mien.data.bad_rows import OnBad
    from mien.train import Recipe
    from mien.types import FaceSet

data = typer.Typer(
    help="Bring faces in from any form, look at them, audit and clean them, write them back.", no_args_is_help=True
)

Layout = Literal["fer2013", "folder", "flat", "parquet"]
Split = Literal["train", "valid", "test"]
Expression = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "none"]


@data.command("import")
def import_faces(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A CSV or Parquet file, or a folder.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file of faces: .npz, or .parquet.", show_default=False)],
    layout: Annotated[
        Layout | None, typer.Option("--as", help="What SOURCE is; guessed where it is plain.", show_default=False)
    ] = None,
    votes: Annotated[
        Path | None, typer.Option(help="FER+'s fer2013new.csv, to be joined by row.", show_default=False)
    ] = None,
    names: Annotated[
        str, typer.Option(help="What the labels 0, 1, 2... of a Parquet file mean: angry,disgust,...")
    ] = "",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad rows and files out, and list them, instead of stopping.")
    ] = False,
    split_valid: Annotated[
        str, typer.Option(metavar="N|SHARE", help="Move so many train faces, such as 4709 or 0.1, to valid, at random.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of that draw.", min=0)] = 0,
    stratified: Annotated[bool, typer.Option(help="Draw the same share of each class.")] = True,
) -> None:
    """Read faces from any form of FER2013 into one file."""
    from rich.markup import escape

    from mien.cli.console import progress_bar, stdout
    from mien.data.formats.ferplus import add_votes
    from mien.data.formats.npz import require_faces_path, save_faces
    from mien.data.splits import split_random
    from mien.io.atomic_write import require_writable

    require_faces_path(out)
    require_writable(out, inputs=(source, votes))
    valid = _number_or_share(split_valid)
    if valid is None and (seed or not stratified):
        raise typer.BadParameter("is needed: --seed and --stratified are about it", param_hint="--split-valid")
    with _bad_ones(skip_bad) as (on_bad, left_out):
        faces = _read(source, layout, names, on_bad)
    if votes is not None:
        faces = add_votes(faces, votes, left_out=len(left_out))
    if valid is not None:
        faces = split_random(faces, valid=valid, seed=seed, stratified=stratified)
    with progress_bar(escape(f"Writing {out}")) as progress:
        save_faces(faces, out, progress=progress)
    stdout.print(f"{out}: {len(faces):,} faces, {out.stat().st_size / 1e6:.1f} MB", markup=False)
    stdout.print(_counts(faces))


@data.command("show")
def show_faces(
    faces: Annotated[Path, typer.Argument(metavar="FACES", help="A file of faces.", show_default=False)],
    split: Annotated[Split | None, typer.Option(help="Only these.", show_default=False)] = None,
    expression: Annotated[
        Expression | None, typer.Option(help="Only these; none: those without a label.", show_default=False)
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(help="Draw the first faces into this PNG file.", show_default=False)
    ] = None,
    first: Annotated[
        int | None, typer.Option(help="How many of them: 100, or 8 with --recipe.", min=1, show_default=False)
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Draw what training by this recipe sees of labelled train faces.", show_default=False),
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting of the recipe: augment.pad=4. May be repeated.")
    ] = None,
) -> None:
    """Count the faces by expression and split, and look at them."""
    from mien.cli.console import stderr, stdout
    from mien.data.contact_sheet import contact_sheet
    from mien.data.formats.npz import load_history
    from mien.io.atomic_write import require_writable
    from mien.labels import EXPRESSIONS

    if recipe is not None and draw is None:
        raise typer.BadParameter("needs --draw sheet.png", param_hint="--recipe")
    if changes and recipe is None:
        raise typer.BadParameter("needs --recipe", param_hint="--set")
    if first is not None and draw is None:
        raise typer.BadParameter("needs --draw sheet.png", param_hint="--first")
    require_writable(draw, inputs=(faces, recipe))
    how = None if recipe is None else _recipe(recipe, changes or ())
    chosen = _load(faces)
    if split is not None:
        chosen = chosen[chosen.splits == split]
    if expression is not None:
        chosen = chosen[chosen.labels == (EXPRESSIONS.index(expression) if expression in EXPRESSIONS else -1)]
    stdout.print(_counts(chosen))
    stdout.print(_figures(chosen), soft_wrap=True)
    for line in load_history(faces):
        stdout.print(f"came about by     {line}", markup=False, soft_wrap=True)
    if draw is not None and how is not None:
        trained_on = chosen[(chosen.labels >= 0) & ((split is not None) | (chosen.splits == "train"))][: first or 8]
        _draw(_training_sheet(trained_on, how), draw)
        stderr.print(f"what training sees of {len(trained_on)} faces is drawn in {draw}", markup=False)
    elif draw is not None:
        drawn = chosen[: first or 100]
        _draw(contact_sheet(drawn), draw)
        stderr.print(f"the first {len(drawn)} faces are drawn in {draw}", markup=False)


@data.command("export")
def export_faces(
    faces: Annotated[Path, typer.Argument(metavar="FACES", help="A file of faces.", show_default=False)],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The file, or the new or empty folder, to write.", show_default=False)
    ],
    layout: Annotated[Layout, typer.Option("--as", help="In which form.", show_default=False)],
) -> None:
    """Write faces back in any of the forms that they come in."""
    from rich.markup import escape

    from mien.cli.console import progress_bar, stderr, stdout
    from mien.data.formats.export import LOST, WRITERS
    from mien.io.atomic_write import require_writable

    if layout in ("fer2013", "parquet"):
        require_writable(out, inputs=(faces,))
    loaded = _load(faces)
    with progress_bar(escape(f"Writing {out}")) as progress:
        WRITERS[layout](loaded, out, progress=progress)
    stdout.print(f"{out}: {len(loaded):,} faces", markup=False)
    lost = [what for what in LOST[layout] if what != "votes" or loaded.votes is not None]
    if lost:
        stderr.print(f"this form has no place for {' and '.join(lost)}")


def _number_or_share(text: str) -> float | None:
    """What --split-valid says: a whole number of faces, or a share of them."""
    try:
        return None if not text else int(text) if text.isdigit() else float(text)
    except ValueError:
        raise typer.BadParameter(
            f"must be a number of faces or a share, got {text!r}", param_hint="--split-valid"
        ) from None


@contextmanager
def _bad_ones(skip: bool) -> "Iterator[tuple[OnBad | None, list[Exception]]]":
    """Where bad rows and files go; those that were left out are listed in the end."""
    from mien.cli.console import stderr

    bad: list[Exception] = []
    try:
        yield (bad.append if skip else None), bad
    finally:
        for error in bad:
            stderr.print(str(error), markup=False, soft_wrap=True)
        if skip:
            stderr.print(f"{len(bad):,} bad rows or files were left out")


def _read(source: Path, layout: Layout | None, names: str, on_bad: "OnBad | None") -> "FaceSet":
    from rich.markup import escape

    from mien.cli.console import progress_bar
    from mien.data.formats.parquet import read_parquet
    from mien.data.formats.readers import READERS, layout_of

    form = layout or layout_of(source)
    with progress_bar(escape(f"Reading {source}") + (", MB" if form == "fer2013" else "")) as progress:
        if not names:
            return READERS[form](source, on_bad=on_bad, progress=progress)
        if form != "parquet":
            raise typer.BadParameter(f"goes with Parquet files, and {source} is read as {form}", param_hint="--names")
        return read_parquet(source, names=names.split(","), on_bad=on_bad, progress=progress)


def _load(faces: Path) -> "FaceSet":
    from rich.markup import escape

    from mien.cli.console import progress_bar
    from mien.data.formats.npz import load_faces

    with progress_bar(escape(f"Reading {faces}")) as progress:
        return load_faces(faces, progress=progress)


def _counts(faces: "FaceSet") -> "Table":
    """How many faces there are of each expression in each split."""
    from rich import box
    from rich.table import Table

    from mien.labels import EXPRESSIONS, SPLITS

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("expression")
    for name in (*SPLITS, "all"):
        table.add_column(name, justify="right")
    masks = {name: faces.labels == label for label, name in enumerate(EXPRESSIONS)} | {"none": faces.labels < 0}
    for name, mask in (masks | {"all": faces.labels >= -1}).items():
        counts = [int((mask & (faces.splits == split)).sum()) for split in SPLITS]
        table.add_row(name, *(f"{count:,}" for count in (*counts, sum(counts))), end_section=name == "none")
    return table


def _figures(faces: "FaceSet") -> str:
    """What else there is to know of faces."""
    voted = 0 if faces.votes is None else int((faces.votes.sum(axis=1) > 0).sum())
    lines = [f"with FER+ votes  {voted:,}", f"hash             {faces.hash}"]
    if len(faces):
        mean, deviation = faces.images.mean(), faces.images.std()
        lines.insert(0, f"pixels           mean {mean:.2f}, standard deviation {deviation:.2f}")
    return "\n".join(lines)


def _recipe(path: Path, changes: Sequence[str]) -> "Recipe":
    from mien.train import load_recipe

    return load_recipe(path, changes)


def _training_sheet(faces: "FaceSet", recipe: "Recipe") -> "NDArray[np.uint8]":
    """A row a face: as it is, and several times as training sees it."""
    from mien.data.contact_sheet import captioned_sheet
    from mien.train.inputs.preview import preview

    rows = preview(recipe, faces)
    cells = [[(seen.image, _caption(seen.labels)) for seen in row] for row in rows]
    return captioned_sheet(cells, heads=["as it is", *(f"{seen.side} pixels" for seen in rows[0][1:])])


def _caption(labels: Sequence[tuple[str, float]]) -> str:
    if len(labels) == 1:
        return labels[0][0]
    return "\n".join(f"{share:.2f} {name}" for name, share in labels)


def _draw(sheet: "NDArray[np.uint8]", path: Path) -> None:
    from PIL import Image

    from mien.io.atomic_write import atomic_write

    with atomic_write(path) as file:
        Image.fromarray(sheet).save(file, "PNG")
