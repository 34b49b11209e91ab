"""`mien evaluate`, `models`, `show` and `bench`: how good and how fast a model is, what ships, what a file is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mien.cli.data import show_faces

if TYPE_CHECKING:
    from rich.table import Table

    from mien.classify.card import ModelCard
    from mien.classify.onnx import OnnxClassifier
    from mien.evaluation.report import Report
    from mien.metrics import Proportion
    from mien.types import FaceSet


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Models that ship, by name, or model files; several are an ensemble.",
            show_default=False,
        ),
    ],
    faces: Annotated[Path, typer.Argument(metavar="FACES", help="A file of faces.", show_default=False)],
    split: Annotated[Literal["train", "valid", "test", "all"], typer.Option(help="The faces to measure on.")] = "valid",
    mirror: Annotated[bool, typer.Option("--mirror", help="Average over each face and its mirror image.")] = False,
    five_crop: Annotated[
        bool, typer.Option("--five-crop", help="Average over each face's corners and middle; with --mirror, ten crops.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(help="Write the report to this file as well.", show_default=False)
    ] = None,
) -> None:
    """Measure how good a model is on labelled faces."""
    from mien.classify.ensemble import Ensemble
    from mien.classify.onnx import load
    from mien.classify.tta import with_tta
    from mien.cli.console import progress_bar, stdout
    from mien.cli.predict import _tta
    from mien.data.formats.npz import load_faces
    from mien.evaluation.report import evaluate as measure
    from mien.io.atomic_write import require_writable, write_text
    from mien.types import Classifier

    require_writable(json, inputs=(faces, *map(Path, models)))
    loaded = [load(model) for model in models]
    classifier: Classifier = loaded[0] if len(loaded) == 1 else Ensemble(*loaded)
    classifier = with_tta(classifier, _tta(mirror=mirror, five_crop=five_crop))
    every = load_faces(faces)
    chosen = _split(every, split, faces)
    seen = every[every.splits == "train"] if split in ("valid", "test") and "train" in every.splits else None
    with progress_bar("evaluating") as progress:
        report = measure(classifier, chosen, seen=seen, progress=progress)
    stdout.print(f"{report.model} on {report.count:,} labelled faces of {faces} ({split})\n", markup=False)
    for table in (_summary(report), _expressions(report), _confusion(report)):
        stdout.print(table)
        stdout.print()
    if json is not None:
        write_text(json, report.to_json())


def models() -> None:
    """List the models that ship, how good they are, and the milliseconds that a face takes here."""
    from mien.classify import onnx as classifier
    from mien.cli.console import stderr, stdout
    from mien.evaluation.latency import bench as measure

    files = classifier.shipped()
    if not files:
        stderr.print("no model ships with this copy of mien; train and export one, and give its path")
        return
    loaded = [classifier.load(name) for name in files]
    tested = any("test_accuracy" in each.card.scores for each in loaded)
    table = _table("model", "params", "size", "valid (95%)", "mirrored", *["test"] * tested, "ECE", "ms")
    for (name, file), each in zip(files.items(), loaded, strict=True):
        card = each.card
        ece, mirrored = card.scores.get("valid_ece"), card.scores.get("valid_accuracy_mirrored")
        table.add_row(
            name,
            f"{card.parameters / 1e6:.2f} M",
            _size(len(file.read_bytes())),
            _carded(card, "valid"),
            "-" if mirrored is None else f"{mirrored:.1%}",
            *[_carded(card, "test")] * tested,
            "-" if ece is None else f"{ece:.3f}",
            f"{measure(each, batch=64, seconds=0.3).milliseconds:.3f}",
        )
    stdout.print(table)


def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A model file, a model that ships, or a file of faces.")],
) -> None:
    """Say what a file is and what it holds."""
    from mien.cli.console import stdout

    if _holds_faces(Path(file)):
        stdout.print(f"{file}: a file of faces", markup=False, soft_wrap=True)
        show_faces(Path(file))
        return
    from mien.classify.onnx import load

    _show_model(file, load(file, threads=1))


def bench(
    model: Annotated[str | None, typer.Argument(help="A model that ships or a model file.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="That compute a batch; 0: one for each CPU.")] = 0,
) -> None:
    """Measure how fast a model is on this machine."""
    from mien.classify.onnx import load
    from mien.cli.console import stdout
    from mien.evaluation import latency as home
    from mien.pipeline.predictor import DEFAULT_MODEL

    classifier = load(model or DEFAULT_MODEL, threads=threads)
    workers = f"{classifier.threads} thread{'s' * (classifier.threads > 1)}"
    stdout.print(f"{classifier.name}, {workers}\n{home.machine()}\n", markup=False, soft_wrap=True)
    table = _table("faces at once", "ms a face", "slowest tenth", "faces a second")
    for batch in (1, 64):
        speed = home.bench(classifier, batch=batch)
        table.add_row(
            str(batch), f"{speed.milliseconds:.3f}", f"{speed.p90_milliseconds:.3f}", f"{speed.faces_per_second:,.0f}"
        )
    stdout.print(table)


def _split(faces: "FaceSet", split: str, file: Path) -> "FaceSet":
    from mien.errors import DataError
    from mien.labels import SPLITS

    chosen = faces if split == "all" else faces[faces.splits == split]
    if not len(chosen):
        there = ", ".join(f"{name} {count:,}" for name in SPLITS if (count := int((faces.splits == name).sum())))
        raise DataError(f"{file} has no faces for --split {split}; it has: {there or 'none'}")
    if not (chosen.labels >= 0).any():
        raise DataError(f"{file} has no labels for --split {split}, so there is nothing to measure it against")
    return chosen


def _table(*columns: str) -> "Table":
    """A table without lines whose first column is text and whose others are numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", no_wrap=True)
    return table


