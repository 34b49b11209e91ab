"""`mien evaluate`: how good a model is."""

from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from mien.classify.ensemble import classifier_name
from mien.classify.session import providers_of
from mien.cli.console import progress_bar, remark, say, stdout, write_result
from mien.cli.evaluate_tables import (
    comparison_text,
    confusion_table,
    expressions_table,
    named_expressions_table,
    questions_table,
    slices_table,
    summary_table,
    worst_text,
)
from mien.cli.options import (
    INPUT,
    OUTPUT,
    Device,
    Json,
    PriorText,
    Quiet,
    Tta,
    argument,
    classifier_of,
    flag,
    option,
    out,
)
from mien.cli.robustness_table import (
    Measured,
    measure_robustness,
    require_drawing,
    show_robustness,
    shown_on_page,
    write_robustness,
)
from mien.cli.show import holds_faces
from mien.data.formats.npz import load_faces
from mien.data.formats.paths import id_from_path
from mien.detect.yunet import YuNet
from mien.errors import DataError
from mien.evaluation.evaluate import labelled_faces, make_report, score_faces
from mien.evaluation.page.page import Evaluated, evaluation_page
from mien.evaluation.paired import PairedComparison, compare_predictions
from mien.evaluation.prediction_table import read_predictions
from mien.evaluation.robustness import SAMPLE
from mien.evaluation.roll import roll_slice
from mien.evaluation.slice_columns import face_slices, read_slices
from mien.evaluation.slices import Slice
from mien.evaluation.truth import Against, Truth, find_truth
from mien.evaluation.twins import Twins, find_twins
from mien.io.atomic_write import require_suffix, require_writable
from mien.labels import SPLITS
from mien.types import Classifier, FaceSet

_SEEN = 0.5  # the detector's confidence from which the eyes that it found tell how far a face leans


