"""A classifier that says when not to believe it: what its scores, rows and pictures say then."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.classify.abstain import Abstaining, coverage_name, threshold_name
from mien.errors import ModelError
from mien.evaluation.card_figures import card_figures
from mien.types import Scores
from support import random_faces, run_mien, tiny_model, train_and_valid


def stairs(images: NDArray[np.uint8]) -> Scores:
    """Happy with a confidence of 0.3, 0.4, ... 0.9."""
    confidence = 0.3 + 0.1 * np.arange(len(images))
    probs = np.repeat(((1 - confidence) / 6)[:, None], 7, axis=1)
    probs[:, 3] = confidence
    return Scores(probs.astype(np.float32))


def test_answers_below_the_threshold_are_uncertain() -> None:
    images = random_faces(7).images
    scores = Abstaining(stairs, threshold=0.65)(images)
    assert scores.names == ["uncertain"] * 4 + ["happy"] * 3
    assert scores.certain.tolist() == [False] * 4 + [True] * 3
    np.testing.assert_array_equal(scores.probs, stairs(images).probs)
    assert scores[3:5].names == ["uncertain", "happy"]
    order = ("neutral", *mien.EXPRESSIONS[:6])
    assert scores.reordered(order).names == scores.names
    assert repr(scores[3:5]) == "<Scores 2 faces, 7 classes: uncertain 60%, happy 70%>"
    assert stairs(images).names == ["happy"] * 7  # any other classifier stands by all


def test_rows_and_pictures_say_so() -> None:
    certain, uncertain = (mien.Predictor(Abstaining(stairs, threshold=share)) for share in (0.2, 0.9))
    portrait = mien.read_picture(Path(mien.__file__).with_name("assets") / "portrait.jpg")
    (row,), (other,) = certain(portrait).rows(), uncertain(portrait).rows()
    assert (row["expression"], other["expression"]) == ("happy", "uncertain")
    assert row["confidence"] == other["confidence"]
    assert (mien.draw(portrait, certain(portrait)) != mien.draw(portrait, uncertain(portrait))).any()


def test_without_a_threshold_it_says_what_to_do(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"no threshold for an error of 0.1 \(it has: none\); fit one with: mien cal"):
        Abstaining(mien.load(model))
    Image.fromarray(random_faces(1).images[0]).save(tmp_path / "face.png")
    command: list[str | Path] = ["predict", tmp_path / "face.png", "--cropped", "-m", model, "--max-error", "0.1"]
    ended = run_mien(*command)
    assert (ended.code, "has no threshold for an error of 0.1" in ended.err) == (1, True)
    for more in (["--tta", "mirror"], ["-m", str(model)], ["--prior", "uniform"]):
        refused = run_mien(*command, *more)
        assert (refused.code, "goes with one model" in refused.err) == (2, True), refused.err


@pytest.mark.parametrize(("wrong", "known"), [(0.0, {0.05, 0.1, 0.15, 0.2}), (0.12, {0.15, 0.2}), (1.0, set())])
def test_a_measured_model_knows_when_to_abstain(wrong: float, known: set[float]) -> None:
    faces = train_and_valid(14, 700)
    labels = dict(zip((image.tobytes() for image in faces.images), faces.labels.tolist(), strict=True))

    def planted(images: NDArray[np.uint8]) -> Scores:
        """Right, but for a share of the faces, and always as sure."""
        truth = np.array([labels.get(image.tobytes(), 0) for image in images])
        slips = np.random.default_rng(int(images.sum())).random(len(images)) < wrong
        probs = np.full((len(images), 7), 0.02, np.float32)
        probs[np.arange(len(images)), (truth + slips) % 7] = 0.88
        return Scores(probs)

    figures = card_figures(planted, faces)
    for error in (0.05, 0.1, 0.15, 0.2):
        assert (threshold_name(error) in figures) == (error in known)
        assert figures.get(coverage_name(error), 1) == 1


@pytest.mark.parametrize("name", ["swift", "swift-nano", "swift-fer2013"])
def test_the_models_that_ship_know_when_to_abstain(name: str) -> None:
    model = mien.load(name)
    surely = Abstaining(model, max_error=0.1)
    assert 0.5 < surely.threshold < 0.9
    assert 0.3 < model.card.scores[coverage_name(0.1)] < 0.95


def test_it_bears_the_name_of_its_classifier() -> None:
    assert Abstaining(stairs, threshold=0.5).name == "stairs"