def _summary(report: "Report") -> "Table":
    table = _table("", "", "")
    table.show_header = False
    table.columns[2].justify, table.columns[2].no_wrap = "left", False
    shares = (
        ("accuracy", report.accuracy, ""),
        ("  without twins", report.without_twins, "with no twin in training"),
        ("  as FER+ voted", report.votes_agreed, "with a clear vote"),
    )
    for name, share, which in shares:
        if share is not None:
            of = f"of {share.count:,} {which}" if which else ""
            table.add_row(name, f"{share.value:.2%}", f"{_interval(share)} {of}")
    table.add_row("macro F1", f"{report.macro_f1:.3f}", "the mean over expressions")
    table.add_row("ECE", f"{report.ece:.3f}", "how far confidence is from accuracy; 0 is best")
    table.add_row("NLL", f"{report.nll:.3f}", "nats; lower is better")
    return table


def _interval(share: "Proportion") -> str:
    low, high = share.interval
    return f"({low:.1%} to {high:.1%})"


def _expressions(report: "Report") -> "Table":
    table = _table("expression", "faces", "precision", "recall", "F1")
    for name, faces, *figures in (row.values() for row in report.rows()):
        table.add_row(str(name), f"{faces:,}", *(f"{figure:.3f}" for figure in figures))
    return table


def _confusion(report: "Report") -> "Table":
    from mien.labels import EXPRESSIONS

    table = _table("is, taken for:", *EXPRESSIONS)
    for place, (name, row) in enumerate(zip(EXPRESSIONS, report.confusion.tolist(), strict=True)):
        cells = [f"{count:,}" for count in row]
        cells[place] = f"[bold]{cells[place]}[/bold]"
        table.add_row(name, *cells)
    return table


def _show_model(file: str, classifier: "OnnxClassifier") -> None:
    from mien.cli.console import stdout

    card = classifier.card
    facts = {
        "model": card.name,
        "labels": ", ".join(card.class_names),
        "input": f"faces, {card.side}x{card.side} pixels, uint8",
        "parameters": f"{card.parameters:,}",
        "temperature": f"{card.temperature:g}",
        "version": " ".join(filter(None, (card.version, card.commit))),
        "hash": classifier.hash,
        "trained on": card.faces_hash,
        "measured on": card.measured_on,
        "note": card.note,
    }
    facts |= {name.replace("_", " "): f"{value:.6g}" for name, value in card.scores.items()}
    stdout.print(f"{file}: a model file", markup=False, soft_wrap=True)
    width = max(map(len, facts))
    for name, fact in facts.items():
        if fact:
            stdout.print(f"{name:<{width}}  {fact}", markup=False, soft_wrap=True)
    if card.recipe:
        stdout.print(f"\nrecipe\n{card.recipe}", markup=False, soft_wrap=True)


def _carded(card: "ModelCard", split: str) -> str:
    """The accuracy that a card holds, with its interval."""
    names = (f"{split}_accuracy", f"{split}_accuracy_low", f"{split}_accuracy_high")
    accuracy, low, high = (card.scores.get(name) for name in names)
    if accuracy is None:
        return "-"
    return f"{accuracy:.1%}" if low is None or high is None else f"{accuracy:.1%} ({100 * low:.1f} to {high:.1%})"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _holds_faces(path: Path) -> bool:
    """Whether a file is of a kind that faces are kept in: .npz, which is a zip archive, or Parquet."""
    from mien.io.atomic_write import is_file

    if not is_file(path):
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PAR1")
    except OSError:  # `load` says what is wrong
        return False
