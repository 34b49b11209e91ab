"""The robustness of one model, or of two, as a picture: a small chart for each corruption, with an example above it."""

from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.detect.align import crop_faces
from mien.detect.yunet import YuNet
from mien.evaluation.corruptions import SEVERITIES, corrupt
from mien.evaluation.robustness import CorruptionError, Robustness
from mien.io.image import read_picture
from mien.metrics import Proportion
from mien.visualize.figure import figure_png, make_figure

_COLUMNS = 6
_WIDE, _HIGH = 2.3, 2.35  # inches: a chart with its example
_HEAD = 0.95  # inches above the charts
_FACE = 0.82  # of a severity's width: the side of its example
_INK, _SOFT, _LINE = "#1d1e20", "#6b6963", "#dddad3"
_FIRST, _SECOND = "#0072b2", "#d55e00"


def robustness_picture(measured: Robustness, compared: CorruptionError | None = None) -> bytes:
    """Draw accuracy by severity for each corruption, with its 95% interval, as the content of a PNG file.

    The examples are of the portrait that ships, not of the faces that were measured.

    Parameters
    ----------
    measured
        The model's answers.
    compared
        The same model beside another, which is drawn too.

    Raises
    ------
    ExtraError
        Where Matplotlib is not installed.
    """
    rows = -(-len(measured.corruptions) // _COLUMNS)
    wide, high = _COLUMNS * _WIDE + 0.4, rows * _HIGH + _HEAD + 0.35
    figure = make_figure(figsize=(wide, high), facecolor="white")
    models = [(measured, _FIRST)] + ([(compared.second, _SECOND)] if compared else [])
    _head(figure, models, compared, wide, high)
    face = _portrait()
    for number, name in enumerate(measured.corruptions):
        row, column = divmod(number, _COLUMNS)
        left, bottom = 0.45 + column * _WIDE, 0.4 + (rows - 1 - row) * _HIGH
        place = (left / wide, bottom / high, (_WIDE - 0.25) / wide, 1.32 / high)
        axes = figure.add_axes(place)
        _chart(axes, models, number, first=column == 0, last=number + _COLUMNS >= len(measured.corruptions))
        _examples(figure, face, name, (left, bottom + 1.36), (wide, high))
    return figure_png(figure)


def _head(
    figure: Any, models: list[tuple[Robustness, str]], compared: CorruptionError | None, wide: float, high: float
) -> None:
    """Write what was measured, and a line for each model."""
    measured = models[0][0]
    truth = "people's answers" if measured.truth == "votes" else "the labels"
    title = f"Accuracy on {measured.count:,} corrupted faces, by {truth}, from severity 1 to {SEVERITIES}"
    figure.text(0.45 / wide, 1 - 0.3 / high, title, color=_INK, fontsize=13, weight="bold")
    for number, (model, colour) in enumerate(models):
        low, high_end = model.interval
        line = (
            f"{model.model}: {model.clean_accuracy.value:.1%} clean (dashed), {model.mean_accuracy:.1%} corrupted"
            f" ({low:.1%} to {high_end:.1%})"
        )
        if compared is not None and compared.exists and number == 0:
            line += f"; mean corruption error {compared.mean:.2f} of {compared.second.model}'s"
        place = 1 - (0.55 + 0.22 * number) / high
        figure.text(0.45 / wide, place, line, color=colour, fontsize=10.5, parse_math=False)


def _chart(axes: Any, models: list[tuple[Robustness, str]], number: int, *, first: bool, last: bool) -> None:
    """Draw the accuracy of each model by severity, its interval, and a dashed line at its clean accuracy."""
    severities = np.arange(1, SEVERITIES + 1)
    axes.set(xlim=(0.5, SEVERITIES + 0.5), ylim=(-0.02, 1.02), yticks=(0, 0.25, 0.5, 0.75, 1))
    axes.set_xticks(severities, severities if last else [""] * SEVERITIES)
    axes.set_yticklabels(["0", "", "50%", "", "100%"] if first else [""] * 5)
    axes.spines[:].set_visible(False)
    axes.grid(axis="y", color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=_SOFT, labelsize=8)
    for model, colour in models:
        counts = model.right[number].sum(axis=1).tolist()
        ends = np.array([Proportion(count, model.count).interval for count in counts])
        axes.axhline(model.clean_accuracy.value, color=colour, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.fill_between(severities, ends[:, 0], ends[:, 1], color=colour, alpha=0.18, linewidth=0)
        axes.plot(severities, model.accuracy[number], color=colour, marker="o", markersize=3.5, linewidth=1.6)


def _examples(
    figure: Any, face: NDArray[np.uint8], name: str, at: tuple[float, float], size: tuple[float, float]
) -> None:
    """Show a corruption's name, and the portrait in each severity, each above its place on the axis."""
    (left, bottom), (wide, high) = at, size
    step = (_WIDE - 0.25) / SEVERITIES
    side = step * _FACE
    for place in range(SEVERITIES):
        start = left + step * (place + (1 - _FACE) / 2)
        view = figure.add_axes((start / wide, bottom / high, side / wide, side / high))
        view.axis("off")
        view.imshow(corrupt(face[None], name, place + 1)[0], cmap="gray", vmin=0, vmax=255)
    figure.text(left / wide, (bottom + side + 0.07) / high, name.replace("_", " "), color=_INK, fontsize=10)


def _portrait() -> NDArray[np.uint8]:
    """Return the face of the portrait that ships, (48, 48) uint8."""
    with (files("mien") / "assets" / "portrait.jpg").open("rb") as file:
        picture = read_picture(file)
    face: NDArray[np.uint8] = crop_faces(picture, YuNet()(picture))[0]
    return face
