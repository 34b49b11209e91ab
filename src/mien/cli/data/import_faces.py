"""`mien data import`: any form of FER2013 into one file of faces."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.console import progress_bar, remark, say, stdout
from mien.cli.data.show_faces import counts
from mien.cli.options import INPUT, Form, Quiet, argument, flag, option, out
from mien.data.bad_rows import OnBad
from mien.data.formats import READERS, guess_format
from mien.data.formats.ferplus import add_votes
from mien.data.formats.npz import require_faces_path, save_faces
from mien.data.splits import split_random
from mien.io.atomic_write import require_writable
from mien.types import FaceSet

_SPLIT = "Validation split"


def import_faces(
    source: Annotated[Path, argument("SOURCE", "A CSV or Parquet file, or a folder.")],
    out: Annotated[Path, out("FILE", "The file of faces: .npz or .parquet.")],
    form: Annotated[
        Form | None,
        option(
            "--format",
            panel=INPUT,
            metavar="FORM",
            help="What SOURCE is: fer2013, folder, flat or parquet. Default: guessed where it is plain.",
        ),
    ] = None,
    votes: Annotated[
        Path | None,
        option("--votes", panel=INPUT, metavar="FILE", help="FER+'s fer2013new.csv, to be joined by row."),
    ] = None,
    names: Annotated[
        str,
        option(
            "--names",
            panel=INPUT,
            metavar="NAME,...",
            help="What numbered folders, or the labels 0, 1, 2... of a Parquet file, mean: angry,disgust,...",
        ),
    ] = "",
    skip_bad: Annotated[
        bool, flag("--skip-bad", panel=INPUT, help="Leave bad rows and files out, and list them, instead of stopping.")
    ] = False,
    split_valid: Annotated[
        str,
        option(
            "--split-valid",
            panel=_SPLIT,
            metavar="N|SHARE",
            help="Move so many train faces, such as 4709 or 0.1, to valid, at random.",
        ),
    ] = "",
    seed: Annotated[int, option("--seed", panel=_SPLIT, metavar="N", help="The seed of that draw.", min=0)] = 0,
    stratified: Annotated[
        bool, flag("--stratified/--no-stratified", panel=_SPLIT, help="Draw the same share of each class.")
    ] = True,
    _quiet: Quiet = False,
) -> None:
    """Read faces from any form of FER2013 into one file.

    Examples
    --------
    mien data import fer2013.csv --votes fer2013new.csv -o faces.npz
    mien data import my-folder/ -o mine.npz --skip-bad
    """
    require_faces_path(out)
    require_writable(out, inputs=(source, votes))
    valid = _number_or_share(split_valid)
    if valid is None and (seed or not stratified):
        raise typer.BadParameter("is needed: --seed and --stratified are about it", param_hint="--split-valid")
    with _bad_rows(skip_bad) as (on_bad, left_out):
        faces = _read(source, form, names, on_bad)
    if votes is not None:
        faces = add_votes(faces, votes, left_out=len(left_out))
    if valid is not None:
        faces = split_random(faces, valid=valid, seed=seed, stratified=stratified)
    with progress_bar(f"Writing {out}") as progress:
        save_faces(faces, out, progress=progress)
    say(f"{out}: {len(faces):,} faces, {out.stat().st_size / 1e6:.1f} MB")
    stdout.print(counts(faces))


def _number_or_share(text: str) -> float | None:
    """Parse --split-valid: a whole number of faces, or a share of them."""
    try:
        return None if not text else int(text) if text.isdigit() else float(text)
    except ValueError:
        raise typer.BadParameter(
            f"must be a number of faces or a share, got {text!r}", param_hint="--split-valid"
        ) from None


@contextmanager
def _bad_rows(skip: bool) -> Iterator[tuple[OnBad | None, list[Exception]]]:
    """Give where bad rows and files go; those that were left out are listed in the end."""
    bad: list[Exception] = []
    try:
        yield (bad.append if skip else None), bad
    finally:
        for error in bad:
            remark(error)
        if skip:
            remark(f"{len(bad):,} bad rows or files were left out")


def _read(source: Path, form: Form | None, names: str, on_bad: OnBad | None) -> FaceSet:
    layout = form or guess_format(source)
    with progress_bar(f"Reading {source}" + (", MB" if layout == "fer2013" else "")) as progress:
        if not names:
            return READERS[layout](source, on_bad=on_bad, progress=progress)
        if layout not in ("folder", "parquet"):
            what = f"goes with numbered folders and Parquet files, and {source} is read as {layout}"
            raise typer.BadParameter(what, param_hint="--names")
        listed = [name.strip() for name in names.split(",")]
        return READERS[layout](source, names=listed, on_bad=on_bad, progress=progress)
