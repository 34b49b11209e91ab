"""`mien data audit` and `mien data clean`: what is wrong with faces, and faces without it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.text import Text

    from mien.data.audit.clean import Cleaned, Review
    from mien.data.audit.findings import Audit
    from mien.data.scores_file import FaceScores
    from mien.types import Detector, FaceSet

_DOUBT = 0.01  # the confidence from which the detector tells of a face; the doubtful ones are wanted here


def audit(
    faces: Annotated[Path, typer.Argument(metavar="FACES", help="A file of faces.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The findings, as JSON.", show_default=False)],
    page: Annotated[
        Path | None, typer.Option(help="Write a page to look at them and choose, too.", show_default=False)
    ] = None,
    kinds: Annotated[
        str, typer.Option(help="Look for these alone: blank,leak,... The default is all.", show_default=False)
    ] = "",
    scores: Annotated[
        Path | None,
        typer.Option(help="Find wrong labels by held-out scores: `mien train --folds 5`.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Find them by a model, which sees less if it was trained on the faces.", show_default=False),
    ] = None,
    blank_below: Annotated[float, typer.Option(help="Pixels of a blank deviate less, in grey levels.", min=0)] = 10.0,
    near: Annotated[
        float, typer.Option(help="Near-identical pictures correlate so much in detail.", min=0.6, max=1)
    ] = 0.7,
    detect: Annotated[bool, typer.Option(help="Look for a face in each picture that nobody voted on.")] = True,
) -> None:
    """Find what is wrong with faces: blanks, non-faces, twins, leaks, contradictions, wrong labels."""
    from mien.cli.console import progress_bar, stderr
    from mien.data.audit.page import audit_page
    from mien.data.audit.run import audit as audit_
    from mien.data.formats.image_folder import spelled
    from mien.data.formats.npz import load_faces
    from mien.io.atomic_write import require_writable, write_text

    require_writable(out, page, inputs=(faces, scores))
    if scores is not None and model is not None:
        raise typer.BadParameter("goes without --scores: labels are judged by one of them", param_hint="--model")
    wanted = _kinds(kinds)
    if "label" not in wanted and (scores or model):
        raise typer.BadParameter("must have label among them, where there is --scores or --model", param_hint="--kinds")
    loaded = load_faces(faces)
    found = _scores(loaded, scores, model)
    with progress_bar("Looking for faces, twins") as progress:
        audited = audit_(
            loaded,
            kinds=wanted,
            blank_below=blank_below,
            near=near,
            scores=found,
            detector=_detector() if detect and "nonface" in wanted else None,
            progress=progress,
        )
    write_text(out, audited.to_json())
    _show(audited, faces, voted=loaded.votes is not None)
    if found is not None:
        _show_judged(loaded, found)
    if page is not None:
        with progress_bar("Drawing the page") as progress:
            write_text(page, audit_page(audited, loaded, title=spelled(faces.name), progress=progress))
        stderr.print(f"open {page} in a browser, choose, download review.json, then:", markup=False, soft_wrap=True)
        stderr.print(f"  mien data clean {faces} {out} review.json -o clean.npz", markup=False, soft_wrap=True)


def clean(
    faces: Annotated[Path, typer.Argument(metavar="FACES", help="A file of faces.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file of clean faces, .npz.", show_default=False)],
    audit: Annotated[
        Path | None,
        typer.Argument(metavar="AUDIT", help="Their audit. Without it, they are audited now.", show_default=False),
    ] = None,
    review: Annotated[
        Path | None,
        typer.Argument(metavar="REVIEW", help="A person's choices, from the audit's page.", show_default=False),
    ] = None,
    drop: Annotated[
        str, typer.Option(help="Kinds of findings whose faces go: blank,leak,...", show_default=False)
    ] = "",
    relabel: Annotated[
        float | None,
        typer.Option(help="Take labels that are suggested so surely, 0 to 1; not for test faces.", show_default=False),
    ] = None,
    only: Annotated[str, typer.Option(help="The splits that --drop and --relabel touch.")] = "train,valid,test",
    ask: Annotated[bool, typer.Option("--ask", help="Show each face that would be dropped, and ask.")] = False,
) -> None:
    """Drop and relabel faces by an audit, and by a person's choices."""
    from mien.data.audit.clean import clean as clean_
    from mien.data.audit.clean import load_review
    from mien.data.audit.findings import load_audit
    from mien.data.formats.npz import load_faces, load_history, require_faces_path, save_faces
    from mien.io.atomic_write import require_writable

    require_faces_path(out)
    if out.suffix.lower() != ".npz":
        raise typer.BadParameter("must end in .npz; `mien data export` writes other forms", param_hint="--out")
    kinds, splits = _kinds(drop) if drop else (), _splits(only)
    if not (kinds or relabel or review):
        raise typer.BadParameter("is needed, or --relabel, or a REVIEW: there is nothing to do", param_hint="--drop")
    if audit is None and (relabel or "label" in kinds):
        raise typer.BadParameter(
            "is needed to find wrong labels: `mien data audit FACES --scores ...`", param_hint="AUDIT"
        )
    if ask and (review or relabel):
        other = "a REVIEW" if review else "--relabel"
        raise typer.BadParameter(f"goes without {other}: the choices are made by one of them", param_hint="--ask")
    if ask and not kinds:
        raise typer.BadParameter("needs --drop: it asks about the faces that would go", param_hint="--ask")
    require_writable(out, inputs=(faces, audit, review))
    loaded = load_faces(faces)
    audited = load_audit(audit) if audit else _audited(loaded, kinds)
    choices = load_review(review) if review else _asked(loaded, audited, kinds, splits) if ask else None
    cleaned = clean_(loaded, audited, drop=kinds, relabel=relabel, review=choices, only=splits)
    save_faces(cleaned.faces, out, history=(*load_history(faces), cleaned.history))
    _show_cleaned(cleaned, out)


