"""`mien data export`: faces back into the forms that they come in."""

from pathlib import Path
from typing import Annotated

from mien.cli.console import progress_bar, remark, say
from mien.cli.options import OUTPUT, Faces, Form, Quiet, option, out
from mien.data.formats import LOST, WRITERS
from mien.data.formats.npz import load_faces
from mien.io.atomic_write import require_writable
from mien.labels import EXPRESSIONS


def export_faces(
    faces: Faces,
    out: Annotated[Path, out("FILE|DIR", "The file, or the new or empty folder, to write.")],
    form: Annotated[
        Form,
        option("--format", panel=OUTPUT, metavar="FORM", help="The form: fer2013, folder, flat or parquet."),
    ],
    _quiet: Quiet = False,
) -> None:
    """Write faces back in any of the forms that they come in.

    Examples
    --------
    mien data export faces.npz -o pictures/ --format folder
    """
    if form in ("fer2013", "parquet"):
        require_writable(out, inputs=(faces,))
    with progress_bar(f"Reading {faces}") as progress:
        loaded = load_faces(faces, progress=progress)
    with progress_bar(f"Writing {out}") as progress:
        WRITERS[form](loaded, out, progress=progress)
    say(f"{out}: {len(loaded):,} faces")
    if form in ("fer2013", "folder", "flat") and loaded.class_names != EXPRESSIONS:
        remark(f"read it back with --classes {','.join(loaded.class_names)}")
    lost = [what for what in LOST[form] if what != "votes" or loaded.votes is not None]
    if lost:
        remark(f"this form has no place for {' and '.join(lost)}")