def evaluate(
    names: Annotated[
        list[str],
        argument(
            "MODEL... FACES",
            "Models that ship or model files, of which several are averaged, or a .csv table of predictions; then a "
            "file of faces.",
        ),
    ],
    split: Annotated[
        Literal["train", "valid", "test", "valid+test", "all"],
        option(
            "--split",
            panel=INPUT,
            metavar="SPLIT",
            help="Measure on these faces: train, valid, test, valid+test or all.",
        ),
    ] = "valid",
    tta: Tta = "none",
    prior: PriorText = "",
    device: Device = "auto",
    compare: Annotated[
        str,
        option("--compare", panel=INPUT, metavar="MODEL", help="Compare with this model or table, on the same faces."),
    ] = "",
    slices: Annotated[
        Path | None,
        option(
            "--slices",
            panel=INPUT,
            metavar="FILE",
            help="Also measure groups of faces: a CSV file with a column id, and one for each kind of groups.",
        ),
    ] = None,
    against: Annotated[
        Against,
        option(
            "--against",
            panel=INPUT,
            metavar="TRUTH",
            help="Judge groups and robustness by labels or votes; auto: by votes if the model says what people name.",
        ),
    ] = "auto",
    corrupt: Annotated[
        bool, flag("--corrupt", panel=INPUT, help="Measure the robustness too: on faces with 17 corruptions.")
    ] = False,
    corrupt_faces: Annotated[
        int,
        option(
            "--corrupt-faces", panel=INPUT, metavar="N", help="Corrupt so many faces, drawn by a seed; 0: all.", min=0
        ),
    ] = SAMPLE,
    html: Annotated[
        Path | None,
        option(
            "--html",
            panel=OUTPUT,
            metavar="FILE",
            help="Write a page with charts, groups and faces to this file, which any browser shows.",
        ),
    ] = None,
    out: Annotated[Path | None, out("FILE", "Write the report to this file, as JSON.")] = None,
    draw: Annotated[
        Path | None,
        option("--draw", panel=OUTPUT, metavar="FILE", help="Draw the robustness, as a PNG picture, with --corrupt."),
    ] = None,
    json: Json = False,
    _quiet: Quiet = False,
) -> None:
    """Measure how good a model is on labelled faces.

    Examples
    --------
    mien evaluate swift faces.npz
    mien evaluate a.onnx b.onnx faces.npz --tta mirror -o report.json
    mien evaluate new.onnx faces.npz --compare old.onnx
    mien evaluate rows.csv faces.npz
    mien evaluate swift faces.npz --html report.html --slices ages.csv
    mien evaluate swift faces.npz --corrupt --draw robustness.png
    """
    models, faces = _split_names(names)
    require_writable(out, html, draw, inputs=(faces, slices, *map(Path, models)))
    require_drawing(draw, corrupt=corrupt)
    if out is not None:
        require_suffix(out, (".json",), "a report")
    if html is not None:
        require_suffix(html, (".html",), "a page")
    asked = [models, [compare]] if compare else [models]
    _require_models(asked, tta=tta != "none", prior=bool(prior), corrupt=corrupt)
    answering = [_load(each, tta=tta, prior=prior, device=device) for each in asked]
    with progress_bar(f"Reading {faces}") as progress:
        every = load_faces(faces, progress=progress)
    chosen = labelled_faces(_split(every, split, faces))
    given = () if slices is None else read_slices(slices, chosen)
    truth = find_truth(chosen, None if isinstance(answering[0], Path) else answering[0], against)
    twins = _twins(chosen, every, split)
    groups = (*face_slices(chosen, twins=twins), _roll(chosen), *given)
    evaluated: Evaluated = []
    for each in answering:
        probs = _ask(each, chosen)
        report = make_report(
            probs, chosen, None if isinstance(each, Path) else each, twins=twins, slices=groups, truth=truth
        )
        evaluated.append((replace(report, model=each.name) if isinstance(each, Path) else report, probs))
    comparisons = _comparisons(evaluated, chosen, truth) if compare else {}
    robust = None
    if corrupt:
        classifiers = [each for each in answering if not isinstance(each, Path)]  # all of them: tables are refused
        robust = measure_robustness(*classifiers, faces=chosen, sample=corrupt_faces, against=against)
    text = _as_json(evaluated, comparisons, robust)
    if json:
        say(text)
    else:
        count = evaluated[0][0].count
        say(f"{evaluated[0][0].model} on {count:,} labelled face{'s' * (count > 1)} of {faces} ({split})\n")
        _show(evaluated, comparisons, truth)
        show_robustness(robust)
    if out is not None:
        write_result(out, text)
    if html is not None:
        title = f"{id_from_path(faces.name)} ({split})"
        write_result(html, evaluation_page(evaluated, chosen, truth, title=title, robust=shown_on_page(robust)))
    if robust is not None and draw is not None:
        write_robustness(draw, robust)


def _require_models(asked: list[list[str]], *, tta: bool, prior: bool, corrupt: bool) -> None:
    """Refuse what a table of predictions cannot do. Raises BadParameter."""
    tables = [name for names in asked for name in names if _is_table(name)]
    if not tables:
        return
    if any(_is_table(name) for names in asked for name in names if len(names) > 1):
        raise typer.BadParameter(f"{tables[0]} is a table of predictions and cannot be averaged", param_hint="MODEL")
    for option_name, given in (("--tta", tta), ("--prior", prior), ("--corrupt", corrupt)):
        if given:
            raise typer.BadParameter(f"needs models, got the table {tables[0]}", param_hint=option_name)


def _is_table(name: str) -> bool:
    return Path(name).suffix.lower() == ".csv"


def _load(names: list[str], *, tta: Tta, prior: str, device: Device) -> Classifier | Path:
    """Load the classifier that answers, or return the table that holds its answers."""
    if _is_table(names[0]):
        return Path(names[0])
    return classifier_of(names, tta=tta, prior=prior, providers=providers_of(device))


