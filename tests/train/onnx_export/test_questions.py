"""A run with two outputs answers two questions: each as a model file, calibrated on faces that were held back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.classify.onnx import load
from mien.errors import RecipeError, RunError
from mien.labels import EXPRESSIONS, VOTES
from mien.train.onnx_export.export import export
from mien.train.recipe_toml import parse_recipe
from mien.train.run.hold_out import faces_with_answers, hold_out
from mien.train.run.trainer import Run, train
from mien.types import FaceSet
from support import random_faces, train_and_valid

RECIPE = parse_recipe("""
[net]
name = "cnn"
widths = [8, 16]
[head]
pool_grid = 12
dropout = 0
[loss]
aux_ferplus_weight = 2
aux_ferplus_min_votes = 2
aux_ferplus_rare = 0.5
question = "ferplus"
[augment]
flip_prob = 0
rotate_degrees = 0
scale = 0
shift_pixels = 0
erase_prob = 0
[camera]
noise_prob = 0.2
[optim]
epochs = 3
ema = 0.9
batch = 14
lr = 0.02
hold_out = 0.2
""")


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Faces that people call by the expression behind their label's: each question has another answer."""
    faces = train_and_valid(210, 35)
    votes = np.zeros((len(faces), len(VOTES)), np.float32)
    named = (faces.labels + 1) % len(EXPRESSIONS)
    votes[np.arange(len(faces)), named] = 9
    votes[:, VOTES.index("unknown")] = 1
    return replace(faces, votes=votes)


@pytest.fixture(scope="module")
def run(faces: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = train(RECIPE, faces, out=tmp_path_factory.mktemp("runs") / "run")
    for _ in run:
        pass
    return run


def test_the_epoch_is_chosen_by_the_answers_of_held_back_faces(run: Run, faces: FaceSet) -> None:
    assert run.best is not None
    assert run.best.valid_accuracy > 0.9
    assert len(run.faces.train) + len(run.faces.valid) == 210
    assert len(run.faces.valid) == 42
    assert set(run.faces.valid.ids) <= set(faces[faces.splits == "train"].ids)


def test_each_question_has_its_answers(run: Run, faces: FaceSet, tmp_path: Path) -> None:
    valid = faces[faces.splits == "valid"]
    people = export(run, tmp_path / "people.onnx", faces=faces)
    labels = export(run, tmp_path / "labels.onnx", faces=faces, question="fer2013")
    assert (people.question, labels.question) == ("ferplus", "fer2013")
    said = load(tmp_path / "people.onnx")(valid.images).probs.argmax(axis=1)
    assert (said == valid.plurality).mean() > 0.9
    assert people.scores["valid_people_accuracy"] == pytest.approx((said == valid.plurality).mean())
    said = load(tmp_path / "labels.onnx")(valid.images).probs.argmax(axis=1)
    assert (said == valid.labels).mean() > 0.9


def test_the_card_names_priors_and_the_model_takes_them(run: Run, faces: FaceSet, tmp_path: Path) -> None:
    card = export(run, tmp_path / "people.onnx", faces=faces)
    assert card.prior == "everyday"
    assert set(card.priors) == {"everyday", "ferplus", "uniform", "fer2013"}
    assert all(sum(numbers) == pytest.approx(1) for numbers in card.priors.values())
    assert card.temperature != 1
    one = faces.images[:50]
    plain, uniform = (load(tmp_path / "people.onnx", prior=prior)(one).probs for prior in (None, "uniform"))
    expected = plain / np.array(card.priors["everyday"])
    np.testing.assert_allclose(uniform, expected / expected.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6)


def test_without_faces_a_model_is_not_calibrated(run: Run, tmp_path: Path) -> None:
    card = export(run, tmp_path / "people.onnx")
    assert (card.temperature, card.prior, card.priors) == (1.0, "", {})


def test_twins_are_held_back_together(faces: FaceSet) -> None:
    twins = replace(faces[:40], images=np.repeat(faces.images[:20], 2, axis=0), labels=np.repeat(faces.labels[:20], 2))
    held = hold_out(replace(twins, splits=np.full(40, "train")), 0.25, seed=1)
    assert (held.splits.reshape(20, 2)[:, 0] == held.splits.reshape(20, 2)[:, 1]).all()
    assert 0 < (held.splits == "valid").sum() < 20


def test_people_answer_only_where_there_is_a_plurality() -> None:
    faces = random_faces(3, votes=True)
    votes = np.zeros((3, len(VOTES)), np.float32)
    votes[0, 3], votes[1, 2:4], votes[2, VOTES.index("contempt")] = 10, 5, 10
    answered = faces_with_answers(replace(faces, votes=votes), "ferplus")
    assert answered.labels.tolist() == [3]
    assert len(faces_with_answers(replace(faces, votes=None), "ferplus")) == 0


def test_what_has_no_answer_is_refused(faces: FaceSet) -> None:
    with pytest.raises(RecipeError, match=r"loss\.question = ferplus needs loss\.aux_ferplus_weight over 0"):
        parse_recipe('[loss]\nquestion = "ferplus"')
    with pytest.raises(RunError, match=r"holding back 0\.1 of the train faces needs 10 or more, got 5"):
        hold_out(faces[:5], 0.1, seed=1)
