"""Prototypes: episodes as in the paper, centres that are means, and what refuses them."""

import dataclasses
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mien.classify.onnx import OnnxClassifier
from mien.data.formats.npz import save_faces
from mien.errors import RecipeError, RunError
from mien.labels import EXPRESSIONS
from mien.train import Recipe, export, train
from mien.train.loss.prototypes import (
    check_episodes,
    draw_episodes,
    episode_logits,
    prototype_layer,
    set_centres,
    take_queries,
    use_prototypes,
)
from mien.train.loss.settings import Loss
from mien.train.nets.heads import Prototypes
from mien.train.onnx_export.export import load_inference_model
from mien.train.recipe_toml import parse_recipe
from mien.types import FaceSet
from support import ONE_THREAD, random_faces, run_mien, train_and_valid

EPISODES = Loss(kind="prototypical", support=2, queries=3)
RECIPE = """
[net]
name = "cnn"
widths = [8, 8]
[head]
hidden = [16]
classifier = "euclidean"
[loss]
kind = "prototypical"
support = 2
queries = 3
[optim]
epochs = 3
lr = 0.01
ema = 0.5
image_sizes = [[16, 1.0]]
"""


def order(labels: torch.Tensor, *, seed: int = 0, loss: Loss = EPISODES) -> torch.Tensor:
    return draw_episodes(labels, loss, classes=7, generator=torch.Generator().manual_seed(seed))


def uneven() -> torch.Tensor:
    """Labels of 12, 5, 40, ... faces, mixed."""
    counts = torch.tensor([12, 5, 40, 33, 21, 9, 30])
    return torch.repeat_interleave(torch.arange(7), counts)[torch.randperm(150, generator=torch.Generator())]


def test_an_episode_has_each_class_in_turn_and_no_face_twice() -> None:
    labels = uneven()
    made = order(labels)
    assert made.shape == (150 // 35, 35)
    for episode in made:
        assert labels[episode].tolist() == [label for label in range(7) for _ in range(5)]
        assert len(episode.unique()) == 35


def test_a_class_goes_through_its_faces_before_any_comes_again() -> None:
    labels = uneven()
    made = order(labels)
    faces = made[:, 10:15].flatten()  # of the third class, which has enough for all episodes
    assert len(faces.unique()) == len(faces)
    twelve = made[:2, :5].flatten()  # of the first class: two episodes a round
    assert len(twelve.unique()) == 10


def test_episodes_come_from_the_seed() -> None:
    assert torch.equal(order(uneven(), seed=3), order(uneven(), seed=3))
    assert not torch.equal(order(uneven(), seed=3), order(uneven(), seed=4))


def test_too_few_faces_of_a_class() -> None:
    with pytest.raises(RunError, match="must be at most the 5 train faces of disgust, got 6"):
        check_episodes(uneven(), dataclasses.replace(EPISODES, queries=4), class_names=EXPRESSIONS)
    check_episodes(uneven(), EPISODES, class_names=EXPRESSIONS)


def test_an_episodes_logits_are_the_papers() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(35, 4)).astype(np.float32)
    layer = Prototypes("euclidean", features=4, classes=7, scale=1.0)
    made = episode_logits(torch.from_numpy(features), layer, EPISODES)
    wanted = []
    for label in range(7):
        for query in features[5 * label + 2 : 5 * label + 5]:
            centres = [features[5 * each : 5 * each + 2].mean(axis=0) for each in range(7)]
            wanted.append([-np.sum((query - centre) ** 2) for centre in centres])
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-4)
    assert take_queries(torch.arange(35), EPISODES)[:4].tolist() == [2, 3, 4, 7]


def test_centres_are_the_mean_features() -> None:
    net = parse_recipe(RECIPE).build_net(classes=7).eval()
    faces = random_faces(300, labels=np.arange(300) % 7)
    images, labels = torch.tensor(faces.images), torch.tensor(faces.labels)
    set_centres(net, images, labels, side=48, class_names=EXPRESSIONS)
    with torch.no_grad():
        features = net.features(images.unsqueeze(1).float()).numpy()
    wanted = [features[faces.labels == label].mean(axis=0) for label in range(7)]
    np.testing.assert_allclose(prototype_layer(net).centres, wanted, rtol=1e-3, atol=1e-4)