def _ask(answering: Classifier | Path, faces: FaceSet) -> NDArray[np.float32]:
    """Return the probabilities of faces, (N, K), by a classifier or by a table."""
    if isinstance(answering, Path):
        return read_predictions(answering, faces)
    with progress_bar(f"Evaluating {classifier_name(answering)}") as progress:
        return score_faces(answering, faces, progress=progress)


def _comparisons(evaluated: Evaluated, faces: FaceSet, truth: Truth) -> dict[str, PairedComparison]:
    """Compare two models by the labels and, where the truth is another, by that too."""
    one, other = (probs.argmax(axis=1) for _, probs in evaluated)
    if np.array_equal(evaluated[0][1], evaluated[1][1]):
        remark("both answer every face alike: is a model compared with itself?")
    truths = {"labels": faces.labels, truth.name: truth.classes}
    return {
        name: compare_predictions(classes[classes >= 0], one[classes >= 0], other[classes >= 0])
        for name, classes in truths.items()
    }


def _as_json(evaluated: Evaluated, comparisons: dict[str, PairedComparison], robust: Measured | None) -> str:
    content = evaluated[0][0].to_dict()
    if comparisons:
        content["compared_with"] = {"model": evaluated[1][0].model, **comparisons["labels"].to_dict()}
        if "votes" in comparisons:
            content["compared_with"]["by_votes"] = comparisons["votes"].to_dict()
    if robust is not None:
        content["robustness"] = robust.to_dict()
    return dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _show(evaluated: Evaluated, comparisons: dict[str, PairedComparison], truth: Truth) -> None:
    report = evaluated[0][0]
    tables = [summary_table(report)]
    if report.ferplus is not None:
        tables.insert(0, questions_table(report, report.ferplus))
    if report.ferplus is not None and truth.name == "votes":
        confusion = report.ferplus.confusion
        tables.append(named_expressions_table(report.class_names, confusion))
    else:
        confusion = report.confusion
        tables.append(expressions_table(report))
    for shown in (*tables, confusion_table(report.class_names, confusion)):
        stdout.print(shown)
        stdout.print()
    if report.slices is not None and report.slices.groups:
        stdout.print(slices_table(report.slices))
        say(worst_text(report.slices))
    for name, paired in comparisons.items():
        say(comparison_text(report.model, evaluated[1][0].model, paired, truth=name))


def _roll(faces: FaceSet) -> Slice:
    with progress_bar("Looking for eyes") as progress:
        return roll_slice(faces, YuNet(threshold=_SEEN, turned=False), progress=progress)


def _twins(chosen: FaceSet, every: FaceSet, split: str) -> Twins | None:
    """Find the twins in training of faces of another split."""
    if split not in ("valid", "test", "valid+test") or "train" not in every.splits:
        return None
    with progress_bar("Looking for twins in training") as progress:
        return find_twins(chosen, every[every.splits == "train"], progress=progress)


def _split_names(names: list[str]) -> tuple[list[str], Path]:
    """Split the arguments into models and faces. Raises BadParameter where one is missing or they are swapped."""
    if len(names) == 1:
        missing = "MODEL" if holds_faces(Path(names[0])) else "FACES"
        raise typer.BadParameter("is missing, as in: mien evaluate swift faces.npz", param_hint=missing)
    if holds_faces(Path(names[0])) and not holds_faces(Path(names[-1])):
        raise typer.BadParameter("comes last, as in: mien evaluate swift faces.npz", param_hint="FACES")
    return names[:-1], Path(names[-1])


def _split(faces: FaceSet, split: str, file: Path) -> FaceSet:
    chosen = faces if split == "all" else faces[np.isin(faces.splits, split.split("+"))]
    if not len(chosen):
        there = ", ".join(f"{name} {count:,}" for name in SPLITS if (count := int((faces.splits == name).sum())))
        raise DataError(f"{file} has no faces for --split {split}; it has: {there or 'none'}")
    if not (chosen.labels >= 0).any():
        raise DataError(f"{file} has no labels for --split {split}, so there is nothing to measure it against")
    return chosen
