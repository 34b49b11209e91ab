"""A recipe's spelling: TOML text, settings that change it, and errors that say what was probably meant."""

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from mien.errors import RecipeError
from mien.train.recipe import Recipe, Swift


def load_recipe(path: Path | str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe that a TOML file spells; what it leaves out is as in the file that it names as its `base`, or default.

    changes: settings such as "optim.lr=0.2", TOML each, that replace the file's.
    Raises RecipeError where a file cannot be read, a key is unknown or a value does not fit.
    """
    return _spelt_out(_read(Path(path), ()), changes, where=str(path))


def parse_recipe(text: str, changes: Sequence[str] = (), *, where: str = "recipe") -> Recipe:
    """The recipe that TOML text spells, without a base; `where` names the text in errors. Raises RecipeError."""
    return _spelt_out(_parse(text, where), changes, where=where)


def _spelt_out(content: dict[str, Any], changes: Sequence[str], *, where: str) -> Recipe:
    recipe: Recipe = _build(Recipe, _upon(content, _together(changes)), where, "")
    return recipe


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where} is not TOML: {error}") from error


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """What a file and its base say together. above: the files that lead here, each the base of the one before it."""
    if path.resolve() in [each.resolve() for each in above]:
        chain = " -> ".join(map(str, [*above, path]))
        raise RecipeError(f"a recipe must not be its own base, got {chain}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"the base of {above[-1]}, {path}" if above else f"the recipe {path}"
        raise RecipeError(f"cannot read {what}: {getattr(error, 'strerror', None) or error}") from error
    content = _parse(text, str(path))
    base = content.pop("base", None)
    if base is None:
        return content
    if not isinstance(base, str):
        raise RecipeError(f"base in {path} must be the name of a file, got {base!r}")
    below = _read(path.parent / base, (*above, path))
    _spelt_out(below, (), where=str(path.parent / base))  # what is wrong in it is said of it
    return _upon(below, content)


def _upon(base: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """A base with other settings in place of its; of another net's settings none would fit."""
    whole = dict(base)
    for key, value in content.items():
        below = whole.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            name = below.get("name", Swift().name)
            another_net = key == "net" and value.get("name", name) != name
            value = value if another_net else {**below, **value}
        whole[key] = value
    return whole


def _together(changes: Sequence[str]) -> dict[str, Any]:
    """What several changes say, as one file would; of two that say the same, the later."""
    whole: dict[str, Any] = {}
    for change in changes:
        for key, value in _setting(change).items():
            below = whole.get(key)
            whole[key] = {**below, **value} if isinstance(value, dict) and isinstance(below, dict) else value
    return whole


def _setting(change: str) -> dict[str, Any]:
    """What a change such as optim.lr=0.2 says, as a file would say it."""
    key, equals, value = change.partition("=")
    if not equals:
        raise RecipeError(f"a setting must be KEY=VALUE, as in optim.lr=0.2, got {change!r}")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the value in {change!r} is not TOML (a text needs quotes: 'net.name=\"swift\"')") from error
    for section in reversed(key.strip().split(".")):
        parsed = {section: parsed}
    return cast("dict[str, Any]", parsed)


def _build(kind: type[Any], content: Mapping[str, Any], where: str, prefix: str) -> Any:
    hints = get_type_hints(kind)
    for key in content:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; known here: {', '.join(hints)}"
            raise RecipeError(f"{where} has an unknown key {prefix}{key}{hint}")
    return kind(**{key: _fit(hints[key], value, where, prefix + key) for key, value in content.items()})


def _fit(hint: Any, value: Any, where: str, name: str) -> Any:
    """`value` as the type that `hint` asks for; a whole number does for a float, a list for a tuple."""
    options = get_args(hint) if isinstance(hint, UnionType) or get_origin(hint) is Union else (hint,)
    if dataclasses.is_dataclass(options[0]):
        if isinstance(value, Mapping):
            return _build(_of_that_name(options, value, where, name), value, where, name + ".")
        raise RecipeError(f"{name} in {where} must be a table, got {value!r}")
    for option in options:
        fitted = _fit_one(option, value)
        if fitted is not None:
            return fitted
    raise RecipeError(f"{name} in {where} must be {' or '.join(map(_spelt, options))}, got {value!r}")


def _of_that_name(kinds: Sequence[type[Any]], content: Mapping[str, Any], where: str, section: str) -> type[Any]:
    """Which of several tables is meant: the first, or the one that has the content's `name` among its names."""
    named = {name: kind for kind in kinds for name in get_args(get_type_hints(kind).get("name"))}
    if len(kinds) == 1 or "name" not in content:
        return kinds[0]
    if content["name"] not in named:
        near = difflib.get_close_matches(str(content["name"]), named, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RecipeError(f"{section}.name in {where} must be one of {', '.join(named)}, got {content['name']!r}{hint}")
    return named[content["name"]]


def _fit_one(hint: Any, value: Any) -> Any:
    """`value` as `hint`, or None where it does not fit."""
    if get_origin(hint) is Literal:
        return value if value in get_args(hint) else None
    if get_origin(hint) is tuple and isinstance(value, list):
        kinds = get_args(hint)
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(value)
        items = [_fit_one(kind, item) for kind, item in zip(kinds, value, strict=False)]
        return tuple(items) if len(items) == len(value) == len(kinds) and None not in items else None
    if hint is float and type(value) is int:
        return float(value)
    return value if isinstance(hint, type) and type(value) is hint else None


def _spelt(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        return "a list"
    return str(getattr(hint, "__name__", hint))
