"""experiments/gpu_hour.py: whole, on the processor, by its own --tiny; and its parts against oracles."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mien.data.formats.npz import save_faces
from mien.data.scores_file import load_scores
from mien.train import load_recipe, train
from mien.train.run.trained_net import load_trained_net
from support import ONE_THREAD, load_script, random_faces, train_and_valid

SCRIPT = Path(__file__).parents[2] / "experiments" / "gpu_hour.py"


@pytest.fixture(scope="module")
def hour() -> Any:
    return load_script("experiments/gpu_hour.py")


@pytest.mark.linux
def test_all_stages_on_the_processor(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, str(SCRIPT), "--tiny", "--out", str(out), "--seconds", "3000"]
    ended = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert ended.returncode == 0, ended.stderr
    log = json.loads((out / "log.json").read_text())
    assert list(log) == ["check", "report", "facenets", "vgg", "stride-1", "weights", "students", "results"]
    assert log["check"]["alike"] == {"cpu": True, "here": True}
    trained = {name: figures for stage in log.values() for name, figures in stage.get("nets", {}).items()}
    assert len(trained) == 10
    assert all(figures["epochs"] == figures["wanted"] for figures in trained.values())
    assert not any(stage.get("failed") for stage in log.values())
    scored = load_scores(out / "scores" / "student-nano.npz")
    assert len(scored.ids) == 96 + 28
    assert log["weights"]["nll_of_the_mean"] <= min(log["weights"]["nll"].values()) + 1e-3
    for name, size in log["results"]["bytes"].items():
        assert size < 16 * 2**20
        whole, half = (load_trained_net(out / folder / name).net for folder in ("runs", "nets"))
        for one, other in zip(whole.parameters(), half.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert {"student-swift", "student-nano"} <= log["results"]["bytes"].keys()


def test_faces_are_packed_exactly(hour: Any, tmp_path: Path) -> None:
    faces = random_faces(700, votes=True)
    save_faces(faces, tmp_path / "faces.npz")
    hour.pack(tmp_path / "faces.npz", tmp_path / "packed")
    assert hour.unpack(tmp_path / "packed").hash == faces.hash


def test_the_weights_are_the_likeliest(hour: Any) -> None:
    rng = np.random.default_rng(1)
    probs = rng.beta([[2.0], [3.0], [1.0], [0.5]], 1.0, (4, 500)).astype(np.float32)

    def nll(logits: np.ndarray) -> float:
        shares = np.exp(logits - logits.max())
        return float(-np.log(shares @ probs / shares.sum()).mean())

    wanted = minimize(
        nll, np.zeros(4), method="Nelder-Mead", options={"maxiter": 20_000, "xatol": 1e-8, "fatol": 1e-12}
    )
    found = hour.mixture_weights(probs)
    assert found.sum() == pytest.approx(1)
    assert float(-np.log(found @ probs).mean()) == pytest.approx(wanted.fun, abs=1e-4)


def test_both_students_hear_answers_to_the_same_faces(hour: Any, tmp_path: Path) -> None:
    faces = train_and_valid(100, 28)
    asked: list[torch.Tensor] = []

    class Watched(hour.SharedTeachers):  # type: ignore[misc]
        def __call__(self, seen: torch.Tensor) -> Any:
            asked.append(seen.clone())
            return super().__call__(seen)

    small = ("optim.batch=32", "optim.epochs=1", "loss.aux_ferplus_weight=0")
    first = load_recipe(hour.HERE / "student-swift.toml", (*small, "net.widths=[4, 8]"))
    second = load_recipe(
        hour.HERE / "student-nano.toml", (*small, "net.widths=[4, 4]", "optim.image_sizes=[[32, 1.0]]")
    )
    shared = Watched([(first.build_net(classes=7).eval(), 40)], name="one")
    heard = []
    for name, recipe in (("first", first), ("second", second)):
        run = train(recipe, faces, out=tmp_path / name, hardware=ONE_THREAD, teacher=shared)
        run.trainer.train(0, recipe.optim.image_sizes[0][0], accuracies=[], on_step=None)
        shared.turn()
        heard.append(list(asked))
        asked.clear()
    assert len(heard[0]) == len(heard[1]) == 2
    assert all(torch.equal(one, other) for one, other in zip(*heard, strict=True))