def _kinds(text: str) -> tuple[str, ...]:
    """The kinds of findings that an option names, in their order; all of them where it is empty."""
    from mien.data.audit.findings import KINDS, require_kinds

    names = [name.strip() for name in text.split(",")] if text else list(KINDS)
    require_kinds(names)
    return tuple(kind for kind in KINDS if kind in names)


def _splits(text: str) -> tuple[str, ...]:
    from mien.labels import SPLITS

    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in SPLITS]
    if unknown:
        raise typer.BadParameter(f"must be among {', '.join(SPLITS)}, got {unknown[0]!r}", param_hint="--only")
    return tuple(names)


def _detector() -> "Detector":
    from mien.detect.yunet import YuNet

    return YuNet(threshold=_DOUBT)


def _scores(faces: "FaceSet", scores: Path | None, model: str | None) -> "FaceScores | None":
    """What judges the labels: a file of scores, or a model that is asked now."""
    from mien.data.scores_file import FaceScores, load_scores

    if scores is not None:
        return load_scores(scores)
    if model is None:
        return None
    from mien.classify.onnx import load

    classifier = load(model)
    return FaceScores(faces.ids, classifier(faces.images), held_out=False)


def _audited(faces: "FaceSet", kinds: tuple[str, ...]) -> "Audit":
    from mien.cli.console import progress_bar
    from mien.data.audit.run import audit as audit_

    with progress_bar("Auditing") as progress:
        return audit_(faces, kinds=kinds, detector=_detector() if "nonface" in kinds else None, progress=progress)


