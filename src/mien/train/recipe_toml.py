"""Recipes as TOML text: bases, settings that change them, and errors that say what was probably meant."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from mien.errors import RecipeError
from mien.io.recipe_files import find_recipe
from mien.train.nets import NETS
from mien.train.nets.swift import Swift
from mien.train.recipe import Recipe
from mien.train.settings import Settings, hints_of, shown

# Keys of older recipes, and what to write instead.
RENAMED = {
    "net.stem": "net.stem_kernel, net.stem_stride and net.stem_pool",
    "net.stem_side": "net.stem_kernel",
    "net.squeeze": "net.se_ratio",
    "net.norm": "net.batch_norm",
    "head.grid": "head.pool_grid",
    "head.classify": "head.classifier",
    "head.scale": "head.cosine_scale",
    "loss.votes": "loss.ferplus_weight",
    "loss.auxiliary": "loss.aux_ferplus_weight",
    "loss.teacher_share": "loss.distill_weight",
    "loss.teacher_temperature": "loss.distill_temperature",
    "loss.teacher_votes": "loss.label_posterior",
    "augment.pad_crop": "augment.pad_crop_prob",
    "augment.mirror": "augment.flip_prob",
    "augment.erase": "augment.erase_prob",
    "augment.mix_probability": "augment.mix_prob",
    "optim.every": "optim.step_epochs, optim.restart_epochs or optim.plateau_patience",
    "optim.factor": "optim.gamma",
    "optim.clip": "optim.max_grad_norm",
    "optim.sizes": "optim.image_sizes",
    "optim.patience": "optim.early_stop_patience",
}
REMOVED = ("normalise.equalise", "augment.repeats", "optim.tail", "optim.sharpness")
_BARE_WORD = re.compile(r"[A-Za-z_/~.][\w./~-]*")  # of a changed setting: a name or a path


def load_recipe(recipe: Path | str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a TOML file; what it leaves out is as in the file that it names as its `base`, or default.

    Parameters
    ----------
    recipe
        The file, or the name of a recipe that ships, such as plain.
    changes
        Settings such as "optim.lr=0.2", TOML each, that replace the file's.

    Raises
    ------
    RecipeError
        Where a file cannot be read, a key is unknown or a value does not fit.
    """
    return _build(_read(find_recipe(recipe), ()), changes, where=str(recipe))


def parse_recipe(text: str, changes: Sequence[str] = (), *, where: str = "recipe") -> Recipe:
    """Read a recipe from TOML text, without a base; `where` names the text in errors.

    Raises
    ------
    RecipeError
        As `load_recipe` does.
    """
    return _build(_parse(text, where), changes, where=where)


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, and numbers of more than 4,300 digits
        raise RecipeError(f"{where} is not TOML: {error}") from error


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """Read a file and its base. above: the files that lead here, each the base of the one before it."""
    what = f"the base of {above[-1]}, {path}" if above else f"the recipe {path}"
    try:
        looped = path.resolve() in [each.resolve() for each in above]
        text = "" if looped else path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"cannot read {what}: it must be UTF-8 text") from error
    except (OSError, ValueError, RuntimeError) as error:  # also NUL in a name, a loop of links
        raise RecipeError(f"cannot read {what}: {getattr(error, 'strerror', None) or error}") from error
    if looped:
        chain = " -> ".join(map(str, [*above, path]))
        raise RecipeError(f"a recipe must not be its own base, got {chain}")
    content = _parse(text, str(path))
    base = content.pop("base", None)
    if base is None:
        return content
    if not isinstance(base, str) or "\0" in base:
        raise RecipeError(f"base in {path} must be the name of a file, got {shown(base)}")
    below = _read(path.parent / base, (*above, path))
    _build(below, (), where=str(path.parent / base))  # what is wrong in it is said of it
    return _merge(below, content)


