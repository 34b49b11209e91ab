"""`mien evaluate`: how good a model is."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from mien.classify.session import providers_of
from mien.cli.console import add_row, progress_bar, say, stdout, table, write_result
from mien.cli.options import (
    INPUT,
    Device,
    Json,
    PriorText,
    Quiet,
    Tta,
    argument,
    classifier_of,
    option,
    out,
)
from mien.cli.show import holds_faces
from mien.data.formats.npz import load_faces
from mien.errors import DataError
from mien.evaluation.report import Report
from mien.evaluation.report import evaluate as measure
from mien.io.atomic_write import require_suffix, require_writable
from mien.labels import EXPRESSIONS, SPLITS
from mien.metrics import Proportion
from mien.types import FaceSet


def evaluate(
    names: Annotated[
        list[str],
        argument(
            "MODEL... FACES", "Models that ship or model files, of which several are averaged; then a file of faces."
        ),
    ],
    split: Annotated[
        Literal["train", "valid", "test", "all"],
        option("--split", panel=INPUT, metavar="SPLIT", help="Measure on these faces: train, valid, test or all."),
    ] = "valid",
    tta: Tta = "none",
    prior: PriorText = "",
    device: Device = "auto",
    out: Annotated[Path | None, out("FILE", "Write the report to this file, as JSON.")] = None,
    json: Json = False,
    _quiet: Quiet = False,
) -> None:
    """Measure how good a model is on labelled faces.

    Examples
    --------
    mien evaluate swift faces.npz
    mien evaluate a.onnx b.onnx faces.npz --tta mirror -o report.json
    """
    models, faces = _split_names(names)
    require_writable(out, inputs=(faces, *map(Path, models)))
    if out is not None:
        require_suffix(out, (".json",), "a report")
    classifier = classifier_of(models, tta=tta, prior=prior, providers=providers_of(device))
    with progress_bar(f"Reading {faces}") as progress:
        every = load_faces(faces, progress=progress)
    chosen = _split(every, split, faces)
    seen = every[every.splits == "train"] if split in ("valid", "test") and "train" in every.splits else None
    with progress_bar("Evaluating") as progress:
        report = measure(classifier, chosen, seen=seen, progress=progress)
    if json:
        say(report.to_json())
    else:
        say(f"{report.model} on {report.count:,} labelled faces of {faces} ({split})\n")
        for shown in (_summary(report), _expressions(report), _confusion(report)):
            stdout.print(shown)
            stdout.print()
    if out is not None:
        write_result(out, report.to_json())


def _split_names(names: list[str]) -> tuple[list[str], Path]:
    """Split the arguments into models and faces. Raises BadParameter where there is but one."""
    if len(names) == 1:
        missing = "MODEL" if holds_faces(Path(names[0])) else "FACES"
        raise typer.BadParameter("is missing, as in: mien evaluate swift faces.npz", param_hint=missing)
    return names[:-1], Path(names[-1])


def _split(faces: FaceSet, split: str, file: Path) -> FaceSet:
    chosen = faces if split == "all" else faces[faces.splits == split]
    if not len(chosen):
        there = ", ".join(f"{name} {count:,}" for name in SPLITS if (count := int((faces.splits == name).sum())))
        raise DataError(f"{file} has no faces for --split {split}; it has: {there or 'none'}")
    if not (chosen.labels >= 0).any():
        raise DataError(f"{file} has no labels for --split {split}, so there is nothing to measure it against")
    return chosen


def _summary(report: Report) -> Table:
    shown = table("", "", "")
    shown.show_header = False
    shown.columns[2].justify, shown.columns[2].no_wrap = "left", False
    shares = (
        ("accuracy", report.accuracy, ""),
        ("  without twins", report.without_twins, "with no twin in training"),
        ("  as FER+ voted", report.votes_agreed, "with a clear vote"),
    )
    for name, share, which in shares:
        if share is not None:
            of = f"of {share.count:,} {which}" if which else ""
            shown.add_row(name, f"{share.value:.2%}", f"{_interval(share)} {of}")
    shown.add_row("macro F1", f"{report.macro_f1:.3f}", "the mean over expressions")
    shown.add_row("ECE", f"{report.ece:.3f}", "how far confidence is from accuracy; 0 is best")
    shown.add_row("NLL", f"{report.nll:.3f}", "nats; lower is better")
    return shown


def _interval(share: Proportion) -> str:
    low, high = share.interval
    return f"({low:.1%} to {high:.1%})"


def _expressions(report: Report) -> Table:
    shown = table("expression", "faces", "precision", "recall", "F1")
    for name, faces, *figures in (row.values() for row in report.rows()):
        add_row(shown, [name, f"{faces:,}", *(f"{figure:.3f}" for figure in figures)])
    return shown


def _confusion(report: Report) -> Table:
    shown = table("is, taken for:", *EXPRESSIONS)
    for place, (name, row) in enumerate(zip(EXPRESSIONS, report.confusion.tolist(), strict=True)):
        add_row(shown, [name, *(f"{count:,}" for count in row)], bold=place + 1)
    return shown
