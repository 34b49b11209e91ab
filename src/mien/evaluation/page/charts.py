"""Charts as inline SVG: curves in a square of axes, and horizontal bars with intervals. Colours come from the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mien.io.html import Markup, element
from mien.metrics import Proportion

SERIES = ("one", "two")  # CSS classes, in the order of the models

_WIDTH = 360.0  # of each chart, in its own units, which are pixels on a small screen
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 14.0, 12.0, 40.0  # around the axes of curves
_HIGH = 216.0  # of the axes
_LETTER, _MOST_LETTERS = 7.0, 18  # pixels of a letter in the column of names, and how many of a name are shown
_VALUES = 40.0  # pixels of the column of values
_BAR, _GAP = 13.0, 11.0  # of a bar, and between groups of them


@dataclass(frozen=True)
class Curve:
    """A line of points x, y in [0, 1]; each has a dot of a radius in pixels, where `radii` are given."""

    points: Sequence[tuple[float, float]]
    radii: Sequence[float] = ()


class Bar(NamedTuple):
    """A share in [0, 1] and its 95% interval, which may not be known."""

    value: float
    interval: tuple[float, float] | None = None

    @classmethod
    def of(cls, proportion: Proportion | None) -> "Bar | None":
        """Return the bar of a proportion."""
        return None if proportion is None else cls(proportion.value, proportion.interval)


@dataclass(frozen=True)
class Axes:
    """Two axes of shares, shown in percent: x from 0 to 1, y from 0 to `top`."""

    x_name: str
    y_name: str
    top: float = 1.0

    def x(self, share: float) -> float:
        """Return the place of a share, in pixels from the left."""
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, share: float) -> float:
        """Return the place of a share, in pixels from the top."""
        return _TOP + (1 - share / self.top) * _HIGH

    def draw(self) -> Markup:
        """Draw a grid, with percents and names beside it."""
        parts = []
        for step in range(6):
            x, y = self.x(step / 5), self.y(step / 5 * self.top)
            parts += [
                element("line", x1=x, x2=x, y1=_TOP, y2=_TOP + _HIGH, class_="grid"),
                element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"),
                element("text", f"{step * 20}%", x=x, y=_TOP + _HIGH + 16, text_anchor="middle"),
                element("text", f"{100 * step / 5 * self.top:.0f}%", x=_LEFT - 6, y=y + 4, text_anchor="end"),
            ]
        middle = _TOP + _HIGH / 2
        turned = f"rotate(-90 10 {middle:g})"
        parts += [
            element("text", self.x_name, x=self.x(0.5), y=_TOP + _HIGH + 34, text_anchor="middle", class_="name"),
            element("text", self.y_name, x=10.0, y=middle, transform=turned, text_anchor="middle", class_="name"),
        ]
        return element("g", parts)


def curve_chart(curves: Sequence[Curve], axes: Axes, *, says: str, diagonal: bool = False) -> Markup:
    """Draw curves. `says` is for people who do not see them; `diagonal` adds the line where x and y are equal."""
    parts = [axes.draw()]
    if diagonal:
        parts.append(element("line", x1=axes.x(0), y1=axes.y(0), x2=axes.x(1), y2=axes.y(1), class_="ideal"))
    for curve, name in zip(curves, SERIES, strict=False):
        steps = " L".join(f"{axes.x(x):.1f} {axes.y(min(y, axes.top)):.1f}" for x, y in curve.points)
        parts.append(element("path", d=f"M{steps}", class_=f"curve {name}"))
        parts += [
            element("circle", cx=axes.x(x), cy=axes.y(y), r=radius, class_=f"dot {name}")
            for (x, y), radius in zip(curve.points, curve.radii, strict=False)
        ]
    return _svg(_TOP + _HIGH + _BOTTOM, parts, says)


def bar_chart(names: Sequence[str], models: Sequence[Sequence[Bar | None]], *, says: str) -> Markup:
    """Draw shares as bars with whiskers: for each name a bar of each model; None has no bar."""
    parts: list[Markup] = []
    left = 8 + _LETTER * max(len(_shortened(name)) for name in names)
    step = _BAR * len(models) + _GAP
    for row, name in enumerate(names):
        top = row * step + _GAP / 2
        words = (_shortened(name), element("title", name))
        parts.append(element("text", words, x=left - 8, y=top + _BAR * len(models) / 2 + 4, text_anchor="end"))
        for series, (bars, colour) in enumerate(zip(models, SERIES, strict=False)):
            parts += _bar(bars[row], left, top + series * _BAR, colour)
    return _svg(len(names) * step + 2, parts, says)


def _bar(bar: Bar | None, left: float, top: float, colour: str) -> list[Markup]:
    scale, middle = _WIDTH - left - _VALUES, top + _BAR / 2
    text = {"x": _WIDTH, "y": middle + 4, "text_anchor": "end"}
    box = {"x": left, "y": top + 1, "height": _BAR - 2}
    drawn = [element("rect", width=scale, class_="ground", **box)]
    if bar is None:
        return [*drawn, element("text", "none", class_="soft", **text)]
    drawn.append(element("rect", width=bar.value * scale, class_=f"bar {colour}", **box))
    if bar.interval is not None:
        low, high = (left + end * scale for end in bar.interval)
        drawn.append(element("line", x1=low, x2=high, y1=middle, y2=middle, class_="whisker"))
    return [*drawn, element("text", f"{bar.value:.0%}", **text)]


def gap_mark(gap: float, interval: tuple[float, float], *, reach: float, worse: bool) -> Markup:
    """Draw a gap and its interval on a line from -`reach` to `reach`, for a row of a table, which has the numbers."""

    def place(value: float) -> float:
        return 42 + 40 * max(-1.0, min(1.0, value / reach))

    low, high = map(place, interval)
    parts = [
        element("line", x1=42, x2=42, y1=0, y2=16, class_="zero"),
        element("line", x1=low, x2=high, y1=8, y2=8, class_="whisker"),
        element("circle", cx=place(gap), cy=8, r=3.5, class_="dot bad" if worse else "dot one"),
    ]
    return element("svg", parts, viewBox="0 0 84 16", class_="gap", aria_hidden="true")


def _svg(height: float, parts: Sequence[Markup], says: str) -> Markup:
    return element("svg", parts, viewBox=f"0 0 {_WIDTH:g} {height:g}", role="img", aria_label=says)


def _shortened(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
