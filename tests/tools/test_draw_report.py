"""tools/draw_report.py: the figure of docs/report.md, from files like the repository's."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mien.data.formats.npz import save_faces
from support import load_script, random_faces

SCRIPT = Path(__file__).parents[2] / "tools" / "draw_report.py"


@pytest.fixture
def script() -> Any:
    return load_script("tools/draw_report.py")


@pytest.mark.parametrize(("base", "panels"), [("short", 3), ("final", 2)])
def test_a_study_of_another_base_is_left_out(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str, panels: int
) -> None:
    faces = random_faces(21)
    save_faces(faces, tmp_path / "faces.npz")
    for name in ("report", "report-study"):
        (tmp_path / name).mkdir()
    probs = pd.DataFrame(np.eye(7)[faces.labels], columns=list(faces.class_names))
    probs.assign(id=faces.ids).to_csv(tmp_path / "report/predictions.csv", index=False)
    metrics = {"number": [1, 2, 3], "valid_accuracy": [0.3, 0.5, 0.6], "lr": [0.01, 0.01, 0.004]}
    pd.DataFrame(metrics).to_csv(tmp_path / "report/metrics.csv", index=False)
    study = {"recipe": [base, "adam", "weighted"], "last": [0.6, 0.55, np.nan], "difference": [0.0, -0.05, np.nan]}
    pd.DataFrame(study).to_csv(tmp_path / "report-study/table.csv", index=False)
    out = tmp_path / "report.png"
    arguments = ["draw_report", str(tmp_path / "faces.npz"), "--training", str(tmp_path), "-o", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert script.main() == 0
    with Image.open(out) as picture:
        assert picture.width == int(120 * 4.4 * panels)
