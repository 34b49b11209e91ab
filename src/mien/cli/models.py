"""`mien models`: what ships."""

import json as json_
from typing import Any

from mien.classify import onnx
from mien.classify.card import ModelCard
from mien.classify.onnx import OnnxClassifier
from mien.cli.console import add_row, remark, say, stdout, table
from mien.cli.options import Json
from mien.evaluation import latency


def models(json: Json = False) -> None:
    """List the models that ship, how good they are and how fast here.

    The last column is the milliseconds that a face takes on this machine.

    Examples
    --------
    mien models
    """
    loaded = {name: (len(file.read_bytes()), onnx.load(name)) for name, file in onnx.shipped().items()}
    if not loaded:
        remark("no model ships with this copy of mien; train and export one, and give its path")
    if json:
        say(json_.dumps([_facts(name, size, model) for name, (size, model) in loaded.items()], indent=2))
        return
    if not loaded:
        return
    tested = any("test_accuracy" in model.card.scores for _, model in loaded.values())
    shown = table("model", "params", "size", "valid (95%)", "mirrored", *["test"] * tested, "ECE", "ms")
    for name, (size, model) in loaded.items():
        card = model.card
        ece, mirrored = card.scores.get("valid_ece"), card.scores.get("valid_accuracy_mirrored")
        cells = [
            name,
            f"{card.parameters / 1e6:.2f} M",
            f"{size / 1e6:.1f} MB",
            _accuracy(card, "valid"),
            "-" if mirrored is None else f"{mirrored:.1%}",
            *[_accuracy(card, "test")] * tested,
            "-" if ece is None else f"{ece:.3f}",
            f"{_milliseconds(model):.3f}",
        ]
        add_row(shown, cells)
    stdout.print(shown)


def _facts(name: str, size: int, model: OnnxClassifier) -> dict[str, Any]:
    card = model.card
    facts: dict[str, Any] = {"name": name, "parameters": card.parameters, "bytes": size, "hash": model.hash}
    return facts | {"milliseconds": float(f"{_milliseconds(model):.4g}"), "scores": dict(card.scores)}


def _milliseconds(model: OnnxClassifier) -> float:
    """Measure how long a face takes, of 64 at once."""
    return latency.bench(model, batch=64, seconds=0.3).milliseconds


def _accuracy(card: ModelCard, split: str) -> str:
    """The accuracy that a card holds, with its interval."""
    names = (f"{split}_accuracy", f"{split}_accuracy_low", f"{split}_accuracy_high")
    accuracy, low, high = (card.scores.get(name) for name in names)
    if accuracy is None:
        return "-"
    return f"{accuracy:.1%}" if low is None or high is None else f"{accuracy:.1%} ({100 * low:.1f} to {high:.1%})"
