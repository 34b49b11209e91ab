"""Calibrated model files: what they say, that it is honest on other faces, and that they know when to abstain."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.classify.abstain import Abstaining
from mien.errors import DataError, OutputError
from mien.train import recalibrate
from mien.types import FaceSet
from support import random_faces, run_mien, tiny_model


def answered(model: Path, count: int, *, seed: int, heat: float) -> FaceSet:
    """Faces whose labels are drawn from a model's probabilities, `heat` times as flat: it is too sure by that."""
    faces = random_faces(count, seed=seed)
    logits = np.log(mien.load(model)(faces.images).probs) / heat
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    draws = np.random.default_rng(seed).random((count, 1))
    return replace(faces, labels=(probs.cumsum(axis=1) < draws).sum(axis=1).clip(0, 6).astype(np.int64))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "bold.onnx", name="bold", sharp=30)


def test_a_model_that_is_too_sure_becomes_honest(model: Path, tmp_path: Path) -> None:
    done = recalibrate(model, answered(model, 2000, seed=1, heat=3), tmp_path / "honest.onnx")
    assert done.card.temperature == pytest.approx(3, rel=0.15)
    others = answered(model, 2000, seed=2, heat=3)
    before, after = (mien.evaluate(mien.load(each), others) for each in (model, tmp_path / "honest.onnx"))
    assert before.ece > 0.1
    assert after.ece < 0.04
    assert (done.ece_after, done.nll_after) < (done.ece_before, done.nll_before)
    assert after.nll < before.nll
    assert done.card.priors["calibration"] == pytest.approx(np.bincount(others.labels, minlength=7) / 2000, abs=0.05)
    again = mien.load(tmp_path / "honest.onnx")
    assert again.card == done.card
    np.testing.assert_allclose(again(others.images[:5]).probs, again(others.images)[:5].probs, atol=1e-6)


def test_it_abstains_as_its_card_says(model: Path, tmp_path: Path) -> None:
    """On other faces, few of the certain answers are wrong, and there are as many as was stated."""
    done = recalibrate(model, answered(model, 2000, seed=1, heat=3), tmp_path / "m.onnx")
    others = answered(model, 4000, seed=2, heat=3)
    kept = [each for each in done.thresholds if each.errors is not None]
    assert kept
    for each in kept:
        scores = Abstaining(mien.load(tmp_path / "m.onnx"), max_error=each.max_error)(others.images)
        wrong = scores.top != others.labels
        assert wrong[scores.certain].mean() <= each.max_error
        assert scores.certain.mean() == pytest.approx(each.coverage, abs=0.05)


def test_too_few_faces_and_the_model_itself_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs 100 faces with a known answer or more, got 60"):
        recalibrate(model, random_faces(60), tmp_path / "m.onnx")
    before = model.read_bytes()
    with pytest.raises(OutputError, match="it is an input"):
        recalibrate(model, random_faces(200), model)
    assert model.read_bytes() == before


def test_the_command(model: Path, tmp_path: Path) -> None:
    mien.save_faces(answered(model, 1000, seed=1, heat=3), tmp_path / "f.npz")
    ended = run_mien("calibrate", model, tmp_path / "f.npz", "-o", tmp_path / "m.onnx")
    assert ended.code == 0, ended.err
    assert "On the half that fitted nothing: ECE 0." in ended.out
    assert mien.load(tmp_path / "m.onnx").card.temperature > 2
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(random_faces(12, seed=9).images):
        Image.fromarray(image).save(tmp_path / f"photos/{number:02}.png")
    said = run_mien(
        "predict", tmp_path / "photos", "--cropped", "-m", tmp_path / "m.onnx", "--max-error", "0.2", "--json"
    )
    assert said.code == 0, said.err
    rows = json.loads(said.out)
    threshold = mien.load(tmp_path / "m.onnx").card.scores["confidence_for_error_0.2"]
    assert {row["expression"] == "uncertain" for row in rows} == {True, False}
    assert all((row["expression"] == "uncertain") == (row["confidence"] < threshold) for row in rows)
    missing = run_mien("calibrate", model, tmp_path / "f.npz", "-o", tmp_path / "m.onnx", "--split", "test")
    assert (missing.code, missing.err) == (1, f"mien: {tmp_path / 'f.npz'} has no faces for --split test\n")
