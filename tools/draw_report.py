"""Draw docs/report.png: the report's run by epoch, what it takes for what, and the study's differences.

    python tools/draw_report.py faces.npz

It reads docs/training/report (the run's metrics.csv and predictions.csv) and docs/training/report-study (the study's
differences.csv). The confusion matrix is of FER2013's PublicTest, the valid split of the faces.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from mien.data.formats.npz import load_faces
from mien.evaluation.prediction_table import read_predictions
from mien.io.atomic_write import atomic_write
from mien.metrics import confusion_matrix
from mien.visualize.figure import figure_png, make_figure

DOCS = Path(__file__).parents[1] / "docs"
REPORTED = 0.6882  # the report's accuracy on PublicTest and PrivateTest together


def draw_curve(axes: Any, metrics: pd.DataFrame) -> None:
    """Draw the accuracy by epoch, with the places where the learning rate falls."""
    axes.plot(metrics.number, 100 * metrics.valid_accuracy, label="this run, PublicTest")
    axes.axhline(100 * REPORTED, color="grey", linestyle="--", label="the report, both test sets")
    for number in metrics.number[1:][metrics.lr.diff()[1:].abs() > 0]:
        axes.axvline(number - 0.5, color="grey", linewidth=0.5)
    axes.set(xlabel="epoch (a line: the learning rate falls)", ylabel="accuracy, %", title="The run")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)


def draw_confusion(axes: Any, confusion: Any, names: tuple[str, ...]) -> None:
    """Draw a confusion matrix in percent of each row."""
    shares = 100 * confusion / confusion.sum(axis=1, keepdims=True).clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in ((row, column) for row in range(len(names)) for column in range(len(names))):
        share = shares[row, column]
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", color="white" if share > 50 else "black")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answer", ylabel="label", title="PublicTest, % of each row")


def draw_study(axes: Any, differences: pd.DataFrame) -> None:
    """Draw each recipe's difference to the first one, a point and an interval for each seed."""
    base, *others = differences.recipe.unique()
    means = differences.groupby("recipe")[["accuracy", "difference"]].mean()
    order = sorted(others, key=lambda name: float(means.difference[name]))
    seeds = sorted(differences.seed.unique())
    for seed in seeds:
        runs = differences[(differences.seed == seed) & (differences.recipe != base)]
        rows = [order.index(name) + 0.2 * (seeds.index(seed) - (len(seeds) - 1) / 2) for name in runs.recipe]
        errors = [runs.difference - runs.low, runs.high - runs.difference]
        axes.errorbar(runs.difference, rows, xerr=errors, fmt="o", markersize=4, label=f"seed {seed}")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(order)), order)
    axes.set(xlabel=f"points beside {base} ({means.accuracy[base]:.1f}%)", title="One change each, with 95% intervals")
    if len(seeds) > 1:
        axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces", type=Path, help="FER2013, as `mien data import` writes it")
    parser.add_argument(
        "--training", type=Path, default=DOCS / "training", help="the folder of report and report-study"
    )
    parser.add_argument("-o", "--out", type=Path, default=DOCS / "report.png", help="the picture")
    arguments = parser.parse_args()
    faces = load_faces(arguments.faces)
    valid = faces[faces.splits == "valid"]
    probs = read_predictions(arguments.training / "report" / "predictions.csv", valid)
    figure = make_figure(figsize=(13.2, 4.2), layout="constrained")
    axes = figure.subplots(1, 3)
    draw_curve(axes[0], pd.read_csv(arguments.training / "report" / "metrics.csv"))
    confusion = confusion_matrix(valid.labels, probs.argmax(axis=1), classes=len(valid.class_names))
    draw_confusion(axes[1], confusion, valid.class_names)
    draw_study(axes[2], pd.read_csv(arguments.training / "report-study" / "differences.csv"))
    with atomic_write(arguments.out) as file:
        file.write(figure_png(figure))
    print(f"wrote {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
