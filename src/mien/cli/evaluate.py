"""`mien evaluate`: how good a model is."""

from json import dumps
from pathlib import Path
from typing import Annotated, Literal

import typer

from mien.classify.ensemble import classifier_name
from mien.classify.session import providers_of
from mien.cli.console import progress_bar, say, stdout, write_result
from mien.cli.evaluate_tables import (
    comparison_text,
    confusion_table,
    expressions_table,
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
from mien.cli.robustness_table import measure_robustness, require_drawing, show_robustness, write_robustness
from mien.cli.show import holds_faces
from mien.data.formats.npz import load_faces
from mien.detect.yunet import YuNet
from mien.errors import DataError
from mien.evaluation.evaluate import labelled_faces, make_report, score_faces
from mien.evaluation.paired import compare_predictions
from mien.evaluation.robustness import SAMPLE
from mien.evaluation.roll import roll_slice
from mien.evaluation.slice_columns import face_slices, read_slices
from mien.evaluation.truth import Against, find_truth
from mien.evaluation.twins import Twins, find_twins
from mien.io.atomic_write import require_suffix, require_writable
from mien.labels import SPLITS
from mien.types import FaceSet

_SEEN = 0.5  # the detector's confidence from which the eyes that it found tell how far a face leans


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
    mien evaluate swift faces.npz --corrupt --draw robustness.png
    """
    models, faces = _split_names(names)
    require_writable(out, draw, inputs=(faces, slices, *map(Path, models)))
    require_drawing(draw, corrupt=corrupt)
    if out is not None:
        require_suffix(out, (".json",), "a report")
    classifier = classifier_of(models, tta=tta, prior=prior, providers=providers_of(device))
    with progress_bar(f"Reading {faces}") as progress:
        every = load_faces(faces, progress=progress)
    chosen = labelled_faces(_split(every, split, faces))
    given = () if slices is None else read_slices(slices, chosen)
    truth = find_truth(chosen, classifier, against)
    with progress_bar("Evaluating") as progress:
        probs = score_faces(classifier, chosen, progress=progress)
    twins = _twins(chosen, every, split)
    with progress_bar("Looking for eyes") as progress:
        roll = roll_slice(chosen, YuNet(threshold=_SEEN, turned=False), progress=progress)
    groups = (*face_slices(chosen, twins=twins), roll, *given)
    report = make_report(probs, chosen, classifier, twins=twins, slices=groups, truth=truth)
    content, paired, other = report.to_dict(), None, None
    if compare:
        other = classifier_of([compare], tta=tta, prior=prior, providers=providers_of(device))
        with progress_bar(f"Evaluating {compare}") as progress:
            theirs = score_faces(other, chosen, progress=progress)
        paired = compare_predictions(chosen.labels, probs.argmax(axis=1), theirs.argmax(axis=1))
        content["compared_with"] = {"model": classifier_name(other), **paired.to_dict()}
    measured = None
    if corrupt:
        measured = measure_robustness(classifier, chosen, sample=corrupt_faces, against=against, other=other)
        content["robustness"] = measured.to_dict()
    text = dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if json:
        say(text)
    else:
        say(f"{report.model} on {report.count:,} labelled faces of {faces} ({split})\n")
        for shown in (summary_table(report), expressions_table(report), confusion_table(report)):
            stdout.print(shown)
            stdout.print()
        if report.slices is not None:
            stdout.print(slices_table(report.slices))
            say(worst_text(report.slices))
        if paired is not None and other is not None:
            say(comparison_text(report.model, classifier_name(other), paired))
        show_robustness(measured)
    if out is not None:
        write_result(out, text)
    if measured is not None and draw is not None:
        write_robustness(draw, measured)


def _twins(chosen: FaceSet, every: FaceSet, split: str) -> Twins | None:
    """Find the twins in training of faces of another split."""
    if split not in ("valid", "test") or "train" not in every.splits:
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
    chosen = faces if split == "all" else faces[faces.splits == split]
    if not len(chosen):
        there = ", ".join(f"{name} {count:,}" for name in SPLITS if (count := int((faces.splits == name).sum())))
        raise DataError(f"{file} has no faces for --split {split}; it has: {there or 'none'}")
    if not (chosen.labels >= 0).any():
        raise DataError(f"{file} has no labels for --split {split}, so there is nothing to measure it against")
    return chosen
