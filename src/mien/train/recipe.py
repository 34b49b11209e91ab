"""A recipe: everything that decides what a training run does, as a tree of frozen dataclasses. TOML is its spelling."""

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mien.errors import RecipeError


@dataclass(frozen=True)
class Net:
    """The network. `name`: one of `nets.NETS`."""

    name: str = "swift"
    widths: tuple[int, ...] = (40, 80, 160, 320)  # channels of each stage; a stage has half the side of the one before
    blocks: int = 2  # residual blocks a stage
    squeeze: int = 8  # squeeze-and-excitation: channels over this in its middle layer; 0: none
    dropout: float = 0.3  # before the last layer
    normalise: str = "face"  # what happens to a face's pixels first; one of `nets.NORMALISERS`

    def __post_init__(self) -> None:
        _check(
            len(self.widths) > 0 and min(self.widths) > 0,
            "net.widths must be one or more positive numbers",
            self.widths,
        )
        _check(self.blocks > 0, "net.blocks must be 1 or more", self.blocks)
        _check(self.squeeze >= 0, "net.squeeze must be 0 or more", self.squeeze)
        _check(0 <= self.dropout < 1, "net.dropout must be in [0, 1)", self.dropout)


@dataclass(frozen=True)
class Loss:
    """What is minimised: cross entropy with the labels, in nats."""

    smoothing: float = 0.1  # this share of each target is spread evenly over all classes (Szegedy et al., 2016)

    def __post_init__(self) -> None:
        _check(0 <= self.smoothing < 1, "loss.smoothing must be in [0, 1)", self.smoothing)


@dataclass(frozen=True)
class Augment:
    """What happens to each training face, anew in each epoch. All zero: nothing."""

    mirror: float = 0.5  # probability of a left-right flip
    rotate_degrees: float = 15.0  # drawn evenly from -this to +this
    scale: float = 0.15  # factor drawn evenly from 1 - this to 1 + this
    shift_pixels: float = 3.0  # across and down, of a 48-pixel face
    contrast: float = 0.4  # factor about the face's mean, from 1 - this to 1 + this
    brightness: float = 0.0  # factor, from 1 - this to 1 + this
    erase: float = 0.5  # probability that a square is replaced by the face's mean (Zhong et al., 2020)
    erase_side: float = 0.35  # side of that square, as a share of the face's

    def __post_init__(self) -> None:
        for name in ("mirror", "erase", "erase_side"):
            _check(0 <= getattr(self, name) <= 1, f"augment.{name} must be in [0, 1]", getattr(self, name))
        for name in ("scale", "contrast", "brightness"):
            _check(0 <= getattr(self, name) < 1, f"augment.{name} must be in [0, 1)", getattr(self, name))
        for name in ("rotate_degrees", "shift_pixels"):
            _check(getattr(self, name) >= 0, f"augment.{name} must be 0 or more", getattr(self, name))


@dataclass(frozen=True)
class Optim:
    """How the weights move: stochastic gradient descent with Nesterov momentum."""

    epochs: int = 36
    batch: int = 128  # faces
    lr: float = 0.12  # the highest learning rate
    schedule: str = "cosine"  # one of `optim.SCHEDULES`
    warmup: float = 0.1  # share of the training in which the learning rate climbs from 0
    momentum: float = 0.9
    weight_decay: float = 1e-3  # not on norms and biases
    ema: float = 0.998  # the model is this moving average of the weights, taken at each step; 0: the weights themselves
    sizes: tuple[tuple[int, float], ...] = ((48, 1.0),)  # (side in pixels, share of the epochs), in order
    precision: Literal["32-true", "bf16-mixed"] = (
        "32-true"  # or bf16-mixed: nearly twice as fast where the processor has bfloat16
    )

    def __post_init__(self) -> None:
        _check(self.epochs > 0, "optim.epochs must be 1 or more", self.epochs)
        _check(self.batch > 1, "optim.batch must be 2 or more", self.batch)
        _check(self.lr > 0, "optim.lr must be over 0", self.lr)
        _check(self.weight_decay >= 0, "optim.weight_decay must be 0 or more", self.weight_decay)
        for name in ("warmup", "momentum", "ema"):
            _check(0 <= getattr(self, name) < 1, f"optim.{name} must be in [0, 1)", getattr(self, name))
        _check(bool(self.sizes), "optim.sizes must have one or more pairs of side and share", self.sizes)
        _check(all(16 <= side <= 96 for side, _ in self.sizes), "sides in optim.sizes must be 16 to 96", self.sizes)
        total = sum(share for _, share in self.sizes)
        _check(abs(total - 1) < 1e-6, "the shares in optim.sizes must sum to 1", total)


@dataclass(frozen=True)
class Recipe:
    """A whole training run but for its faces. Raises RecipeError where a value is out of range."""

    seed: int = 1
    net: Net = field(default_factory=Net)
    loss: Loss = field(default_factory=Loss)
    augment: Augment = field(default_factory=Augment)
    optim: Optim = field(default_factory=Optim)

    def to_toml(self) -> str:
        """The recipe as TOML text that `load_recipe` reads back to an equal recipe."""
        lines = [f"seed = {self.seed}"]
        for section in fields(self)[1:]:
            lines += ["", f"[{section.name}]"]
            content = dataclasses.asdict(getattr(self, section.name))
            lines += [f"{key} = {json.dumps(value)}" for key, value in content.items()]
        return "\n".join(lines) + "\n"


def load_recipe(path: Path | str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe that a TOML file spells; what it leaves out has its default.

    changes: settings such as "optim.lr=0.2", TOML each, that replace the file's.
    Raises RecipeError where the file cannot be read, a key is unknown or a value does not fit.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe {path}: {getattr(error, 'strerror', None) or error}") from error
    return parse_recipe(text, changes, where=str(path))


def parse_recipe(text: str, changes: Sequence[str] = (), *, where: str = "recipe") -> Recipe:
    """The recipe that TOML text spells; `where` names the text in errors. Raises RecipeError."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where} is not TOML: {error}") from error
    for change in changes:
        _apply(content, change)
    recipe: Recipe = _build(Recipe, content, where, "")
    return recipe


def _apply(content: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals:
        raise RecipeError(f"a setting must be KEY=VALUE, as in optim.lr=0.2, got {change!r}")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the value in {change!r} is not TOML (a text needs quotes: 'net.name=\"swift\"')") from error
    *sections, last = key.strip().split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise RecipeError(f"{key.strip()} in {change!r} is no setting of a recipe")
    content[last] = parsed


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
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping) and isinstance(hint, type):
        return _build(hint, value, where, name + ".")
    if get_origin(hint) is tuple and isinstance(value, list):
        kinds = get_args(hint)
        if kinds[-1] is Ellipsis:
            return tuple(_fit(kinds[0], item, where, name) for item in value)
        if len(kinds) == len(value):
            return tuple(_fit(kind, item, where, name) for kind, item in zip(kinds, value, strict=True))
    elif get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise RecipeError(f"{name} in {where} must be one of {', '.join(map(str, get_args(hint)))}, got {value!r}")
    elif hint is float and type(value) is int:
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    wanted = "a table" if dataclasses.is_dataclass(hint) else getattr(hint, "__name__", None)
    raise RecipeError(f"{name} in {where} must be {wanted if get_origin(hint) is None else hint}, got {value!r}")


def _check(condition: bool, message: str, value: object) -> None:
    if not condition:
        raise RecipeError(f"{message}, got {value}")
