"""Nets of runs as teachers: asked in each step about the very faces that the student sees, at their own side."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from mien.errors import RunError
from mien.labels import EXPRESSIONS
from mien.train import Recipe, train
from mien.train.inputs.batch import Batch
from mien.train.inputs.views import augment_pair
from mien.train.nets import FaceNet
from mien.train.recipe_toml import parse_recipe
from mien.train.run.epoch import EpochTrainer
from mien.train.run.trained_net import TorchTeachers, load_torch_teachers, load_trained_net
from mien.types import FaceSet
from support import ONE_THREAD, train_and_valid

SMALL = "[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nepochs = 2\nbatch = 32\nlr = 0.05\n"
TAUGHT = "[loss]\ndistill_weight = 0.6\ndistill_temperature = 2\n"


def recipe(*changes: str) -> Recipe:
    return parse_recipe(SMALL + TAUGHT, changes)


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return train_and_valid(100, 28)


@pytest.fixture(scope="module")
def teachers(faces: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two finished runs, at 48 and at 32 pixels."""
    folder = tmp_path_factory.mktemp("teachers")
    for side in (48, 32):
        learnt = recipe(f"optim.image_sizes=[[{side}, 1.0]]", f"seed={side}")
        list(train(learnt, faces, out=folder / str(side), hardware=ONE_THREAD))
    return [folder / "48", folder / "32"]


def named(teachers: list[Path]) -> str:
    return "loss.teachers=[" + ", ".join(f'"{each.as_posix()}"' for each in teachers) + "]"


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_teachers_are_asked_about_the_faces_of_the_batch(
    mix: str, faces: FaceSet, teachers: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An oracle draws each batch's faces again, at 48 pixels, and asks both nets by itself."""
    used = recipe(named(teachers), f'augment.mix="{mix}"', "augment.mix_prob=1", "optim.image_sizes=[[40, 1.0]]")
    steps: list[tuple[Batch, torch.Tensor]] = []
    real = EpochTrainer._backward  # noqa: SLF001  # the only place where a batch and its targets meet

    def backward(self: EpochTrainer, batch: Batch) -> torch.Tensor:
        steps.append((batch, self.objective.batch_targets(batch).teacher_probs))
        return real(self, batch)

    monkeypatch.setattr(EpochTrainer, "_backward", backward)
    list(train(used, faces, out=tmp_path / "run", hardware=ONE_THREAD))
    images = torch.from_numpy(faces.images[:100].copy())
    nets = [load_trained_net(folder) for folder in teachers]
    generator = torch.Generator().manual_seed(1_000_003)
    torch.randperm(100, generator=generator)  # the order of the first epoch
    batch, probs = steps[0]
    small, whole = augment_pair(images[batch.rows], used.augment, used.camera, side=40, generator=generator)
    if batch.mix is not None:
        small, whole = batch.mix.apply(small), batch.mix.apply(whole)
    assert torch.equal(batch.faces, small)
    with torch.no_grad():
        said = [
            torch.softmax(net.net(functional.interpolate(whole, size=net.side, mode="bilinear")), dim=1) for net in nets
        ]
    wanted = torch.sqrt((said[0] + said[1]) / 2)
    np.testing.assert_allclose(probs.numpy(), (wanted / wanted.sum(dim=1, keepdim=True)).numpy(), rtol=1e-4)
    assert len(steps) == 2 * 3


def test_a_broken_off_run_goes_on_with_its_teachers_alone(faces: FaceSet, teachers: list[Path], tmp_path: Path) -> None:
    used = recipe(named(teachers))
    list(train(used, faces, out=tmp_path / "whole", hardware=ONE_THREAD))
    next(iter(train(used, faces, out=tmp_path / "broken", hardware=ONE_THREAD)))
    list(train(used, faces, out=tmp_path / "broken", hardware=ONE_THREAD, resume=True))
    whole, broken = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[key], broken[key]) for key in whole)
    best = teachers[1] / "best.safetensors"
    before = best.read_bytes()
    best.write_bytes((teachers[0] / "best.safetensors").read_bytes())
    try:
        with pytest.raises(RunError, match="another teacher"):
            train(used, faces, out=tmp_path / "broken", hardware=ONE_THREAD, resume=True)
    finally:
        best.write_bytes(before)


def test_weights_of_teachers(teachers: list[Path]) -> None:
    both = load_torch_teachers(teachers, class_names=EXPRESSIONS, device=torch.device("cpu"))
    seen = torch.rand(4, 1, 48, 48) * 255
    alone = [
        load_torch_teachers([each], class_names=EXPRESSIONS, device=torch.device("cpu"))(seen) for each in teachers
    ]
    torch.testing.assert_close(both(seen), (alone[0] + alone[1]) / 2)
    both.weights = [0.25, 0.75]
    torch.testing.assert_close(both(seen), 0.25 * alone[0] + 0.75 * alone[1])


class Elsewhere(nn.Module):
    """A net on another device than the faces; its answers come from the CPU, since `meta` holds no numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, device="meta"))
        self.seen: list[str] = []

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Note where the faces are."""
        self.seen.append(faces.device.type)
        return torch.zeros(len(faces), 7)


def test_teachers_get_the_faces_where_they_are() -> None:
    net = Elsewhere()
    said = TorchTeachers([(cast("FaceNet", net), 48)], name="elsewhere")(torch.zeros(2, 1, 48, 48))
    assert net.seen == ["meta"]
    torch.testing.assert_close(said, torch.full((2, 7), 1 / 7))


def test_refusals(faces: FaceSet, teachers: list[Path], tmp_path: Path) -> None:
    for change, complaint in (
        (
            (named([*teachers, tmp_path / "none.onnx"]),),
            r"must be models alone or folders of runs alone, got .*none\.onnx",
        ),
        ((named([tmp_path]),), r"holds no run with a finished epoch"),
        ((named(teachers), "loss.teacher_views=2"), r"loss\.teacher_views needs models as teachers"),
    ):
        with pytest.raises(RunError, match=complaint):
            train(recipe(*change), faces, out=tmp_path / "run", hardware=ONE_THREAD)
    with pytest.raises(RunError, match=r"must tell yes, no, got one that tells angry"):
        load_torch_teachers(teachers, class_names=("yes", "no"), device=torch.device("cpu"))
