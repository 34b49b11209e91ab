"""`mien show`: what a file is."""

from pathlib import Path
from typing import Annotated

from mien.classify.onnx import OnnxClassifier, load
from mien.cli.console import number, say
from mien.cli.data.show_faces import show_counts
from mien.cli.options import argument
from mien.errors import RecipeError
from mien.io.atomic_write import is_file


def show(
    file: Annotated[str, argument("FILE", "A model file, a model that ships, a file of faces or a recipe.")],
) -> None:
    """Say what a file is and what it holds: a model, faces or a recipe.

    Examples
    --------
    mien show swift
    mien show faces.npz
    """
    path = Path(file)
    if path.suffix.lower() == ".toml" and is_file(path):
        say(f"{file}: a recipe\n\n{_text(path)}")
    elif _holds_faces(path):
        say(f"{file}: a file of faces")
        show_counts(path)
    else:
        _show_model(file, load(file, threads=1))


def _show_model(file: str, classifier: OnnxClassifier) -> None:
    card = classifier.card
    facts = {
        "model": card.name,
        "labels": ", ".join(card.class_names),
        "input": f"faces, {card.side}x{card.side} pixels, uint8",
        "parameters": f"{card.parameters:,}",
        "temperature": number(card.temperature),
        "version": " ".join(filter(None, (card.version, card.commit))),
        "hash": classifier.hash,
        "trained on": card.faces_hash,
        "measured on": card.measured_on,
        "note": card.note,
    }
    facts |= {name.replace("_", " "): number(value) for name, value in card.scores.items()}
    say(f"{file}: a model file")
    width = max(map(len, facts))
    for name, fact in facts.items():
        if fact:
            say(f"{name:<{width}}  {fact}")
    if card.recipe:
        say(f"\nrecipe\n{card.recipe}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _holds_faces(path: Path) -> bool:
    """Tell whether a file is of a kind that faces are kept in: .npz, which is a zip archive, or Parquet."""
    if not is_file(path):
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PAR1")
    except OSError:  # `load` says what is wrong
        return False
