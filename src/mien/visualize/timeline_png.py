"""A timeline as a PNG picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.visualize.figure import figure_png, make_figure
from mien.visualize.timeline_chart import Band, Chart

_WIDE, _DPI = 12.0, 120  # inches; dots an inch
_BAND, _GAP = 0.62, 0.16  # inches: a band's height, and between two
_HEAD, _FOOT = 1.0, 0.62  # inches: title and legend; time axis and remark
_LEFT, _RIGHT = 2.35, 0.25  # inches: the face and its words; the margin
_INK, _SOFT, _LINE, _GROUND = "#1d1e20", "#6b6963", "#dddad3", "#f3f2ee"


def timeline_picture(chart: Chart) -> bytes:
    """Draw a chart as the content of a PNG file. Raises ExtraError where Matplotlib is not installed."""
    count = max(len(chart.bands), 1)
    high = _HEAD + count * (_BAND + _GAP) - _GAP + _FOOT
    figure = make_figure(figsize=(_WIDE, high), facecolor="white")
    _head(figure, chart, high)
    top = high - _HEAD
    for row, band in enumerate(chart.bands):
        bottom = top - row * (_BAND + _GAP) - _BAND
        _words(figure, chart, band, bottom / high, high)
        axes = _axes(figure, chart, bottom, high)
        for first, probs in band.runs():
            _stack(axes, chart, first, probs)
        _clock(axes, chart, last=row == count - 1)
    if not chart.bands:
        _clock(_axes(figure, chart, top - _BAND, high), chart, last=True)
    figure.text(_LEFT / _WIDE, 0.13 / high, chart.remark, color=_SOFT, fontsize=9)
    return figure_png(figure, dpi=_DPI)


def _head(figure: Any, chart: Chart, high: float) -> None:
    """Write the title, and the legend once."""
    from matplotlib.patches import Patch  # heavy: see make_figure

    figure.text(
        0.25 / _WIDE,
        1 - 0.42 / high,
        _drawable(chart.title, most=90),
        color=_INK,
        fontsize=13,
        weight="bold",
        parse_math=False,
    )
    colours = [Patch(facecolor=_hex(chart.colour(name)), label=name) for name in chart.class_names]
    figure.legend(
        handles=colours,
        loc="center left",
        bbox_to_anchor=(_LEFT / _WIDE, 1 - 0.74 / high),
        ncols=len(colours),
        frameon=False,
        fontsize=10,
        handlelength=0.9,
        handleheight=0.9,
        handletextpad=0.45,
        columnspacing=1.5,
        borderpad=0,
        borderaxespad=0,
        labelcolor=_INK,
    )


def _words(figure: Any, chart: Chart, band: Band, bottom: float, high: float) -> None:
    """Show the face, its number, when it was seen, and its expression for most of that time."""
    side = _BAND / high
    view = figure.add_axes((0.25 / _WIDE, bottom, _BAND / _WIDE, side))
    view.axis("off")
    view.imshow(np.full((1, 1, 3), 225, np.uint8) if band.view is None else band.view, interpolation="lanczos")
    when, what = chart.words(band)
    left = (0.25 + _BAND + 0.12) / _WIDE
    name = f"#{band.track}" if len(chart.sources) < 2 else _drawable(f"#{band.track} {band.source}", most=18)
    figure.text(left, bottom + side * 0.73, name, color=_INK, fontsize=11, weight="bold", va="center", parse_math=False)
    figure.text(left, bottom + side * 0.41, what, color=_INK, fontsize=9, va="center", parse_math=False)
    figure.text(left, bottom + side * 0.13, when, color=_SOFT, fontsize=8, va="center", parse_math=False)


def _axes(figure: Any, chart: Chart, bottom: float, high: float) -> Any:
    axes = figure.add_axes((_LEFT / _WIDE, bottom / high, (_WIDE - _LEFT - _RIGHT) / _WIDE, _BAND / high))
    axes.set(xlim=(chart.start, chart.end), ylim=(0, 1), yticks=[], facecolor=_GROUND)
    axes.spines[:].set_visible(False)
    return axes


def _stack(axes: Any, chart: Chart, first: int, probs: NDArray[np.float64]) -> None:
    """Stack the probabilities (B, K) of consecutive bins, the first expression uppermost."""
    times = (first + np.concatenate([[0], np.arange(len(probs)) + 0.5, [len(probs)]])) * chart.width
    rows = np.concatenate([probs[:1], probs, probs[-1:]])
    tops = np.cumsum(rows[:, ::-1], axis=1)[:, ::-1]  # the last expression lies at the bottom
    for column, name in enumerate(chart.class_names):  # each covers what is under it down to 0, so that no seam shows
        axes.fill_between(times, tops[:, column], color=_hex(chart.colour(name)), linewidth=0, zorder=2)


def _clock(axes: Any, chart: Chart, *, last: bool) -> None:
    """Draw lines at round times, named under the last band."""
    ticks = chart.ticks()
    axes.set_xticks([seconds for seconds, _ in ticks], [text if last else "" for _, text in ticks])
    axes.tick_params(axis="x", length=3 if last else 0, color=_LINE, labelcolor=_SOFT, labelsize=9)
    axes.grid(axis="x", color=_LINE, linewidth=0.6, zorder=1)


def _drawable(text: str, *, most: int) -> str:
    """Put ... for the middle of a long text, and a ? for each letter that the font does not have."""
    # heavy: see make_figure
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties())).get_charmap()
    text = "".join(letter if ord(letter) in known else "?" for letter in text)
    return text if len(text) <= most else f"{text[: most // 2]}\N{HORIZONTAL ELLIPSIS}{text[-most // 2 + 1 :]}"


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
