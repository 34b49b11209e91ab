"""`mien data import`: any form of FER2013 into one file of faces."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

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
from mien.labels import CLASS_SETS, EXPRESSIONS, VOTES, class_name
from mien.types import FaceSet, require_class_names

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
    classes: Annotated[
        str,
        option(
            "--classes",
            panel=INPUT,
            metavar="NAME,...",
            help="The classes of the set: fer2013 (the seven), ferplus8 (and contempt), or a list. Default: fer2013, "
            "or what --names has beyond it.",
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
        faces = _read(source, form, _split_names(names), _parse_classes(classes, names), on_bad)
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


def _split_names(text: str) -> list[str]:
    return [class_name(name) for name in text.split(",")] if text else []


def _parse_classes(text: str, names: str) -> tuple[str, ...] | None:
    """Return the classes that --classes lists or, without it, those of --names if they are not all of the seven."""
    if text in CLASS_SETS:
        return CLASS_SETS[text]
    if text:
        return require_class_names(_split_names(text))
    listed = _split_names(names)
    if set(listed) <= set(EXPRESSIONS):
        return None
    return require_class_names([*(name for name in VOTES if name in listed), *(n for n in listed if n not in VOTES)])


def _read(
    source: Path, form: Form | None, names: list[str], classes: tuple[str, ...] | None, on_bad: OnBad | None
) -> FaceSet:
    layout = form or guess_format(source)
    more: dict[str, Any] = {} if classes is None else {"class_names": classes}
    if names and layout not in ("folder", "parquet"):
        what = f"goes with numbered folders and Parquet files, and {source} is read as {layout}"
        raise typer.BadParameter(what, param_hint="--names")
    if names:
        more["names"] = names
    with progress_bar(f"Reading {source}" + (", MB" if layout == "fer2013" else "")) as progress:
        return READERS[layout](source, on_bad=on_bad, progress=progress, **more)
