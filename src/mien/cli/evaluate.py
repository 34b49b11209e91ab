"""`mien evaluate`: how good a model is."""

from json import dumps
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from mien.classify.ensemble import classifier_name
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
from mien.evaluation.evaluate import labelled_faces, make_report, score_faces
from mien.evaluation.ferplus import FerPlusReport
from mien.evaluation.paired import PairedComparison, compare_predictions
from mien.evaluation.report import Report
from mien.io.atomic_write import require_suffix, require_writable
from mien.labels import SPLITS
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
    compare: Annotated[
        str,
        option("--compare", panel=INPUT, metavar="MODEL", help="Compare with this model, on the same faces."),
    ] = "",
    out: Annotated[Path | None, out("FILE", "Write the report to this file, as JSON.")] = None,
    json: Json = False,
    _quiet: Quiet = False,
) -> None:
    """Measure how good a model is on labelled faces.

    Examples
    --------
    mien evaluate swift faces.npz
    mien evaluate a.onnx b.onnx faces.npz --tta mirror -o report.json
    mien evaluate new.onnx faces.npz --compare old.onnx
    """
    models, faces = _split_names(names)
    require_writable(out, inputs=(faces, *map(Path, models)))
    if out is not None:
        require_suffix(out, (".json",), "a report")
    classifier = classifier_of(models, tta=tta, prior=prior, providers=providers_of(device))
    with progress_bar(f"Reading {faces}") as progress:
        every = load_faces(faces, progress=progress)
    chosen = labelled_faces(_split(every, split, faces))
    train = every[every.splits == "train"] if split in ("valid", "test") and "train" in every.splits else None
    with progress_bar("Evaluating") as progress:
        probs = score_faces(classifier, chosen, progress=progress)
    report = make_report(probs, chosen, classifier, train_faces=train)
    content, paired = report.to_dict(), None
    if compare:
        other = classifier_of([compare], tta=tta, prior=prior, providers=providers_of(device))
        with progress_bar(f"Evaluating {compare}") as progress:
            theirs = score_faces(other, chosen, progress=progress)
        paired = compare_predictions(chosen.labels, probs.argmax(axis=1), theirs.argmax(axis=1))
        content["compared_with"] = {"model": classifier_name(other), **paired.to_dict()}
    text = dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if json:
        say(text)
    else:
        say(f"{report.model} on {report.count:,} labelled faces of {faces} ({split})\n")
        for shown in (_summary(report), _expressions(report), _confusion(report)):
            stdout.print(shown)
            stdout.print()
        if paired is not None:
            say(_comparison(report.model, classifier_name(other), paired))
    if out is not None:
        write_result(out, text)


def _split_names(names: list[str]) -> tuple[list[str], Path]:
    """Split the arguments into models and faces. Raises BadParameter where one is missing or they are swapped."""
    if len(names) == 1:
        missing = "MODEL" if holds_faces(Path(names[0])) else "FACES"
        raise typer.BadParameter("is missing, as in: mien evaluate swift faces.npz", param_hint=missing)
    if holds_faces(Path(names[0])) and not holds_faces(Path(names[-1])):
        raise typer.BadParameter("comes last, as in: mien evaluate swift faces.npz", param_hint="FACES")
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
    proportions = (
        ("accuracy", report.accuracy, ""),
        ("  without twins", report.without_identical, "with no twin in training"),
        ("  nor near twins", report.without_near, "with no near twin there"),
        ("  in the first two", report.top2, ""),
    )
    for name, proportion, which in proportions:
        if proportion is not None:
            _add_proportion(shown, name, proportion, which)
    shown.add_row("balanced accuracy", f"{report.balanced_accuracy:.3f}", "mean recall of the expressions")
    shown.add_row("macro F1", f"{report.macro_f1:.3f}", "mean over expressions")
    shown.add_row("ECE", f"{report.ece:.3f}", "how far confidence is from accuracy; 0 is best")
    shown.add_row("Brier score", f"{report.brier:.3f}", "0 to 2; lower is better")
    shown.add_row("NLL", f"{report.nll:.3f}", "nats; lower is better")
    if report.ferplus is not None:
        _add_ferplus(shown, report.ferplus)
    return shown


def _add_proportion(shown: Table, name: str, proportion: Proportion, which: str) -> None:
    of = f"of {proportion.count:,} {which}" if which else ""
    shown.add_row(name, f"{proportion.value:.2%}", f"{_interval(proportion)} {of}")


def _add_ferplus(shown: Table, ferplus: FerPlusReport) -> None:
    _add_proportion(shown, "as people say", ferplus.accuracy, "with a clear FER+ vote")
    if ferplus.sure is not None:
        _add_proportion(shown, "  where they agree", ferplus.sure, "with 8 of 10 votes")
    shown.add_row("  mean recall", f"{ferplus.mean_recall:.3f}", "of the expressions, by the votes")
    shown.add_row("  KL", f"{ferplus.kl:.3f}", "nats from the votes; lower is better")
    shown.add_row("  one annotator", f"{ferplus.annotator:.1%}", "a person, for comparison")
    shown.add_row("  ten new annotators", f"{ferplus.new_panel:.1%}", "as good as votes can be told")


def _interval(proportion: Proportion) -> str:
    low, high = proportion.interval
    return f"({low:.1%} to {high:.1%})"


def _expressions(report: Report) -> Table:
    shown = table("expression", "faces", "precision", "recall", "F1", "ECE")
    for name, faces, *figures in (row.values() for row in report.rows()):
        add_row(shown, [name, f"{faces:,}", *(f"{figure:.3f}" for figure in figures)])
    return shown


def _comparison(model: str, other: str, paired: PairedComparison) -> str:
    low, high = (100 * end for end in paired.interval)
    told_apart = "differ" if paired.p_value < 0.05 else "are not told apart by these faces"
    return (
        f"{model} and {other} {told_apart}: {paired.first.value:.2%} and {paired.second.value:.2%},"
        f" {100 * paired.difference:+.2f} points ({low:+.2f} to {high:+.2f}); only one of them is right on"
        f" {paired.only_first:,} and {paired.only_second:,} faces; exact McNemar p = {paired.p_value:.2g}\n"
    )


def _confusion(report: Report) -> Table:
    shown = table("is, taken for:", *report.class_names)
    for place, (name, row) in enumerate(zip(report.class_names, report.confusion.tolist(), strict=True)):
        add_row(shown, [name, *(f"{count:,}" for count in row)], bold=place + 1)
    return shown
