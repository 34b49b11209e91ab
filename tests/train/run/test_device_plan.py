"""What a GPU is spared: no waiting for it within an epoch, its own faces and targets, few checkpoints.

The same code runs here on the processor by a GPU's plan, and on tensors that only claim to be on a GPU.
"""

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.overrides import TorchFunctionMode

from mien.train import Run, train
from mien.train.inputs import mixup
from mien.train.inputs.batch import draw_batches
from mien.train.loss.losses import Targets
from mien.train.loss.objective import Objective
from mien.train.optim.optimizers import make_optimizer
from mien.train.optim.weight_average import WeightAverage
from mien.train.recipe_toml import parse_recipe
from mien.train.run.checkpoint import Epoch, load_checkpoint
from mien.train.run.device_plan import DevicePlan
from mien.types import FaceSet
from support import ONE_THREAD, train_and_valid

SMALL = """
[net]
widths = [4, 8]
blocks = 1
[loss]
aux_ferplus_weight = 0.5
[optim]
epochs = 3
batch = 16
lr = 0.05
image_sizes = [[32, 1.0]]
"""
CAMERA = "".join(
    f"{name} = 0.5\n"
    for name in (
        "uneven_light_prob",
        "gamma",
        "cover_prob",
        "blur_prob",
        "low_resolution_prob",
        "noise_prob",
        "jpeg_prob",
    )
)
READS = {"item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__", "nonzero", "is_nonzero"}
LIKE_A_GPU = DevicePlan(torch.device("cpu"), steps_at_once=4, check_steps=False, save_seconds=1e9)


class CountReads(TorchFunctionMode):
    """Counts what waits for a device: reading numbers, and finding out how many there are."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in READS:
            self.reads.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def faces() -> FaceSet:
    plain = train_and_valid(200, 28)
    votes = np.random.default_rng(1).integers(0, 5, (len(plain), 10)).astype(np.float32)
    return dataclasses.replace(plain, votes=votes)


def by_plan(plan: DevicePlan, faces: FaceSet, out: Path, *changes: str, resume: bool = False) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mien.train.run.trainer.plan_for", lambda _fabric, **_settings: plan)
        return train(parse_recipe(SMALL, changes), faces, out=out, hardware=ONE_THREAD, resume=resume)


def test_an_epoch_reads_its_losses_once(faces: FaceSet, tmp_path: Path) -> None:
    """However many steps it has; by the processor's plan each step is read. Adam's step counts lie beside the GPU."""
    counts = {}
    for name, plan in (("gpu", LIKE_A_GPU), ("cpu", DevicePlan(torch.device("cpu")))):
        for batch in (16, 50):
            changes = (f"optim.batch={batch}", 'augment.mix="none"')
            run = by_plan(plan, faces, tmp_path / f"{name}-{batch}", *changes)
            with CountReads() as counted:
                run.trainer.train(0, 32, accuracies=[], on_step=None)
            counts[name, batch] = counted.reads
    for batch, steps in ((16, 12), (50, 4)):
        assert counts["gpu", batch] == ["tolist"]
        assert counts["cpu", batch].count("item") == steps


def test_several_steps_at_once_learn_as_well(faces: FaceSet, tmp_path: Path) -> None:
    """Their random numbers come in another order, so that the numbers are others."""
    still = [f"augment.{name}=0" for name in ("flip_prob", "shift_pixels", "rotate_degrees", "scale", "contrast")]
    changes = (*still, "augment.erase_prob=0", "head.dropout=0")
    both = [
        list(by_plan(plan, faces, tmp_path / name, *changes))
        for name, plan in (("gpu", LIKE_A_GPU), ("cpu", DevicePlan(torch.device("cpu"))))
    ]
    assert [epoch.train_loss for epoch in both[0]] == [epoch.train_loss for epoch in both[1]]
    augmented = list(by_plan(LIKE_A_GPU, faces, tmp_path / "augmented", 'augment.mix="cutmix"'))
    assert augmented[-1].train_loss < augmented[0].train_loss


def test_a_run_tells_which_epochs_are_on_disk(faces: FaceSet, tmp_path: Path) -> None:
    """An interrupt within an epoch loses those that are not saved; between two epochs it loses none."""

    def interrupt(_epochs: float, _loss: float, _pace: float) -> None:
        raise KeyboardInterrupt

    run = by_plan(LIKE_A_GPU, faces, tmp_path / "within")
    epochs = iter(run)
    next(epochs)
    run.on_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        next(epochs)
    assert (len(run.epochs), run.saved_count) == (1, 0)
    assert not (tmp_path / "within" / "last.safetensors").exists()
    run = by_plan(LIKE_A_GPU, faces, tmp_path / "between")
    epochs = cast("Generator[Epoch]", iter(run))
    next(epochs)
    epochs.close()
    assert (len(run.epochs), run.saved_count) == (1, 1)
    assert by_plan(LIKE_A_GPU, faces, tmp_path / "between", resume=True).saved_count == 1


def test_the_best_epoch_is_on_disk_although_few_are_saved(
    faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is the best, is not saved when it is done, and is not what training made of its tensors since."""
    run = by_plan(LIKE_A_GPU, faces, tmp_path / "run")
    judged = iter([0.9, 0.5, 0.6])
    monkeypatch.setattr(run.trainer, "validate", lambda _index, _side: (1.0, next(judged)))
    epochs = iter(run)
    next(epochs)
    wanted = {name: tensor.clone() for name, tensor in run.state.tensors().items() if name.startswith("average.")}
    assert not (tmp_path / "run" / "last.safetensors").exists()
    assert len(list(epochs)) == 2
    best = load_file(tmp_path / "run" / "best.safetensors")
    assert all(torch.equal(best[name], wanted[name]) for name in wanted)
    assert [len(load_checkpoint(tmp_path / "run" / f"{name}.safetensors").epochs) for name in ("best", "last")] == [
        1,
        3,
    ]


