"""Grad-CAM of nets that look where it is known, of a trained net and of random ones, and from the command line."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import mien
from mien.evaluation.saliency import explain
from mien.train import NetClassifier, export, train
from mien.train.nets import FaceNet
from mien.train.nets.heads import Head
from mien.train.nets.normalise import Normalise
from mien.train.nets.plain import Cnn
from mien.train.recipe_toml import parse_recipe
from mien.types import FaceSet
from support import ONE_THREAD, drawn_faces, random_faces, run_mien, tiny_model

PATCH = 14  # pixels: the side of the marks that tell a class
RECIPE = """
[net]
name = "cnn"
widths = [8, 16]
[head]
dropout = 0.0
[augment]
flip_prob = 0.0
[optim]
name = "adamw"
epochs = 8
batch = 32
lr = 0.02
"""


def marked_faces(count: int, *, split: str, seed: int) -> tuple[FaceSet, NDArray[np.bool_]]:
    """Drawn faces with stripes or a check somewhere, whose kind is the class, and where it lies: (N, 48, 48) bool."""
    faces = drawn_faces(count, seed=seed, split=split)
    rng, (down, across) = np.random.default_rng(seed), np.indices((PATCH, PATCH))
    phases = (down / 2, across / 2, down // 4, across // 4, (down + across) // 3, (down - across) // 3, down + across)
    images, places = faces.images.copy(), np.zeros(faces.images.shape, bool)
    for image, place, label in zip(images, places, faces.labels.tolist(), strict=True):
        top, left = rng.integers(2, 48 - PATCH - 2, 2)
        area = slice(top, top + PATCH), slice(left, left + PATCH)
        image[area], place[area] = np.where(phases[label].astype(int) % 2, 230, 30), True
    return FaceSet(images, faces.labels, faces.splits, faces.ids), places


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a tiny net that has learnt to tell the marks."""
    folder = tmp_path_factory.mktemp("run") / "marks"
    faces = FaceSet.concatenate([marked_faces(n, split=s, seed=n)[0] for n, s in ((700, "train"), (70, "valid"))])
    epochs = list(train(parse_recipe(RECIPE), faces, out=folder, hardware=ONE_THREAD))
    assert max(epoch.valid_accuracy for epoch in epochs) > 0.8, epochs
    return folder


def quadrant_of(faces: Tensor, row: int, column: int) -> Tensor:
    """Zero all of faces but one quadrant."""
    kept = torch.zeros_like(faces)
    area = (..., slice(24 * row, 24 * row + 24), slice(24 * column, 24 * column + 24))
    kept[area] = faces[area]
    return kept


def quadrant_net(row: int, column: int) -> FaceNet:
    """A net that says disgust by the sharpness of one quadrant, and that sees nothing else."""
    net = FaceNet(Cnn(widths=(4,), batch_norm=False), Head(), Normalise(by="fixed"), classes=7)
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
        convolution = next(part for part in net.backbone.modules() if isinstance(part, nn.Conv2d))
        convolution.weight[:, 0] = torch.tensor([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]])
        assert isinstance(net.head.classifier, nn.Linear)
        net.head.classifier.weight[1] = 2.0
    net.normalise.register_forward_hook(lambda _module, _inputs, faces: quadrant_of(faces, row, column))
    return net


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_map_points_to_the_quadrant_that_decides(row: int, column: int) -> None:
    model = NetClassifier(quadrant_net(row, column), name="quadrant")
    found = explain(model, random_faces(1).images[0], expression="disgust", method="grad-cam")
    inside = found.map[24 * row : 24 * row + 24, 24 * column : 24 * column + 24]
    assert inside.clip(min=0).sum() > 0.9 * found.map.clip(min=0).sum() > 0
    assert found.is_meaningful, found.faithfulness


def test_the_map_of_a_trained_net_points_to_the_mark(run: Path) -> None:
    faces, places = marked_faces(28, split="test", seed=3)
    model = NetClassifier.load(run)
    right = np.flatnonzero(model(faces.images).top == faces.labels)
    assert len(right) > 20
    maps = [explain(model, faces.images[row], method="grad-cam") for row in right]
    peaks = [places[row].ravel()[found.map.argmax()] for row, found in zip(right, maps, strict=True)]
    assert np.mean(peaks) > 0.8
    assert np.mean([found.is_meaningful for found in maps]) > 0.6


def test_with_random_weights_a_net_has_another_map(run: Path) -> None:
    """The sanity check of Adebayo et al. (2018); a map that stayed would show the picture, not the model."""
    faces, _ = marked_faces(14, split="test", seed=4)
    trained = NetClassifier.load(run)
    assert _alike(trained, NetClassifier.load(run), faces) == pytest.approx(np.ones(14))
    for seed in (11, 12, 13):
        drawn = NetClassifier(parse_recipe(RECIPE, [f"seed={seed}"]).build_net(classes=7))
        assert abs(_alike(trained, drawn, faces).mean()) < 0.5, seed


