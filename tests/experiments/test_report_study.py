"""experiments/report_study.py: whole, with tiny nets in place of the recipes."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mien.data.formats.npz import save_faces
from mien.train import Trial
from mien.types import Scores
from support import load_script, random_faces, train_and_valid

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script() -> Any:
    return load_script("experiments/report_study.py")


def test_each_option_is_one_step_from_the_base(script: Any) -> None:
    ids = np.array(["fer0000017", *(f"face{row}" for row in range(19))])  # the first is a bad image of review.json
    faces = replace(random_faces(20, split="train"), ids=ids)
    base, cleaned, *others = script.candidates(faces, [*script.ARGUED, *script.REST], epochs=3)
    assert (base.name, base.recipe.optim.epochs, base.recipe.optim.step_epochs) == ("short", 3, 1)
    assert set(faces.ids) - set(cleaned.train_faces.ids) == {"fer0000017"}
    assert cleaned.recipe == base.recipe
    for each in others:
        changed = [
            part
            for part in ("net", "head", "normalise", "loss", "augment", "optim")
            if getattr(each.recipe, part) != getattr(base.recipe, part)
        ]
        assert changed or each.name == "short", each.name
        assert len(changed) == (3 if each.name == "prototypes" else 1), each.name


def test_the_study_trains_and_goes_on(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    shutil.copy(ROOT / "recipes" / "report" / "review.json", recipes)
    for name in ("short", *script.ARGUED):
        (recipes / f"{name}.toml").write_text('[net]\nname = "cnn"\nwidths = [4]\n[optim]\nbatch = 16\nepochs = 1\n')
    monkeypatch.setattr(script, "RECIPES", recipes)
    faces = train_and_valid(60, 14)
    save_faces(faces, tmp_path / "faces.npz")
    out = tmp_path / "study"
    monkeypatch.setattr(sys, "argv", ["report_study", str(tmp_path / "faces.npz"), "-o", str(out), "--workers", "1"])
    assert script.main() == 0
    table = pd.read_csv(out / "table.csv")
    assert table.recipe.tolist() == ["short", "cleaned", *script.ARGUED]
    assert np.isfinite(table["last"]).all()
    differences = pd.read_csv(out / "differences.csv")
    assert differences.recipe.tolist() == table.recipe.tolist()
    assert differences.accuracy.to_numpy() == pytest.approx(100 * table["last"].to_numpy(), abs=0.01)
    assert differences.difference.to_numpy() == pytest.approx(100 * table.difference.to_numpy(), abs=0.011)
    assert (differences.low <= differences.difference).all()
    assert (differences.difference <= differences.high).all()
    assert (differences.difference[0], differences.recall_difference[0]) == (0, 0)
    trained = {path: path.stat().st_mtime_ns for path in out.rglob("last.safetensors")}
    assert script.main() == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("last.safetensors")} == trained
    assert capsys.readouterr().out.count("short, seed 1") == 2


def test_a_run_is_compared_with_the_base_of_its_seed(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judges = random_faces(7)
    right = {"base/seed-1": [0, 1, 2, 3], "base/seed-2": [], "other/seed-1": [0, 1, 2, 3, 4, 5, 6], "other/seed-3": []}

    class Net:
        """Right about some faces; it calls the others by the next class."""

        def __init__(self, run: Path) -> None:
            self.rows = right[f"{run.parent.name}/{run.name}"]

        def __call__(self, _: Any) -> Scores:
            answers = (judges.labels + 1) % 7
            answers[self.rows] = judges.labels[self.rows]
            return Scores(np.eye(7, dtype=np.float32)[answers], judges.class_names)

    monkeypatch.setattr(script, "NetClassifier", SimpleNamespace(load=lambda run, **_: Net(run)))
    ended = [Trial("other", 3, ()), Trial("other", 1, ()), Trial("base", 2, ()), Trial("base", 1, ())]
    table = script.compare_with_base(ended, ["base", "other"], judges, tmp_path).set_index(["recipe", "seed"])
    assert list(table.index) == [("base", 1), ("base", 2), ("other", 1)]  # no base with seed 3
    other = table.loc[("other", 1)]
    assert other.accuracy == 100
    assert other.difference == pytest.approx(300 / 7)
    assert other.low < other.difference < other.high
    assert table.loc[("base", 2)].accuracy == 0


def test_an_interruption_says_how_to_go_on(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "study", lambda *_, **__: map(interrupted, [0]))
    save_faces(train_and_valid(60, 14), tmp_path / "faces.npz")
    monkeypatch.setattr(sys, "argv", ["report_study", str(tmp_path / "faces.npz"), "-o", str(tmp_path / "study")])
    assert script.main() == 130
    assert "the same command goes on" in capsys.readouterr().out
