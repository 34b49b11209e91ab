"""The robustness of a model in the terminal, and as a picture: what `mien evaluate --corrupt` adds."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer

from mien.cli.console import add_row, progress_bar, remark, say, stdout, table
from mien.evaluation.corruptions import SEVERITIES
from mien.evaluation.robustness import CorruptionError, Robustness, robustness
from mien.evaluation.robustness_figure import robustness_picture
from mien.evaluation.truth import Against
from mien.io.atomic_write import atomic_write, require_suffix
from mien.types import Classifier, FaceSet
from mien.visualize.figure import make_figure

_TRUTHS = {"votes": "people's answers", "labels": "the labels"}


@dataclass(frozen=True)
class Measured:
    """The robustness of a model, and where another one was asked for, its errors beside that."""

    robustness: Robustness
    compared: CorruptionError | None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-safe."""
        compared = {} if self.compared is None else {"compared_with": self.compared.to_dict()}
        return {**self.robustness.to_dict(), **compared}


def require_drawing(path: Path | None, *, corrupt: bool) -> None:
    """Refuse a picture that cannot be drawn, before the work begins.

    Raises BadParameter without --corrupt, OutputError where it is no PNG, ExtraError where Matplotlib is not installed.
    """
    if path is None:
        return
    if not corrupt:
        raise typer.BadParameter("draws the robustness, so it needs --corrupt", param_hint="--draw")
    require_suffix(path, (".png",), "a picture of the robustness")
    make_figure()


def measure_robustness(
    classifier: Classifier, other: Classifier | None = None, *, faces: FaceSet, sample: int, against: Against
) -> Measured:
    """Measure a classifier on corrupted faces, and another one, against the same truth, beside it."""
    with progress_bar("Corrupting") as progress:
        measured = robustness(classifier, faces, against=against, sample=sample, progress=progress)
    if other is None:
        return Measured(measured, None)
    same: Against = "votes" if measured.truth == "votes" else "labels"
    with progress_bar("Corrupting for the other") as progress:
        theirs = robustness(other, faces, against=same, sample=sample, progress=progress)
    return Measured(measured, CorruptionError(measured, theirs))


def show_robustness(measured: Measured | None) -> None:
    """Print the accuracy for each corruption and severity, and the corruption errors beside another model, if any."""
    if measured is None:
        return
    own, compared = measured.robustness, measured.compared
    low, high = own.interval
    say(
        f"{own.mean_accuracy:.2%} ({low:.1%} to {high:.1%}) of {own.count:,} corrupted faces,"
        f" by {_TRUTHS[own.truth]}; uncorrupted {own.clean_accuracy.value:.2%}\n"
    )
    severities = [str(number + 1) for number in range(SEVERITIES)]
    shown = table("corruption, severity", *severities, "mean", *["CE"] * (compared is not None))
    errors = [] if compared is None else compared.each.tolist()
    for place, (name, row) in enumerate(zip(own.corruptions, own.accuracy, strict=True)):
        cells = [f"{value:.1%}" for value in (*row.tolist(), float(row.mean()))]
        beside = ["-" if math.isnan(error) else f"{error:.2f}" for error in errors[place : place + 1]]
        add_row(shown, [name.replace("_", " "), *cells, *beside])
    stdout.print(shown)
    stdout.print()
    if compared is not None:
        say(f"{_beside(compared)}\n")


def _beside(compared: CorruptionError) -> str:
    """Say how the errors of two models compare, where the second makes any."""
    other, low, high = compared.second.model, *compared.interval
    if not compared.exists:
        return f"{other} makes no error on these faces, corrupted or not, so there is no corruption error beside it"
    lost = compared.relative
    cost = "corruption costs that one nothing"
    if not math.isnan(lost):
        cost = f"of what corruption costs that one, {lost:.2f} times"
    errorless = int(np.isnan(compared.each).sum())
    left_out = f"; corruptions at which that one makes no error do not count: {errorless}" if errorless else ""
    mean = f"{compared.mean:.2f} times that of {other} ({low:.2f} to {high:.2f})"
    return f"mean corruption error: {mean}; {cost}{left_out}"


def shown_on_page(measured: Measured | None) -> Robustness | CorruptionError | None:
    """Return what the page of an evaluation shows: the comparison with another model, where there is one."""
    return None if measured is None else measured.compared or measured.robustness


def write_robustness(path: Path, measured: Measured) -> None:
    """Draw the robustness into a PNG file and say so. Raises OutputError."""
    content = robustness_picture(measured.robustness, measured.compared)
    with atomic_write(path) as file:
        file.write(content)
    remark(f"wrote {path}")
