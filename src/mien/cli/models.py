"""`mien models`: what ships."""

from typing import Any

from mien.classify import onnx
from mien.classify.card import ModelCard
from mien.classify.onnx import OnnxClassifier
from mien.cli.console import add_row, progress_bar, remark, say_json, stdout, table
from mien.cli.options import Json, Quiet
from mien.evaluation import latency

_ANSWERS = {"ferplus": "people", "fer2013": "FER2013"}  # by the question in a card


def models(json: Json = False, _quiet: Quiet = False) -> None:
    """List the models that ship, how good they are and how fast here.

    A model answers which expression people would name, or which label FER2013 would give; its accuracy and calibration
    error (ECE) are of that. The last column is the milliseconds that a face takes on this machine.

    Examples
    --------
    mien models
    """
    loaded = {name: (len(file.read_bytes()), onnx.load(name)) for name, file in onnx.shipped().items()}
    if not loaded:
        remark("no model ships with this copy of mien; train and export one, and give its path")
    milliseconds: dict[str, float] = {}
    with progress_bar("Measuring") as progress:
        for name, (_, model) in loaded.items():
            milliseconds[name] = latency.bench(model, batch=64, seconds=0.3).milliseconds
            progress(len(milliseconds), len(loaded))
    if json:
        facts = [_facts(name, size, model, milliseconds[name]) for name, (size, model) in loaded.items()]
        say_json(facts)
    elif loaded:
        _show(loaded, milliseconds)


def _show(loaded: dict[str, tuple[int, OnnxClassifier]], milliseconds: dict[str, float]) -> None:
    tested = any("test_accuracy" in model.card.scores for _, model in loaded.values())
    shown = table("model", "answers", "size", "valid (95%)", "mirrored", *["test"] * tested, "ECE", "ms")
    unknown = False
    for name, (size, model) in loaded.items():
        card = model.card
        own = "people_" if card.question == "ferplus" else ""  # figures by the other question say little
        mirrored, ece = (card.scores.get(f"valid_{own}{figure}") for figure in ("accuracy_mirrored", "ece"))
        unknown |= mirrored is None or ece is None
        cells = [
            name,
            _ANSWERS.get(card.question, "-"),
            f"{size / 1e6:.1f} MB",
            _accuracy(card, f"valid_{own}accuracy"),
            "-" if mirrored is None else f"{mirrored:.1%}",
            *[_accuracy(card, f"test_{own}accuracy")] * tested,
            "-" if ece is None else f"{ece:.3f}",
            f"{milliseconds[name]:.3f}",
        ]
        add_row(shown, cells)
    stdout.print(shown)
    if unknown:
        remark("-: not in the model's card; mien evaluate MODEL FACES measures it, and --tta mirror what is mirrored")


def _facts(name: str, size: int, model: OnnxClassifier, milliseconds: float) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": name,
        "question": model.card.question,
        "parameters": model.card.parameters,
        "bytes": size,
        "hash": model.hash,
    }
    return facts | {"milliseconds": milliseconds, "scores": dict(model.card.scores)}


def _accuracy(card: ModelCard, name: str) -> str:
    """Format an accuracy that a card holds, with its interval."""
    accuracy, low, high = (card.scores.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if accuracy is None:
        return "-"
    return f"{accuracy:.1%}" if low is None or high is None else f"{accuracy:.1%} ({100 * low:.1f} to {high:.1%})"
