"""`mien data clean`: faces without what is wrong with them."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.text import Text

from mien.cli.console import progress_bar, say, stderr
from mien.cli.data.audit import doubtful_detector, parse_kinds
from mien.cli.options import INPUT, Faces, Quiet, argument, flag, option, out
from mien.data.audit.clean import Cleaned, Review, load_review
from mien.data.audit.clean import clean as clean_faces
from mien.data.audit.findings import Audit, load_audit
from mien.data.audit.run import audit as audit_faces
from mien.data.formats.npz import load_faces, load_history, require_faces_path, save_faces
from mien.errors import plain
from mien.io.atomic_write import require_writable
from mien.labels import SPLITS
from mien.types import FaceSet

_CHOICE = "What goes"


def clean(
    faces: Faces,
    out: Annotated[Path, out("FILE", "The file of clean faces, .npz.")],
    audit: Annotated[
        Path | None,
        argument("AUDIT", "The audit of these faces. Without it, they are audited now, but not for wrong labels."),
    ] = None,
    review: Annotated[Path | None, argument("REVIEW", "A person's choices, from the audit's page.")] = None,
    drop: Annotated[
        str, option("--drop", panel=_CHOICE, metavar="KIND,...", help="Drop faces with these findings: blank,leak,...")
    ] = "",
    relabel: Annotated[
        float | None,
        option(
            "--relabel",
            panel=_CHOICE,
            metavar="SHARE",
            help="Take suggested labels that are at least this sure, 0 to 1; not for test faces.",
        ),
    ] = None,
    only: Annotated[
        str, option("--only", panel=INPUT, metavar="SPLIT,...", help="The splits that --drop and --relabel touch.")
    ] = ",".join(SPLITS),
    interactive: Annotated[
        bool, flag("--interactive", panel=_CHOICE, help="Show each face that would be dropped, and ask.")
    ] = False,
    _quiet: Quiet = False,
) -> None:
    """Drop and relabel faces by an audit, and by a person's choices.

    Examples
    --------
    mien data clean faces.npz audit.json -o clean.npz --drop blank,leak
    mien data clean faces.npz -o clean.npz --drop blank --interactive
    """
    require_faces_path(out)
    if out.suffix.lower() != ".npz":
        raise typer.BadParameter("must end in .npz; `mien data export` writes other forms", param_hint="--out")
    kinds, splits = parse_kinds(drop) if drop else (), _parse_splits(only)
    if not (kinds or relabel or review):
        raise typer.BadParameter("is needed, or --relabel, or a REVIEW: there is nothing to do", param_hint="--drop")
    if audit is None and (relabel or "label" in kinds):
        raise typer.BadParameter(
            "is needed to find wrong labels: `mien data audit FACES --scores ...`", param_hint="AUDIT"
        )
    if interactive and (review or relabel):
        other = "a REVIEW" if review else "--relabel"
        raise typer.BadParameter(
            f"goes without {other}: the choices are made by one of them", param_hint="--interactive"
        )
    if interactive and not kinds:
        raise typer.BadParameter("needs --drop: it asks about the faces that would go", param_hint="--interactive")
    require_writable(out, inputs=(faces, audit, review))
    loaded = load_faces(faces)
    audited = load_audit(audit) if audit else _audit(loaded, kinds)
    choices = (
        load_review(review, class_names=loaded.class_names)
        if review
        else _ask(loaded, audited, kinds, splits)
        if interactive
        else None
    )
    cleaned = clean_faces(loaded, audited, drop=kinds, relabel=relabel, review=choices, only=splits)
    save_faces(cleaned.faces, out, history=(*load_history(faces), cleaned.history))
    _show(cleaned, out)


def _parse_splits(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in SPLITS]
    if unknown:
        raise typer.BadParameter(f"must be among {', '.join(SPLITS)}, got {unknown[0]!r}", param_hint="--only")
    return tuple(names)


def _audit(faces: FaceSet, kinds: tuple[str, ...]) -> Audit:
    with progress_bar("Auditing") as progress:
        detector = doubtful_detector() if "nonface" in kinds else None
        return audit_faces(faces, kinds=kinds, detector=detector, progress=progress)


def _ask(faces: FaceSet, audit: Audit, kinds: tuple[str, ...], splits: tuple[str, ...]) -> Review:
    """A person's choices at the terminal, one face after the other."""
    found: dict[int, list[str]] = {}
    for finding in audit.of_kind(*kinds):
        if faces.splits[finding.row] in splits:
            found.setdefault(finding.row, []).append(finding.kind)
    choices = {}
    for number, (row, names) in enumerate(found.items(), 1):
        label = faces.class_names[faces.labels[row]] if faces.labels[row] >= 0 else "no label"
        stderr.print(_as_text(faces.images[row]))
        what = f"{number}/{len(found)} {plain(faces.ids[row])} ({faces.splits[row]}, {label}): {', '.join(names)}."
        choices[str(faces.ids[row])] = "drop" if typer.confirm(f"{what} Drop it?", default=True, err=True) else "keep"
    return Review(audit.hash, choices, faces.class_names)


def _as_text(image: NDArray[np.uint8]) -> Text:
    """A face as text: two pixels, one above the other, a character."""
    text = Text()
    for upper, lower in zip(image[::2].tolist(), image[1::2].tolist(), strict=True):
        for top, bottom in zip(upper, lower, strict=True):
            text.append("\u2580", style=f"rgb({top},{top},{top}) on rgb({bottom},{bottom},{bottom})")
        text.append("\n")
    return text


def _show(cleaned: Cleaned, out: Path) -> None:
    for reason, count in cleaned.dropped.items():
        say(f"dropped     {count:,} by {'the review' if reason == 'review' else reason}")
    say(f"relabelled  {cleaned.relabelled:,}")
    lost = ", ".join(f"{split} {count:,}" for split, count in cleaned.by_split.items() if count)
    say(f"{out}: {len(cleaned.faces):,} faces; fewer: {lost or 'none'}")