def test_a_run_that_is_broken_off_is_saved_and_goes_on(faces: FaceSet, tmp_path: Path) -> None:
    list(by_plan(LIKE_A_GPU, faces, tmp_path / "whole"))
    for epoch in by_plan(LIKE_A_GPU, faces, tmp_path / "broken"):
        if epoch.number == 2:
            break
    assert (tmp_path / "broken" / "metrics.csv").exists()
    rest = list(by_plan(LIKE_A_GPU, faces, tmp_path / "broken", resume=True))
    assert [epoch.number for epoch in rest] == [3]
    whole, broken = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


META = torch.device("meta")  # has shapes and devices and no numbers: a GPU whose numbers cannot be read


class MetaGenerator(torch.Generator):
    """A generator that claims to be a device's."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return META

    def get_offset(self) -> int:
        return 4


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_steps_stay_on_a_device_whose_numbers_cannot_be_read(
    mix: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a number of a meta tensor raises, as does computing with it and a processor's tensor together."""
    text = SMALL + f'[augment]\nmix = "{mix}"\npad_crop_prob = 0.5\nbrightness = 0.1\n[camera]\n{CAMERA}'
    recipe = parse_recipe(text, (f'optim.name="{optimizer}"',))
    # torch knows no such draw for meta tensors
    monkeypatch.setattr(mixup, "draw_beta_by_torch", lambda _alpha, count, _generator: torch.rand(count, device=META))
    net, average = (recipe.build_net(classes=7).to(META) for _ in range(2))
    shapes = [(64, 7), (64,), (64, 0), (64, 10)]
    targets = Targets(recipe.loss, *(torch.empty(shape, device=META) for shape in shapes))
    labels = torch.zeros(64, dtype=torch.int64)
    names = tuple("abcdefg")
    objective = Objective(recipe.loss, labels=labels, targets=targets, batch=16, class_names=names).to(META)
    made = draw_batches(
        torch.empty(64, 48, 48, dtype=torch.uint8, device=META),
        objective.draw_order(torch.Generator()).to(META),
        recipe.augment,
        side=40,
        generator=MetaGenerator(),
        camera=recipe.camera,
        steps_at_once=2,
        teacher=lambda seen: torch.softmax(seen.mean(dim=(2, 3)).expand(-1, 7), dim=1),
    )
    moving, averaging = make_optimizer(net, recipe.optim), WeightAverage(average, net)
    losses = []
    for batch in made:
        assert batch.faces.shape == (16, 1, 40, 40)
        loss = objective.loss(net(batch.faces), objective.batch_targets(batch), net)
        loss.backward()
        moving.step()
        moving.zero_grad()
        averaging.update(0.9)
        losses.append(loss.detach())
    assert len(losses) == 4
    with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
        losses[0].item()
