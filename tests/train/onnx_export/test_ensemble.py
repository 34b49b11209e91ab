"""Several models as one file: the mean of what they say, and a card that tells of all."""

from pathlib import Path

import numpy as np
import pytest

from mien.classify.card import ModelCard
from mien.classify.ensemble import Ensemble
from mien.classify.onnx import OnnxClassifier
from mien.classify.tta import Mirrored
from mien.errors import ModelError, OutputError
from mien.labels import EXPRESSIONS
from mien.train import export, join, train
from mien.train.recipe_toml import parse_recipe
from support import ONE_THREAD, random_faces, run_mien, tiny_model, train_and_valid

RECIPE = "[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nepochs = 1\nbatch = 16\n"


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A trained net and two linear classifiers: graphs of different kinds, whose inner names are the same."""
    folder = tmp_path_factory.mktemp("members")
    list(train(parse_recipe(RECIPE), train_and_valid(40, 14), out=folder / "run", hardware=ONE_THREAD))
    export(folder / "run", folder / "net.onnx", faces=train_and_valid(40, 14))
    return [folder / "net.onnx", folder / "other.onnx"]


def test_it_says_the_mean_of_its_members(tmp_path: Path) -> None:
    paths = [tiny_model(tmp_path / f"{seed}.onnx", name=f"m{seed}", seed=seed) for seed in range(3)]
    images = random_faces(50).images
    for weights in (None, (1, 2, 5)):
        join(paths, tmp_path / "joined.onnx", weights=weights)
        expected = Ensemble(*map(OnnxClassifier, paths), weights=weights)(images)
        np.testing.assert_allclose(OnnxClassifier(tmp_path / "joined.onnx")(images).probs, expected.probs, atol=1e-6)


def test_real_nets_join_and_their_file_is_measured(members: list[Path], tmp_path: Path) -> None:
    net, other = members
    list(train(parse_recipe(f"seed = 2\n{RECIPE}"), train_and_valid(40, 14), out=tmp_path / "run", hardware=ONE_THREAD))
    export(tmp_path / "run", other)
    faces = train_and_valid(40, 14)
    card = join([net, other], tmp_path / "two.onnx", note="made by a test", faces=faces)
    two = OnnxClassifier(tmp_path / "two.onnx")
    assert two.card == card
    parts = [OnnxClassifier(each) for each in (net, other)]
    expected = Ensemble(*parts)(faces.images)
    np.testing.assert_allclose(two(faces.images).probs, expected.probs, atol=1e-5)
    assert card.name == "two"
    assert card.parameters == sum(part.card.parameters for part in parts)
    assert card.recipe.count("[optim]") == 2
    assert f"# 0.5 of other ({parts[1].hash[:12]})" in card.recipe
    right = (Mirrored(Ensemble(*parts))(faces.images).top == faces.labels)[faces.splits == "valid"]
    assert card.scores["valid_accuracy_mirrored"] == pytest.approx(right.mean())
    again = join([tmp_path / "two.onnx", net], tmp_path / "three.onnx")  # what is joined can be joined
    assert again.parameters == card.parameters + parts[0].card.parameters


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    one = tiny_model(tmp_path / "1.onnx")
    other = tiny_model(tmp_path / "2.onnx", class_names=("a", "b"))
    with pytest.raises(ModelError, match="must name the same classes"):
        join([one, other], tmp_path / "x.onnx")
    with pytest.raises(ModelError, match="weights must be 2"):
        join([one, one], tmp_path / "x.onnx", weights=[1])
    with pytest.raises(ModelError, match="one classifier or more"):
        join([], tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_no_member_is_replaced(tmp_path: Path) -> None:
    paths = [tiny_model(tmp_path / f"{seed}.onnx", seed=seed) for seed in range(2)]
    before = paths[0].read_bytes()
    with pytest.raises(OutputError, match="it is an input"):
        join(paths, paths[0])
    assert paths[0].read_bytes() == before


def test_the_command(tmp_path: Path) -> None:
    paths = [str(tiny_model(tmp_path / f"{seed}.onnx", seed=seed)) for seed in range(2)]
    ended = run_mien("join", *paths, "-o", str(tmp_path / "pair.onnx"), "--weight", "1", "--weight", "3")
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"{tmp_path / 'pair.onnx'}: pair, ")
    assert isinstance(OnnxClassifier(tmp_path / "pair.onnx").card, ModelCard)
    missing = run_mien("join", "swift-nano", "nothing.onnx", "-o", str(tmp_path / "x.onnx"))
    assert missing.code == 1
    assert missing.err.startswith("mien: no file and no model that ships is named nothing.onnx")


def test_without_a_note_of_its_own_it_has_its_members_notes(tmp_path: Path) -> None:
    """What they say of their data and licence goes for it, too."""
    notes = ("From FER2013.", "From elsewhere.", "From FER2013.")
    cards = [ModelCard(str(number), EXPRESSIONS, note=note) for number, note in enumerate(notes)]
    paths = [tiny_model(tmp_path / f"{card.name}.onnx", card=card) for card in cards]
    assert join(paths, tmp_path / "a.onnx").note == "From FER2013. From elsewhere."
    assert join(paths, tmp_path / "a.onnx", note="Mine.").note == "Mine."
