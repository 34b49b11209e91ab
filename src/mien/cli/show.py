"""`mien show`: what a file is."""

import json as json_
import tomllib
from pathlib import Path
from typing import Annotated

from mien.classify.card_page import card_markdown, card_text
from mien.classify.onnx import OnnxClassifier, load
from mien.cli.console import say, say_json
from mien.cli.data.show_faces import show_counts
from mien.cli.options import OUTPUT, Json, Quiet, argument, flag
from mien.errors import DataError, RecipeError
from mien.io.atomic_write import is_file
from mien.io.image_format import PICTURE_SUFFIXES
from mien.io.source import VIDEO_SUFFIXES


def show(
    file: Annotated[str, argument("FILE", "A model file, a model that ships, a file of faces or a recipe.")],
    json: Json = False,
    markdown: Annotated[bool, flag("--markdown", panel=OUTPUT, help="Print a model's card as Markdown.")] = False,
    _quiet: Quiet = False,
) -> None:
    """Say what a file is and what it holds: a model, faces or a recipe.

    Examples
    --------
    mien show swift
    mien show my.onnx --markdown > my-card.md
    mien show faces.npz
    """
    path = Path(file)
    if path.suffix.lower() == ".toml" and is_file(path):
        _show_recipe(path, as_json=json)
    elif path.suffix.lower() in PICTURE_SUFFIXES | VIDEO_SUFFIXES and is_file(path):
        raise DataError(f"{file} is no model, faces or recipe; its expressions are read by: mien predict {file}")
    elif holds_faces(path):
        if not json:
            say(f"{file}: a file of faces")
        show_counts(path, as_json=json)
    else:
        _show_model(file, load(file, threads=1), as_json=json, markdown=markdown)


def _show_recipe(path: Path, *, as_json: bool) -> None:
    text = _text(path)
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    if as_json:
        say_json({"recipe": settings})
    else:
        say(f"{path}: a recipe\n\n{text}")


def _show_model(file: str, classifier: OnnxClassifier, *, as_json: bool, markdown: bool) -> None:
    card = classifier.card
    if markdown:
        say(card_markdown(card, classifier.hash).rstrip())
        return
    if as_json:
        say_json({"hash": classifier.hash} | json_.loads(card.to_json()))
        return
    say(f"{file}: a model file\n")
    say(card_text(card, classifier.hash))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def holds_faces(path: Path) -> bool:
    """Tell whether a file is of a kind that faces are kept in: .npz, which is a zip archive, or Parquet."""
    if not is_file(path):
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PAR1")
    except OSError:  # `load` says what is wrong
        return False
