"""A model whose classes are expected more or less often: Bayes' rule, and clear words where it cannot be applied."""

import json
from pathlib import Path

import numpy as np
import pytest

from mien.classify.card import ModelCard
from mien.classify.onnx import OnnxClassifier, load
from mien.classify.prior import Prior, parse_prior
from mien.errors import ModelError
from mien.labels import EXPRESSIONS
from support import random_faces, tiny_model

PRIORS: dict[str, tuple[float, ...]] = {"everyday": (0.1, 0.1, 0.1, 0.2, 0.1, 0.1, 0.3), "uniform": (1 / 7,) * 7}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = ModelCard("tiny", EXPRESSIONS, question="ferplus", prior="everyday", priors=PRIORS)
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", card=card)


def test_probabilities_follow_bayes_rule(path: Path) -> None:
    faces = random_faces(10).images
    plain, uniform = OnnxClassifier(path)(faces).probs, load(path, prior="uniform")(faces).probs
    expected = plain / np.array(PRIORS["everyday"])
    np.testing.assert_allclose(uniform, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)
    assert not np.allclose(uniform, plain)


def test_the_prior_inside_changes_nothing(path: Path) -> None:
    faces = random_faces(10).images
    np.testing.assert_allclose(load(path, prior="everyday")(faces).probs, load(path)(faces).probs, rtol=1e-6)


def test_a_prior_of_ones_own_needs_no_sum_of_1(path: Path) -> None:
    faces = random_faces(10).images
    uniform = load(path, prior="uniform")(faces).probs
    np.testing.assert_allclose(load(path, prior=[3.0] * 7)(faces).probs, uniform, rtol=1e-5)
    by_name = dict.fromkeys(reversed(EXPRESSIONS), 2.0)
    np.testing.assert_allclose(load(path, prior=by_name)(faces).probs, uniform, rtol=1e-5)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("sunday", r"the prior must be one of everyday, uniform, or a number for each class, got 'sunday'"),
        ({"happy": 1.0}, r"a prior must have a number for each of angry, .*, neutral, got happy=1\.0$"),
        ([0.5, 0.5], "a prior must be 7 numbers, one a class, got 2"),
        ([0.0] + [1.0] * 6, "the numbers of a prior must be over 0"),
        ([float("nan")] + [1.0] * 6, "the numbers of a prior must be over 0"),
        ({"angry": 1.0}, "a prior must have a number for each of angry, disgust"),
    ],
)
def test_what_is_no_prior_is_refused(path: Path, prior: Prior, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(path, prior=prior)


def test_a_file_that_tells_no_prior_cannot_be_corrected(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tiny does not say which prior it assumes"):
        load(tiny_model(tmp_path / "tiny.onnx"), prior="uniform")


def test_a_card_keeps_its_question_and_priors() -> None:
    card = ModelCard("m", EXPRESSIONS, question="ferplus", prior="everyday", priors=PRIORS)
    assert ModelCard.from_json(card.to_json()) == card
    bad = {**json.loads(card.to_json()), "priors": {"everyday": [0.5, -0.5]}}
    with pytest.raises(ModelError, match="a value is of another kind"):
        ModelCard.from_json(json.dumps(bad))


def test_a_command_takes_a_name_or_numbers_by_name() -> None:
    assert parse_prior("uniform") == "uniform"
    assert parse_prior("angry=0.1, happy=2") == {"angry": 0.1, "happy": 2.0}
    with pytest.raises(ModelError, match=r"a prior must be like angry=0\.1,happy=0\.4, got 'happy=' in it"):
        parse_prior("angry=1,happy=")
