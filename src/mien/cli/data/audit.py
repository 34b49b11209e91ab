"""`mien data audit`: what is wrong with faces."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich import box
from rich.table import Table

from mien.classify.onnx import load
from mien.cli.console import progress_bar, remark, say, stdout, write_result
from mien.cli.options import MODEL, OUTPUT, THRESHOLDS, Faces, Quiet, flag, option, out
from mien.data.audit.findings import KINDS, Audit, require_kinds
from mien.data.audit.page import audit_page
from mien.data.audit.run import audit as audit_faces
from mien.data.formats.npz import load_faces
from mien.data.formats.paths import id_from_path
from mien.data.scores_file import FaceScores, load_scores
from mien.detect.yunet import YuNet
from mien.io.atomic_write import require_suffix, require_writable
from mien.types import Detector, FaceSet, Scores, batches

_DOUBT = 0.01  # the confidence from which the detector tells of a face; the doubtful ones are wanted here


def audit(
    faces: Faces,
    out: Annotated[Path, out("FILE", "The findings, as JSON.")],
    html: Annotated[
        Path | None,
        option(
            "--html",
            panel=OUTPUT,
            metavar="FILE",
            help="Also write a page on which a person looks at the findings and chooses.",
        ),
    ] = None,
    _quiet: Quiet = False,
    kinds: Annotated[
        str,
        option(
            "--kinds",
            panel=THRESHOLDS,
            metavar="KIND,...",
            help=f"Look for these kinds alone. Default: {', '.join(KINDS)}.",
        ),
    ] = "",
    scores: Annotated[
        Path | None,
        option(
            "--scores",
            panel=MODEL,
            metavar="FILE",
            help="Find wrong labels by held-out scores, as `mien train --folds 5` writes them.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        option(
            "-m",
            "--model",
            panel=MODEL,
            metavar="MODEL",
            help="Find wrong labels by a model. It finds fewer if it was trained on these faces.",
        ),
    ] = None,
    detect: Annotated[
        bool, flag("--detect/--no-detect", panel=MODEL, help="Look for a face in each picture that nobody voted on.")
    ] = True,
    blank_below: Annotated[
        float,
        option(
            "--blank-below",
            panel=THRESHOLDS,
            metavar="LEVELS",
            help="Call a picture blank if its pixels deviate by less than this, in grey levels.",
            min=0,
        ),
    ] = 10.0,
    near: Annotated[
        float,
        option(
            "--near",
            panel=THRESHOLDS,
            metavar="SHARE",
            help="Call pictures near-identical if their details correlate at least this much.",
            min=0.6,
            max=1,
        ),
    ] = 0.7,
) -> None:
    """Find what is wrong with faces: blanks, non-faces, duplicates, leaks, wrong labels.

    Examples
    --------
    mien data audit faces.npz -o audit.json --html audit.html
    mien data audit faces.npz -o audit.json --scores runs/folds/scores.npz
    """
    require_writable(out, html, inputs=(faces, scores, None if model is None else Path(model)))
    require_suffix(out, (".json",), "an audit")
    if html is not None:
        require_suffix(html, (".html",), "a page")
    if scores is not None and model is not None:
        raise typer.BadParameter("goes without --scores: labels are judged by one of them", param_hint="--model")
    wanted = parse_kinds(kinds)
    if "label" not in wanted and (scores or model):
        raise typer.BadParameter("must have label among them, where there is --scores or --model", param_hint="--kinds")
    with progress_bar(f"Reading {faces}") as progress:
        loaded = load_faces(faces, progress=progress)
    found = _scores(loaded, scores, model)
    with progress_bar("Looking for faces, duplicates") as progress:
        audited = audit_faces(
            loaded,
            kinds=wanted,
            blank_below=blank_below,
            near=near,
            scores=found,
            detector=doubtful_detector() if detect and "nonface" in wanted else None,
            progress=progress,
        )
    write_result(out, audited.to_json())
    _show(audited, faces, voted=loaded.votes is not None)
    if found is not None:
        _show_judged(loaded, found)
    if html is not None:
        with progress_bar("Drawing the page") as progress:
            page = audit_page(audited, loaded, title=id_from_path(faces.name), progress=progress)
        write_result(html, page)
        remark(f"open {html} in a browser, choose, download review.json, then:")
        remark(f"  mien data clean {faces} {out} review.json -o clean.npz")


def parse_kinds(text: str) -> tuple[str, ...]:
    """The kinds of findings that an option names, in their order; all of them where it is empty."""
    names = [name.strip() for name in text.split(",")] if text else list(KINDS)
    require_kinds(names)
    return tuple(kind for kind in KINDS if kind in names)


def doubtful_detector() -> Detector:
    """A detector that also tells of what is hardly a face."""
    return YuNet(threshold=_DOUBT, turned=False)


def _scores(faces: FaceSet, scores: Path | None, model: str | None) -> FaceScores | None:
    """Return what judges the labels: the scores of a file, or of a model that is asked now."""
    if scores is not None:
        return load_scores(scores)
    if model is None:
        return None
    classifier = load(model)
    probs = np.zeros((len(faces), len(classifier.card.class_names)), np.float32)
    with progress_bar("Asking the model") as progress:
        for rows in batches(len(faces), 1024):
            probs[rows] = classifier(faces.images[rows]).probs
            progress(rows.stop, len(faces))
    return FaceScores(faces.ids, Scores(probs, classifier.card.class_names), held_out=False)


def _show(audit: Audit, faces: Path, *, voted: bool) -> None:
    """Print the counts, the identical and the near-identical side by side. voted: whether there are votes of FER+."""
    summary = audit.summary
    say(f"{faces}: {summary['faces']:,} faces, audit {audit.hash[:12]}\n")
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "identical", "near-identical"):
        table.add_column(name, justify="right" if name else "left")
    for name, key in (
        ("groups of duplicates", "duplicate_groups"),
        ("redundant copies", "redundant_copies"),
        ("valid faces with a duplicate in train", "leak_valid"),
        ("test faces with a duplicate in train", "leak_test"),
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
    say(f"blank            {summary['blank']:,}, {summary['constant']:,} of them one grey all over")
    say(f"no face          {no_face}")
    say(f"wrong labels     {wrong}")
    say(f"pixels           mean {summary['pixel_mean']:.4f}, standard deviation {summary['pixel_std']:.4f}")
    if summary["imbalance"]:
        say(f"imbalance        {summary['imbalance']:.1f} of the commonest in train for one of the rarest")
    remark("near-identical: beyond the identical ones")


def _show_judged(faces: FaceSet, scores: FaceScores) -> None:
    """Say how many labels were judged, and whether the judge had learnt them."""
    rows, _ = scores.match(faces)
    count = int(((faces.labels[rows] >= 0) & (faces.splits[rows] != "test")).sum())
    learnt = "" if scores.held_out else ", by a model that may have learnt them: it finds fewer than held-out scores do"
    remark(f"labels of {count:,} faces were judged{learnt}")
