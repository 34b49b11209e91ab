"""tools/draw_report.py: the figure of docs/report.md, from files like the repository's."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mien.data.formats.npz import save_faces
from mien.visualize.figure import make_figure
from support import load_script, random_faces

SCRIPT = Path(__file__).parents[2] / "tools" / "draw_report.py"


@pytest.fixture
def script() -> Any:
    return load_script("tools/draw_report.py")


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figure_is_drawn_from_tables(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: int
) -> None:
    faces = random_faces(21)
    save_faces(faces, tmp_path / "faces.npz")
    for name in ("report", "report-study"):
        (tmp_path / name).mkdir()
    probs = pd.DataFrame(np.eye(7)[faces.labels], columns=list(faces.class_names))
    probs.assign(id=faces.ids).to_csv(tmp_path / "report/predictions.csv", index=False)
    metrics = {"number": [1, 2, 3], "valid_accuracy": [0.3, 0.5, 0.6], "lr": [0.01, 0.01, 0.004]}
    pd.DataFrame(metrics).to_csv(tmp_path / "report/metrics.csv", index=False)
    study_rows(seeds).to_csv(tmp_path / "report-study/differences.csv", index=False)
    out = tmp_path / "report.png"
    arguments = ["draw_report", str(tmp_path / "faces.npz"), "--training", str(tmp_path), "-o", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert script.main() == 0
    with Image.open(out) as picture:
        assert picture.width == int(120 * 13.2)


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_study_is_drawn_in_order_with_its_intervals(script: Any, seeds: int) -> None:
    figure = make_figure()
    axes = figure.subplots()
    script.draw_study(axes, study_rows(seeds))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["weighted", "adam"]  # the worst below
    assert axes.get_xlabel() == "points beside short (60.0%)"
    assert len(axes.containers) == seeds
    points, _, (bars,) = axes.containers[0]
    assert points.get_xdata().tolist() == [4, -1]  # adam, weighted
    assert [[x for x, _ in each] for each in bars.get_segments()] == [[3, 5], [-2, 0]]


def study_rows(seeds: int) -> pd.DataFrame:
    rows = [
        (name, seed, 60.0 + difference, difference, difference - 1, difference + 1)
        for name, difference in (("short", 0.0), ("adam", 4.0), ("weighted", -1.0))
        for seed in range(1, seeds + 1)
    ]
    return pd.DataFrame(rows, columns=["recipe", "seed", "accuracy", "difference", "low", "high"])