def test_centres_are_numbers_even_of_a_net_that_explodes() -> None:
    net = parse_recipe(RECIPE).build_net(classes=7).eval()
    stages: Any = net.backbone.stages
    for layer in (stages[0][0], stages[1][0]):
        layer.weight.data.mul_(1e4)
    images = torch.tensor(random_faces(7).images)
    set_centres(net, images, torch.arange(7), side=48, class_names=EXPRESSIONS)
    assert prototype_layer(net).centres.isfinite().all()
    assert net.features(images.unsqueeze(1).float()).max() > 1e5  # more than half precision holds


def test_a_class_without_a_face_has_no_centre() -> None:
    net = parse_recipe(RECIPE).build_net(classes=7).eval()
    images = torch.zeros(6, 48, 48, dtype=torch.uint8)
    with pytest.raises(RunError, match="1 or more train faces of it, got none of surprise"):
        set_centres(net, images, torch.tensor([0, 1, 2, 3, 4, 6]), side=48, class_names=EXPRESSIONS)


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return train_and_valid(105, 35)


def test_prototypes_need_valid_faces(faces: FaceSet) -> None:
    net = Recipe().build_net(classes=7)
    with pytest.raises(RunError, match="need labelled valid faces, to choose their scale by, got none"):
        use_prototypes(net, "cosine", faces[faces.splits == "train"], side=48, class_names=EXPRESSIONS)