def _merge(base: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """A base with other settings in place of its own; another kind of net has none of its settings."""
    whole = dict(base)
    for key, value in content.items():
        below = whole.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            other_net = key == "net" and _net_kind(value, below.get("name")) is not _net_kind(below, None)
            value = value if other_net else {**below, **value}
        whole[key] = value
    return whole


def _merge_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Read several changes as one file would say them; of two that set the same, the later counts."""
    whole: dict[str, Any] = {}
    for change in changes:
        for key, value in _parse_change(change).items():
            below = whole.get(key)
            whole[key] = {**below, **value} if isinstance(value, dict) and isinstance(below, dict) else value
    return whole


def _parse_change(change: str) -> dict[str, Any]:
    """Read a change such as optim.lr=0.2 as a file would say it; a word or a path needs no quotes here."""
    key, equals, value = change.partition("=")
    if not equals:
        raise RecipeError(f"a setting must be KEY=VALUE, as in optim.lr=0.2, got {change!r}")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError) as error:
        if not _BARE_WORD.fullmatch(value.strip()):
            hint = "(a text needs quotes: 'net.weights=\"my weights.safetensors\"')"
            raise RecipeError(f"the value in {shown(change)} is not TOML {hint}") from error
        parsed = value.strip()
    for section in reversed(key.strip().split(".")):
        parsed = {section: parsed}
    return cast("dict[str, Any]", parsed)


def _build(content: dict[str, Any], changes: Sequence[str], *, where: str) -> Recipe:
    """Make the recipe; where a value does not fit, the error says where it stands."""
    try:
        return _recipe_of(_merge(content, _merge_changes(changes)))
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def _recipe_of(content: dict[str, Any]) -> Recipe:
    _check_keys(content, hints_of(Recipe), prefix="")
    made: dict[str, Any] = {}
    for key, value in content.items():
        if key == "seed":
            made[key] = value
            continue
        if not isinstance(value, dict):
            raise RecipeError(f"{key} must be a table, got {shown(value)}")
        kind = _require_net(value) if key == "net" else cast("type[Settings]", hints_of(Recipe)[key])
        _check_keys(value, hints_of(kind), prefix=f"{key}.")
        made[key] = kind(**value)
    return Recipe(**made)


def _check_keys(content: Iterable[str], known: Iterable[str], *, prefix: str) -> None:
    for key in content:
        if key in known:
            continue
        name = prefix + key
        if name in RENAMED:
            raise RecipeError(f"{name} has another name now: {RENAMED[name]}")
        if name in REMOVED:
            raise RecipeError(f"{name} is no longer there, since it brought nothing: leave it out")
        near = [prefix + each for each in difflib.get_close_matches(key, known, n=1)]
        meant = _tables_with(key) or near
        hint = f"did you mean {' or '.join(meant)}?" if meant else f"known here: {', '.join(known)}"
        raise RecipeError(f"unknown key {shown(name)}; {hint}")


def _tables_with(key: str) -> list[str]:
    """A key in every table that knows it, such as optim.lr for lr; [net] by every kind of net."""
    tables = [("net", net.settings) for net in NETS.values()]
    tables += [(table, kind) for table, kind in hints_of(Recipe).items() if table not in ("seed", "net")]
    return sorted({f"{table}.{key}" for table, kind in tables if key in hints_of(kind)})


def _net_kind(content: dict[str, Any], name: object) -> type[Settings] | None:
    """The settings that a table [net] has by its `name`, or without one by another's; None: unknown, said elsewhere."""
    name = content.get("name", name or Swift().name)
    return NETS[name].settings if isinstance(name, str) and name in NETS else None


def _require_net(content: dict[str, Any]) -> type[Settings]:
    """The settings that a table [net] has. Raises RecipeError where its `name` is none of a net."""
    kind, name = _net_kind(content, None), content.get("name")
    if kind is None:
        near = difflib.get_close_matches(str(name), NETS, n=1) if isinstance(name, str) else []
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RecipeError(f"net.name must be one of {', '.join(NETS)}, got {shown(name)}{hint}")
    return kind
