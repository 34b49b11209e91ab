"""HTML pages that need no network: templates of this package, filled with values; and markup made of checked text."""

import json
import re
from collections.abc import Iterable
from html import escape
from importlib import resources
from typing import Any

_PLACE = re.compile(r'"\{\{(\w+)\}\}"|<!--\{\{(\w+)\}\}-->')
_EMPTY = ("img", "path", "rect", "line", "circle")  # elements that hold nothing


class Markup(str):
    """Text that is HTML already, so that it is not escaped again."""

    __slots__ = ()


def element(tag: str, *children: str | Iterable[str], **attributes: object) -> Markup:
    """Return an HTML or SVG element. Text in it is escaped, other than `Markup`.

    Parameters
    ----------
    tag
        The element's name.
    children
        What it holds, one after another; iterables are taken apart.
    attributes
        Its attributes. `class_` stands for `class`, `stroke_width` for `stroke-width`, `viewBox` for itself. One that
        is None is left out.
    """
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _EMPTY:
        return Markup(f"<{tag}{named}/>")
    parts = (part for child in children for part in ((child,) if isinstance(child, str) else child))
    return Markup(f"<{tag}{named}>{join(parts)}</{tag}>")


def join(parts: Iterable[str]) -> Markup:
    """Return the parts one after another; text that is no `Markup` is escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def fill_page(template: str, **values: Any) -> str:
    """Fill a template with values and return the page's text.

    Parameters
    ----------
    template
        The name of a file in `mien/io/templates`, such as `timeline.html`.
    values
        Values by name. JSON-safe ones replace `"{{name}}"`, with its quotes, inside a `<script>`; no text in them can
        end the script. `Markup`, and text that is escaped, replaces `<!--{{name}}-->`.

    Raises
    ------
    KeyError
        Where the template has a placeholder that no value is given for.
    """

    def fill(found: re.Match[str]) -> str:
        return _json_in_script(values[found[1]]) if found[1] else join([values[found[2]]])

    page = (resources.files("mien.io") / "templates" / template).read_text(encoding="utf-8")
    return _PLACE.sub(fill, page)


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _json_in_script(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
