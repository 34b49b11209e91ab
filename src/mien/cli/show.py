"""`mien show`: what a file is."""

import difflib
import json as json_
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from mien.classify.card_page import card_markdown, card_text
from mien.classify.onnx import OnnxClassifier, load, shipped
from mien.cli.console import say, say_json
from mien.cli.data.show_faces import show_counts
from mien.cli.options import OUTPUT, Json, Quiet, argument, flag
from mien.errors import DataError, ModelError, RecipeError
from mien.io import recipe_files
from mien.io.atomic_write import exists, is_file
from mien.io.image_format import PICTURE_SUFFIXES
from mien.io.source import VIDEO_SUFFIXES


def show(
    file: Annotated[
        str, argument("FILE", "A model file, a file of faces or a recipe; or the name of a model or recipe that ships.")
    ],
    json: Json = False,
    markdown: Annotated[bool, flag("--markdown", panel=OUTPUT, help="Print a model's card as Markdown.")] = False,
    recipe: Annotated[
        bool, flag("--recipe", panel=OUTPUT, help="Print only the recipe that trained a model, as TOML.")
    ] = False,
    _quiet: Quiet = False,
) -> None:
    """Say what a file is and what it holds: a model, faces or a recipe.

    Examples
    --------
    mien show swift
    mien show swift --recipe > my-recipe.toml
    mien show my.onnx --markdown > my-card.md
    mien show report/final-18
    mien show faces.npz
    """
    if json + markdown + recipe > 1:
        raise typer.BadParameter("goes alone", param_hint="--markdown" if markdown else "--recipe")
    path = Path(file)
    if not exists(path) and file not in shipped():
        path = _shipped_recipe(file)
    if path.suffix.lower() == ".toml" and is_file(path):
        _require_model("a recipe", markdown=markdown, recipe=recipe)
        _show_recipe(file, path, as_json=json)
    elif path.suffix.lower() in PICTURE_SUFFIXES | VIDEO_SUFFIXES and is_file(path):
        raise DataError(f"{file} is no model, faces or recipe; its expressions are read by: mien predict {file}")
    elif holds_faces(path):
        _require_model("a file of faces", markdown=markdown, recipe=recipe)
        if not json:
            say(f"{file}: a file of faces")
        show_counts(path, as_json=json)
    elif recipe:
        _show_recipe_of(file, load(file, threads=1))
    else:
        _show_model(file, load(file, threads=1), as_json=json, markdown=markdown)


def _shipped_recipe(name: str) -> Path:
    """Find a recipe that ships. Raises DataError where neither a file nor anything that ships has the name."""
    recipes = recipe_files.shipped_recipes()
    if name in recipes:
        return recipes[name]
    near = difflib.get_close_matches(name, [*shipped(), *recipes], n=1)
    top = [each for each in recipes if "/" not in each]
    guess = f"did you mean {near[0]}?" if near else f"models: {', '.join(shipped())}; recipes: {', '.join(top)}"
    raise DataError(f"no file is named {name}, and no model or recipe that ships; {guess}")


def _require_model(what: str, *, markdown: bool, recipe: bool) -> None:
    if markdown or recipe:
        name = "--markdown" if markdown else "--recipe"
        raise typer.BadParameter(f"goes with a model, got {what}", param_hint=name)


def _show_recipe(name: str, path: Path, *, as_json: bool) -> None:
    text = _text(path)
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    if as_json:
        say_json({"recipe": settings})
    else:
        say(f"{name}: a recipe\n\n{text}")


def _show_recipe_of(file: str, classifier: OnnxClassifier) -> None:
    if not classifier.card.recipe:
        raise ModelError(f"the card of {file} has no recipe")
    say(classifier.card.recipe.rstrip())


def _show_model(file: str, classifier: OnnxClassifier, *, as_json: bool, markdown: bool) -> None:
    card = classifier.card
    if markdown:
        say(card_markdown(card, classifier.hash).rstrip())
        return
    if as_json:
        say_json({"hash": classifier.hash} | json_.loads(card.to_json()))
        return
    say(f"{file}: a model file\n")
    say(card_text(card, classifier.hash, recipe=False))
    if card.recipe:
        say(f"\nThe recipe that trained it: mien show {file} --recipe")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip()
    except UnicodeDecodeError as error:
        raise RecipeError(f"cannot read {path}: it must be UTF-8 text") from error
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror or error}") from error


def holds_faces(path: Path) -> bool:
    """Tell whether a file is of a kind that faces are kept in: .npz, which is a zip archive, or Parquet."""
    if not is_file(path):
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PAR1")
    except OSError:  # `load` says what is wrong
        return False