def _asked(faces: "FaceSet", audit: "Audit", kinds: tuple[str, ...], splits: tuple[str, ...]) -> "Review":
    """A person's choices at the terminal, a face after the other."""
    from mien.cli.console import stderr
    from mien.data.audit.clean import Review
    from mien.labels import EXPRESSIONS

    found: dict[int, list[str]] = {}
    for finding in audit.of_kind(*kinds):
        if faces.splits[finding.row] in splits:
            found.setdefault(finding.row, []).append(finding.kind)
    choices = {}
    for number, (row, names) in enumerate(found.items(), 1):
        label = EXPRESSIONS[faces.labels[row]] if faces.labels[row] >= 0 else "no label"
        stderr.print(_drawn(faces.images[row]))
        what = f"{number}/{len(found)} {faces.ids[row]} ({faces.splits[row]}, {label}): {', '.join(names)}. Drop it?"
        choices[str(faces.ids[row])] = "drop" if typer.confirm(what, default=True, err=True) else "keep"
    return Review(audit.hash, choices)


def _drawn(image: "NDArray[np.uint8]") -> "Text":
    """A face as text: two pixels, one above the other, a character."""
    from rich.text import Text

    text = Text()
    for upper, lower in zip(image[::2].tolist(), image[1::2].tolist(), strict=True):
        for top, bottom in zip(upper, lower, strict=True):
            text.append("\u2580", style=f"rgb({top},{top},{top}) on rgb({bottom},{bottom},{bottom})")
        text.append("\n")
    return text


def _show(audit: "Audit", faces: Path, *, voted: bool) -> None:
    """The counts, the identical and the near-identical side by side. voted: whether there are votes of FER+."""
    from rich import box
    from rich.table import Table

    from mien.cli.console import stderr, stdout

    summary = audit.summary
    stdout.print(f"{faces}: {summary['faces']:,} faces, audit {audit.hash[:12]}\n", markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "identical", "near-identical"):
        table.add_column(name, justify="right" if name else "left")
    for name, key in (
        ("groups of twins", "duplicate_groups"),
        ("redundant copies", "redundant_copies"),
        ("valid faces with a twin in train", "leak_valid"),
        ("test faces with a twin in train", "leak_test"),
        ("groups with contradicting labels", "conflict_groups"),
    ):
        near = summary.get(f"near_{key}")
        table.add_row(name, f"{summary[key]:,}", "-" if near is None else f"{near:,}")
    stdout.print(table)
    kinds = audit.settings["kinds"]
    looked = "nonface" in kinds and (voted or audit.settings["detector"])
    judged = "label" in kinds and audit.settings["scores"]
    no_face = f"{summary['nonface']:,}" if looked else "not looked for"
    wrong = f"{summary['label']:,}" if judged else "not looked for: no --scores or --model"
    stdout.print(f"blank            {summary['blank']:,}, of which {summary['constant']:,} are one grey all over")
    stdout.print(f"no face          {no_face}")
    stdout.print(f"wrong labels     {wrong}")
    stdout.print(f"pixels           mean {summary['pixel_mean']:.4f}, standard deviation {summary['pixel_std']:.4f}")
    if summary["imbalance"]:
        stdout.print(f"imbalance        {summary['imbalance']:.1f} of the commonest in train for one of the rarest")
    stderr.print("near-identical: beyond the identical ones", markup=False)


def _show_judged(faces: "FaceSet", scores: "FaceScores") -> None:
    """How many labels were judged, and that the judge had learnt them, where it had."""
    from mien.cli.console import stderr

    rows, _ = scores.of(faces)
    count = int(((faces.labels[rows] >= 0) & (faces.splits[rows] != "test")).sum())
    learnt = "" if scores.held_out else ", by a model that may have learnt them: it finds fewer than held-out scores do"
    stderr.print(f"labels of {count:,} faces were judged{learnt}", markup=False, soft_wrap=True)


def _show_cleaned(cleaned: "Cleaned", out: Path) -> None:
    from mien.cli.console import stdout

    for reason, count in cleaned.dropped.items():
        stdout.print(f"dropped     {count:,} by {'the review' if reason == 'review' else reason}")
    stdout.print(f"relabelled  {cleaned.relabelled:,}")
    lost = ", ".join(f"{split} {count:,}" for split, count in cleaned.by_split.items() if count)
    stdout.print(f"{out}: {len(cleaned.faces):,} faces; fewer: {lost or 'none'}", markup=False, soft_wrap=True)
