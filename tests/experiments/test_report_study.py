"""experiments/report_study.py: whole, with tiny nets in place of the recipes."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mien.data.formats.npz import save_faces
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
    trained = {path: path.stat().st_mtime_ns for path in out.rglob("last.safetensors")}
    assert script.main() == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("last.safetensors")} == trained
    assert capsys.readouterr().out.count("short, seed 1") == 2


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