@pytest.fixture(scope="module")
def run(faces: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "episodes"
    list(train(parse_recipe(RECIPE), faces, out=out, hardware=ONE_THREAD))
    return out


def test_it_learns_by_episodes(faces: FaceSet, tmp_path: Path) -> None:
    still = [f"augment.{name}=0" for name in ("flip_prob", "shift_pixels", "rotate_degrees", "scale", "erase_prob")]
    changes = [*still, "optim.epochs=8", "optim.lr=0.1", "loss.smoothing=0", "head.dropout=0"]
    epochs = list(train(parse_recipe(RECIPE, changes), faces, out=tmp_path / "run", hardware=ONE_THREAD))
    assert epochs[-1].train_loss < 0.5 * epochs[0].train_loss
    assert epochs[-1].valid_accuracy > 0.9


def test_validation_is_by_the_prototypes_in_the_file(faces: FaceSet, run: Path) -> None:
    model, card = load_inference_model(run, name="x")
    assert prototype_layer(model.net).centres.abs().sum() > 0
    valid = faces[faces.splits == "valid"]
    with torch.no_grad():
        top = model(torch.tensor(valid.images)).argmax(dim=1).numpy()
    assert np.mean(top == valid.labels) == pytest.approx(card.scores["valid_accuracy"])


def test_a_broken_off_run_goes_on_to_the_same_bits(faces: FaceSet, run: Path, tmp_path: Path) -> None:
    for epoch in train(parse_recipe(RECIPE), faces, out=tmp_path / "broken", hardware=ONE_THREAD):
        if epoch.number == 1:
            break
    list(train(parse_recipe(RECIPE), faces, out=tmp_path / "broken", resume=True, hardware=ONE_THREAD))
    ours, theirs = load_file(run / "last.safetensors"), load_file(tmp_path / "broken" / "last.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_net_of_prototypes_is_exported(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "m.onnx")
    images = random_faces(9).images
    with torch.no_grad():
        ours = load_inference_model(run, name="m")[0](torch.tensor(images)).numpy()
    np.testing.assert_allclose(OnnxClassifier(tmp_path / "m.onnx")(images).probs, ours, atol=1e-3)


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
def test_prototypes_after_training_are_exported(
    faces: FaceSet, run: Path, tmp_path: Path, kind: Literal["euclidean", "cosine"]
) -> None:
    card = export(run, tmp_path / "m.onnx", note="A test.", faces=faces, prototypes=kind)
    assert card.note.startswith("A test. Instead of the recipe's last layer: ")
    model, _ = load_inference_model(run, name="m")
    use_prototypes(model.net, kind, faces, side=model.side, class_names=EXPRESSIONS)
    images = random_faces(9).images
    with torch.no_grad():
        ours = model(torch.tensor(images)).numpy()
    np.testing.assert_allclose(OnnxClassifier(tmp_path / "m.onnx")(images).probs, ours, atol=1e-3)


def test_a_run_with_too_few_faces_of_a_class_leaves_nothing(faces: FaceSet, tmp_path: Path) -> None:
    angry = np.flatnonzero((faces.labels == 0) & (faces.splits == "train"))
    few = dataclasses.replace(faces, labels=np.where(np.isin(np.arange(len(faces)), angry[4:]), 3, faces.labels))
    with pytest.raises(RunError, match=r"loss\.support \+ loss\.queries must be at most the 4 train faces of angry"):
        train(parse_recipe(RECIPE), few, out=tmp_path / "run", hardware=ONE_THREAD)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
def test_prototypes_take_the_place_of_an_ordinary_last_layer(
    faces: FaceSet, tmp_path: Path, kind: Literal["euclidean", "cosine"]
) -> None:
    """By the command, and judged by class means of features that are worked out here."""
    (tmp_path / "r.toml").write_text("[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nepochs = 2\nbatch = 16\n")
    save_faces(faces, tmp_path / "f.npz")
    out, model = tmp_path / "run", tmp_path / "m.onnx"
    assert run_mien("train", tmp_path / "r.toml", "--faces", tmp_path / "f.npz", "-o", out).code == 0
    ended = run_mien("export", out, "-o", model, "--prototypes", kind, "--faces", tmp_path / "f.npz")
    assert ended.code == 0, ended.err
    net = load_inference_model(out, name="m")[0].net.eval()
    with torch.no_grad():
        features = net.features(torch.tensor(faces.images).unsqueeze(1).float()).numpy()
    known = faces.splits == "train"
    centres = np.stack([features[known & (faces.labels == label)].mean(axis=0) for label in range(7)])
    if kind == "euclidean":
        nearness = -((features[:, None] - centres) ** 2).sum(axis=2)
    else:
        unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (features, centres)]
        nearness = unit[0] @ unit[1].T
    says = OnnxClassifier(model)
    told = re.search(r", times ([\d.e+-]+)\.$", says.card.note)
    assert told
    wanted = torch.softmax(torch.from_numpy(nearness * float(told[1])), dim=1).numpy()
    assert np.abs(says(faces.images).probs - wanted).mean() < 0.01  # the file's weights have half precision


def test_prototypes_of_other_faces_say_so(faces: FaceSet, run: Path, tmp_path: Path) -> None:
    own = export(run, tmp_path / "m.onnx", faces=faces, prototypes="cosine")
    other = export(run, tmp_path / "m.onnx", faces=faces[1:], prototypes="cosine")
    assert own.measured_on == own.faces_hash == faces.hash
    assert (other.measured_on, other.faces_hash) == (faces[1:].hash, faces.hash)
    assert f"train faces among {faces[1:].hash[:12]}, times" in other.note


def test_prototypes_after_training_need_faces(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="add --faces FACES"):
        export(run, tmp_path / "m.onnx", prototypes="cosine")
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ('head.classifier="linear"', "a prototypical loss needs head.classifier = euclidean or cosine, got 'linear'"),
        (
            'loss.kind="cross-entropy"',
            "other than linear needs loss.kind = prototypical, got 'euclidean'",
        ),
        ("loss.aux_ferplus_weight=0.5", "a prototypical loss needs loss.aux_ferplus_weight = 0, got 0.5"),
        ('augment.mix="mixup"', "a prototypical loss needs augment.mix = none, got 'mixup'"),
    ],
)
def test_what_does_not_go_with_prototypes(change: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        parse_recipe(RECIPE, [change])


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
def test_few_bits_mix_no_classes_up(kind: Literal["euclidean", "cosine"]) -> None:
    head = Prototypes(kind, features=64, classes=7, scale=1.0)
    generator = torch.Generator().manual_seed(0)
    centres = 100 + torch.randn(7, 64, generator=generator)
    features = 100 + torch.randn(200, 64, generator=generator)
    exact = head.nearness(features, centres)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head.nearness(features, centres), exact)
