"""A classifier that says when not to believe it: what its scores, rows and pictures say then."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.classify.abstain import Abstaining
from mien.errors import ModelError
from mien.types import Scores
from support import random_faces, run_mien, tiny_model


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


def test_it_bears_the_name_of_its_classifier() -> None:
    assert Abstaining(stairs, threshold=0.5).name == "stairs"