def _alike(one: NetClassifier, other: NetClassifier, faces: FaceSet) -> NDArray[np.float64]:
    """Correlate the maps of two nets, each face's of its own class."""
    pairs = [
        [model.grad_cam(face, label).ravel() for model in (one, other)]
        for face, label in zip(faces.images, faces.labels.tolist(), strict=True)
    ]
    return np.array([np.corrcoef(one, other)[0, 1] for one, other in pairs])


@pytest.mark.parametrize(
    ("net", "stage"),
    [
        ("name='cnn'\nwidths=[4, 6]", 2),
        ("name='vgg'\nwidths=[2, 2, 2, 4, 4]\nconvolutions=1", 4),  # maps of 24, 12, 6, 3 and 1 pixels
        ("name='alexnet'", 3),
        ("name='swift'\nwidths=[4, 6]\nblocks=1", 2),
        ("name='resnet18'", 3),  # torchvision's stem: 12, 6, 3 and 2
        ("name='facenet29'", 3),  # 22, 11, 5 and 2
    ],
)
def test_each_net_has_the_map_of_the_paper(net: str, stage: int) -> None:
    """Equations 1 and 2 of Selvaraju et al. (2017) by hand, without the ReLU, on the last stage of large maps."""
    built = parse_recipe(f"[net]\n{net}\n").build_net(classes=7).eval()
    face = random_faces(1).images[0]
    maps = built.backbone(built.normalise(torch.tensor(face)[None, None].float()))
    (gradient,) = torch.autograd.grad(built.head(maps)[0, 2], maps[stage - 1])
    coarse = (gradient.mean(dim=(2, 3), keepdim=True) * maps[stage - 1]).sum(dim=1, keepdim=True)
    wanted = nn.functional.interpolate(coarse, size=(48, 48), mode="bilinear", align_corners=False)
    found = NetClassifier(built.requires_grad_(False)).grad_cam(face, 2)
    assert found == pytest.approx(wanted[0, 0].detach().numpy(), rel=1e-3, abs=1e-6)
    assert np.ptp(found) > 0


def test_the_net_answers_as_its_model_file_does(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "marks.onnx")
    faces, _ = marked_faces(40, split="test", seed=5)
    assert NetClassifier.load(run)(faces.images).probs == pytest.approx(
        mien.load(tmp_path / "marks.onnx")(faces.images).probs, abs=0.01
    )
    assert len(NetClassifier.load(run)(faces.images[:0])) == 0
    assert repr(NetClassifier.load(run)).startswith("<NetClassifier marks: angry, disgust")


def test_the_command_explains_the_net_of_a_run(run: Path, tmp_path: Path) -> None:
    faces, places = marked_faces(1, split="test", seed=6)
    crop = tmp_path / "crop.png"
    Image.fromarray(faces.images[0]).save(crop)
    words = ("explain", crop, "--cropped", "-m", run, "--threads", "1", "--expression", "angry")
    said = run_mien(*words, "--method", "grad-cam", "--json", "--draw", tmp_path / "why.png")
    assert (said.code, said.err) == (0, f"wrote {tmp_path / 'why.png'}\n")
    found = json.loads(said.out)
    assert (found["method"], found["model"], found["expression"]) == ("grad-cam", "marks", "angry")
    assert places[0].ravel()[np.argmax(found["map"])]
    with Image.open(tmp_path / "why.png") as drawn:
        assert min(drawn.size) > 400
    other = run_mien(*words, "--method", "occlusion", "--tta", "mirror", "--json")
    assert json.loads(other.out)["model"] == "marks mirrored"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "RUN", "--tta", "mirror"), "grad-cam needs the gradients of one net, and marks mirrored"),
        (("-m", "tiny.onnx"), "tiny gives answers alone: take the method rise or occlusion, or name the"),
        (("-m", "RUN", "-m", "tiny.onnx"), "the folder of a run goes without several models"),
        (("-m", "RUN", "--prior", "uniform"), "goes without --prior; make it a model file with: mien export"),
        (("-m", "RUN", "--device", "cuda"), "goes without --device cuda"),
        (("-m", "empty"), "empty holds no run with a finished epoch; make one with: mien train"),
    ],
)
def test_what_has_no_gradients_is_refused(
    words: tuple[str, ...], said: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_model(Path("tiny.onnx"))
    Path("empty").mkdir()
    Image.fromarray(random_faces(1).images[0]).save("crop.png")
    named = [str(run) if word == "RUN" else word for word in words]
    outcome = run_mien("explain", "crop.png", "--cropped", "--method", "grad-cam", *named)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert said in outcome.err


def test_without_captum_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mien.train.grad_cam", "mien.train.net_classifier"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "captum", None)
    Image.fromarray(random_faces(1).images[0]).save(tmp_path / "crop.png")
    said = run_mien("explain", tmp_path / "crop.png", "--cropped", "-m", tmp_path)
    assert said.code == 1
    assert said.err.startswith("mien: Grad-CAM needs more packages; install them with: ")
