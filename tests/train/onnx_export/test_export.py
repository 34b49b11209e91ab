"""The model file: the same numbers as torch, whatever the batch, and all that it must say of itself."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mien.classify.card import ModelCard
from mien.classify.onnx import OnnxClassifier
from mien.errors import OutputError, RunError
from mien.evaluation.robustness import robustness
from mien.labels import EXPRESSIONS
from mien.train import export, train
from mien.train.inputs.augment import resize
from mien.train.onnx_export.export import InferenceModel, load_inference_model
from mien.train.onnx_export.onnx_graph import model_bytes, to_onnx
from mien.train.recipe_toml import parse_recipe
from mien.train.run.checkpoint import load_checkpoint
from mien.train.run.run_dir import RUN_FILES
from support import ONE_THREAD, drawn_faces, random_faces, train_and_valid

RECIPE = """
[net]
widths = [8, 16, 16, 16]
blocks = 1
[optim]
epochs = 2
batch = 16
ema = 0.5
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "small"
    list(train(parse_recipe(RECIPE), train_and_valid(70, 28), out=out, hardware=ONE_THREAD))
    return out


@pytest.fixture(scope="module")
def model(run: Path) -> Path:
    path = run.parent / "small.onnx"
    export(run, path, note="made by a test", faces=train_and_valid(70, 28))
    return path


@pytest.mark.parametrize("count", [1, 2, 7, 64, 300])
def test_torch_and_onnx_agree_whatever_the_batch(run: Path, model: Path, count: int) -> None:
    images = random_faces(count).images
    module, _ = load_inference_model(run, name="small")
    with torch.no_grad():
        ours = module(torch.from_numpy(images.copy())).numpy()
    np.testing.assert_allclose(OnnxClassifier(model)(images).probs, ours, atol=1e-4)


def test_extreme_faces_give_probabilities(model: Path) -> None:
    images = np.stack([np.zeros((48, 48)), np.full((48, 48), 255), np.full((48, 48), 128)]).astype(np.uint8)
    assert np.isfinite(OnnxClassifier(model)(images).probs).all()


def test_the_card(run: Path, model: Path) -> None:
    card = OnnxClassifier(model).card
    epochs = load_checkpoint(run / "best.safetensors").epochs
    assert card.name == "small"
    assert card.note == "made by a test"
    assert card.class_names == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert parse_recipe(card.recipe) == parse_recipe(RECIPE)
    assert card.faces_hash == train_and_valid(70, 28).hash
    assert card.scores["valid_accuracy"] == pytest.approx(epochs[-1].valid_accuracy)
    assert card.scores["valid_accuracy_low"] < card.scores["valid_accuracy"] < card.scores["valid_accuracy_high"]
    assert {"valid_ece", "valid_accuracy_mirrored", "valid_accuracy_without_twins"} <= set(card.scores)


def test_the_card_has_the_robustness_where_it_is_asked_for(run: Path, model: Path, tmp_path: Path) -> None:
    faces = train_and_valid(70, 28)
    scores = export(run, tmp_path / "m.onnx", faces=faces, corrupt=True).scores
    wanted = robustness(OnnxClassifier(model), faces[faces.splits == "valid"]).card_scores("valid")
    assert {name: scores[name] for name in wanted} == pytest.approx(wanted)
    assert not wanted.keys() & OnnxClassifier(model).card.scores.keys()


def test_weights_are_stored_in_half_precision(model: Path) -> None:
    content = onnx.load(str(model))
    onnx.checker.check_model(content, full_check=True)
    large = [array for array in content.graph.initializer if np.prod(array.dims) >= 1024]
    assert large
    assert {array.data_type for array in large} == {onnx.TensorProto.FLOAT16}


def test_it_tells_nothing_of_the_machine_that_made_it(model: Path) -> None:
    content = model.read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b"site-packages" not in content
    assert b"stack_trace" not in content


def test_the_same_run_gives_the_same_file(run: Path, model: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "small.onnx", note="made by a test", faces=train_and_valid(70, 28))
    assert (tmp_path / "small.onnx").read_bytes() == model.read_bytes()


