"""The base of all settings: frozen dataclasses whose values are checked once, when they are made."""

import dataclasses
from dataclasses import dataclass
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from mien.errors import RecipeError

_LONGEST = 60  # characters of a wrong value that an error repeats


@dataclass(frozen=True)
class Interval:
    """The numbers that a setting may have, or the lengths of a list, as mathematics writes them: [0, 1) has no 1."""

    text: str

    def __contains__(self, number: float) -> bool:
        low, high = (float(bound) for bound in self.text[1:-1].split(","))
        above = number >= low if self.text[0] == "[" else number > low
        return above and (number <= high if self.text[-1] == "]" else number < high)


Probability = Annotated[float, Interval("[0, 1]")]


class Settings:
    """A table of a recipe. `section` is its name there.

    A value must have the type of its annotation; a whole number does for a float, and a list for a tuple. A number must
    lie in the annotation's Interval, where there is one. Raises RecipeError.
    """

    section: ClassVar[str] = ""

    def __init_subclass__(cls, *, section: str | None = None) -> None:
        if section is not None:
            cls.section = section

    def __post_init__(self) -> None:
        for name, hint in hints_of(type(self)).items():
            key = f"{self.section}.{name}" if self.section else name
            object.__setattr__(self, name, _fitted(hint, getattr(self, name), key))


def require(condition: bool, message: str, value: object) -> None:
    """Raise RecipeError unless the condition holds; the message says what must be."""
    if not condition:
        raise RecipeError(f"{message}, got {shown(value)}")


def shown(value: object) -> str:
    """A wrong value as an error repeats it: one line, not too long."""
    try:
        text = repr(list(value) if isinstance(value, tuple) else value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number with thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def hints_of(kind: type[Settings]) -> dict[str, Any]:
    """The annotation of each setting of a table."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # all are


def _fitted(hint: Any, value: Any, name: str) -> Any:
    """`value` as the annotation asks for it. Raises RecipeError."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for option in options:
        kind, interval = _parts(option)
        if get_origin(kind) is tuple and isinstance(value, list | tuple):
            return _fitted_items(kind, value, name, interval)
        if _is_number(value, kind):
            require(value in (interval or Interval("(-inf, inf)")), f"{name} must be in {_text(interval)}", value)
            return kind(value)
        if type(value) is kind or (get_origin(kind) is Literal and type(value) is str and value in get_args(kind)):
            require(type(value) is not str or "\0" not in value, f"{name} must be a text without NUL", value)
            return value
    raise RecipeError(f"{name} must be {' or '.join(map(_described, options))}, got {shown(value)}")


def _is_number(value: Any, kind: Any) -> bool:
    whole = kind is int and isinstance(value, Integral)
    return (whole or (kind is float and isinstance(value, Real))) and not isinstance(value, bool)


def _fitted_items(kind: Any, values: list[Any] | tuple[Any, ...], name: str, lengths: Interval | None) -> Any:
    kinds = get_args(kind)
    if kinds[-1] is Ellipsis:
        least = f"{name} must be a list whose length is in {_text(lengths)}"
        require(lengths is None or len(values) in lengths, least, values)
        kinds = kinds[:1] * len(values)
    require(len(values) == len(kinds), f"{name} must be a list of {len(kinds)}", values)
    return tuple(
        _fitted(each, value, f"{name}[{place}]") for place, (each, value) in enumerate(zip(kinds, values, strict=True))
    )


def _parts(hint: Any) -> tuple[Any, Interval | None]:
    """A type and, where it is annotated with one, its interval."""
    if get_origin(hint) is Annotated:
        kind, interval = get_args(hint)
        return kind, interval
    return hint, None


def _text(interval: Interval | None) -> str:
    return interval.text if interval else "(-inf, inf)"


def _described(hint: Any) -> str:
    kind, _ = _parts(hint)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "a list"
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return names.get(kind, f"a table [{getattr(kind, 'section', '')}]")