def test_a_net_that_ended_on_small_faces_takes_whole_ones(tmp_path: Path) -> None:
    recipe = parse_recipe(RECIPE, ["optim.epochs=1", "optim.image_sizes=[[32, 1.0]]"])
    list(train(recipe, train_and_valid(70, 28), out=tmp_path / "run", hardware=ONE_THREAD))
    assert load_inference_model(tmp_path / "run", name="m")[0].side == 32  # to which it brings them; see below


@pytest.mark.parametrize(
    ("net", "head", "normalise", "side"),
    [
        ('name = "cnn"\nwidths = [4, 8]', "pool_grid = 5\nhidden = [16, 8]", 'by = "train"', 48),
        ('name = "vgg"\nwidths = [4, 8]', "pool_grid = 3", 'by = "fixed"\nmean = 0.15\nstd = 0.4', 17),
        ('name = "alexnet"', "", 'by = "fixed"', 31),
        ('name = "resnet18"', 'fuse = [1, 3]\nfuse_weights = "learned"\npool_grid = 2', 'by = "train"', 40),
    ],
    ids=["cnn", "vgg", "alexnet", "resnet18"],
)
def test_every_net_gives_in_its_file_what_it_gives_in_torch(net: str, head: str, normalise: str, side: int) -> None:
    sizes = f"image_sizes = [[{side}, 1.0]]"
    recipe = parse_recipe(f"[net]\n{net}\n[head]\n{head}\n[normalise]\n{normalise}\n[optim]\n{sizes}")
    made = recipe.build_net(classes=7)
    images = drawn_faces(9).images
    made.measure(torch.tensor(images))
    made.train()(resize(torch.tensor(images), side=side))  # so that the norms have seen faces
    model = InferenceModel(made, side=side).eval()
    with torch.no_grad():
        ours = model(torch.tensor(images)).numpy()
    assert ours.std(axis=0).min() > 1e-5
    classifier = OnnxClassifier(model_bytes(to_onnx(model), ModelCard("m", EXPRESSIONS)))
    np.testing.assert_allclose(classifier(images).probs, ours, atol=1e-3)


def test_the_last_epoch_is_exported_where_it_is_asked_for(tmp_path: Path) -> None:
    faces = train_and_valid(70, 28)
    run = train(parse_recipe(RECIPE, ["optim.epochs=3"]), faces, out=tmp_path / "run", hardware=ONE_THREAD)
    list(run)
    last = export(run, tmp_path / "last.onnx", epoch="last")
    _, best = load_inference_model(run, name="best")
    assert run.best is not None
    assert (last.scores["epochs"], best.scores["epochs"]) == (3, run.best.number)
    assert last.scores["valid_accuracy"] == pytest.approx(run.epochs[-1].valid_accuracy)
    assert best.scores["valid_accuracy"] == pytest.approx(run.best.valid_accuracy)


@pytest.mark.parametrize("name", RUN_FILES)
def test_no_export_replaces_a_file_of_its_run(run: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / name).touch()
    before = (copy / name).read_bytes()
    (tmp_path / "link").symlink_to(copy / name)
    for out in (copy / name, tmp_path / "link"):
        with pytest.raises(OutputError, match="it is an input"):
            export(copy, out)
    assert (copy / name).read_bytes() == before


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run with a finished epoch"):
        export(tmp_path, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_weights_beyond_half_precision_keep_all_of_theirs() -> None:
    layer = torch.nn.Linear(48 * 48, 2)
    with torch.no_grad():
        layer.weight.fill_(1e-3)
        layer.weight[0, 0] = 1e6
    model = torch.nn.Sequential(Flat(), layer).eval()
    proto = to_onnx(model)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    faces = random_faces(3).images
    (said,) = session.run(None, {"faces": faces})
    with torch.no_grad():
        np.testing.assert_allclose(said, model(torch.tensor(faces)).numpy(), rtol=1e-4)


class Flat(torch.nn.Module):
    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return faces.flatten(1).float()
