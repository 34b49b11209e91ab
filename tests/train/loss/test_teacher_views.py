"""Teachers' answers to views of the faces: asked once, kept in a file, taught with the very view asked about."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from mien.errors import RecipeError, RunError
from mien.labels import EXPRESSIONS
from mien.train import Recipe, train
from mien.train.inputs.views import make_view
from mien.train.recipe_toml import parse_recipe
from mien.train.run.epoch import EpochTrainer
from mien.types import Scores
from support import ONE_THREAD, run_mien, tiny_model, train_and_valid

FACES = train_and_valid(300, 28)
SMALL = """
[net]
widths = [4, 8]
blocks = 1
[loss]
teacher_views = 2
distill_weight = 0.7
distill_temperature = 2
[optim]
epochs = 5
batch = 64
lr = 0.05
image_sizes = [[32, 1.0]]
"""


class Pixels:
    """A teacher that answers by the sums of seven bands of a face, and counts the faces that it is asked about."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight, self.seen = weight, 0

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        self.seen += len(images)
        bands = images[:, :, :42].reshape(len(images), 48, 7, 6).mean(axis=(1, 3)) / 60
        powers = np.exp(self.weight * bands)
        return Scores((powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), EXPRESSIONS[::-1])


def recipe(*changes: str) -> Recipe:
    return parse_recipe(SMALL, changes)


def probs_in(folder: Path) -> NDArray[np.float16]:
    with np.load(folder / "teacher-views.npz", allow_pickle=False) as archive:
        return np.asarray(archive["probs"])


def test_each_epoch_is_taught_the_answers_to_its_own_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An oracle makes each view again and asks the teacher itself; the student's faces are that view at its side."""
    used = recipe()
    steps: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    real = EpochTrainer._backward  # noqa: SLF001  # the only place where a batch and its targets meet

    def backward(self: EpochTrainer, batch: object) -> torch.Tensor:
        steps.append((batch.faces, batch.rows, self.objective.targets[batch.rows].teacher_probs))  # type: ignore[attr-defined]
        return real(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(EpochTrainer, "_backward", backward)
    teacher = Pixels()
    list(train(used, FACES, out=tmp_path / "run", hardware=ONE_THREAD, teacher=teacher))
    assert teacher.seen == 256 + 2 * 300  # the first, to know which teacher it is
    images = torch.from_numpy(FACES.images[:300].copy())
    assert len(steps) == 5 * 4
    for number, (faces, rows, probs) in enumerate(steps):
        view = number // 4 % 2
        seen, asked = (
            make_view(images, used.augment, used.camera, seed=1, view=view, side=side)[rows] for side in (32, 48)
        )
        assert torch.equal(faces, seen.float().unsqueeze(1))
        said = np.sqrt(Pixels()(asked.numpy()).probs[:, ::-1])
        np.testing.assert_allclose(probs, said / said.sum(axis=1, keepdims=True), rtol=2e-3)


def test_a_broken_off_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx", seed=1, sharp=4)
    named = recipe(f'loss.teachers=["{model.as_posix()}"]')
    list(train(named, FACES, out=tmp_path / "whole", hardware=ONE_THREAD))
    for epoch in train(named, FACES, out=tmp_path / "broken", hardware=ONE_THREAD):
        if epoch.number == 3:
            break
    list(train(named, FACES, out=tmp_path / "broken", hardware=ONE_THREAD, resume=True))
    whole, broken = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[key], broken[key]) for key in whole)
    assert (tmp_path / "whole/teacher-views.npz").read_bytes() == (tmp_path / "broken/teacher-views.npz").read_bytes()


class StoppedError(Exception):
    """Stands for a kill in the middle of the asking."""


def test_the_asking_is_resumed_where_it_stopped(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        assert total == 600
        if done > 300:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(recipe(), FACES, out=tmp_path / "run", hardware=ONE_THREAD, teacher=Pixels(), progress=stop)
    assert len(probs_in(tmp_path / "run")) == 1
    again = Pixels()
    train(recipe(), FACES, out=tmp_path / "run", hardware=ONE_THREAD, teacher=again)
    assert again.seen == 256 + 300
    train(recipe(), FACES, out=tmp_path / "whole", hardware=ONE_THREAD, teacher=Pixels())
    assert np.array_equal(probs_in(tmp_path / "run"), probs_in(tmp_path / "whole"))


def test_no_more_views_are_asked_about_than_epochs_need(tmp_path: Path) -> None:
    """A run that is lengthened asks about more, and ends with the bits of one that was as long from the start."""
    steady = ("loss.teacher_views=3", 'optim.schedule="constant"', "optim.warmup=0")
    for name, epochs in (("grown", 2), ("grown", 4), ("whole", 4)):
        longer = recipe(*steady, f"optim.epochs={epochs}")
        list(train(longer, FACES, out=tmp_path / name, hardware=ONE_THREAD, teacher=Pixels(), resume=True))
        assert len(probs_in(tmp_path / name)) == min(3, epochs)
    grown, whole = (load_file(tmp_path / name / "last.safetensors") for name in ("grown", "whole"))
    assert all(torch.equal(whole[key], grown[key]) for key in whole)


@pytest.mark.parametrize("change", ["seed=2", "augment.shift_pixels=1", "camera.noise_prob=0.5"])
def test_a_file_of_other_answers_is_refused(tmp_path: Path, change: str) -> None:
    train(recipe(), FACES, out=tmp_path / "run", hardware=ONE_THREAD, teacher=Pixels())
    file = tmp_path / "run" / "teacher-views.npz"
    (tmp_path / "next").mkdir()
    file.rename(tmp_path / "next" / file.name)
    spared = Pixels()  # another net may learn from the same file
    train(recipe("net.widths=[8, 8]"), FACES, out=tmp_path / "next", hardware=ONE_THREAD, teacher=spared)
    assert spared.seen == 256
    (tmp_path / "other").mkdir()
    (tmp_path / "next" / file.name).rename(tmp_path / "other" / file.name)
    for used, faces, teacher in (
        (recipe(change), FACES, Pixels()),
        (recipe(), FACES, Pixels(weight=2)),
        (recipe(), FACES[1:], Pixels()),
    ):
        with pytest.raises(RunError, match=r"teacher-views\.npz has the answers of another teacher, or to other views"):
            train(used, faces, out=tmp_path / "other", hardware=ONE_THREAD, teacher=teacher)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    train(recipe(), FACES, out=tmp_path, hardware=ONE_THREAD, teacher=Pixels())
    file = tmp_path / "teacher-views.npz"
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", whole[:3000] + bytes(8) + whole[3008:]):
        file.write_bytes(content)
        with pytest.raises(
            RunError, match=r"teacher-views\.npz.*: delete it, and the teacher is asked anew$"
        ) as caught:
            train(recipe(), FACES, out=tmp_path, hardware=ONE_THREAD, teacher=Pixels(), resume=True)
        assert len(str(caught.value).splitlines()) == 1


def test_what_views_do_not_go_with() -> None:
    with pytest.raises(RecipeError, match=r"loss\.teacher_views needs augment\.mix = none, got 'mixup'"):
        recipe('augment.mix="mixup"')
    with pytest.raises(RecipeError, match=r"loss\.label_posterior needs loss\.teacher_views = 0, got 2"):
        recipe("loss.label_posterior=true")
    with pytest.raises(RecipeError, match=r"loss\.teacher_views must be in \[0, 1000\], got -1"):
        recipe("loss.teacher_views=-1")


def test_the_command_line_asks_and_trains(tmp_path: Path) -> None:
    from mien.data.formats.npz import save_faces

    votes = np.random.default_rng(1).integers(0, 5, (len(FACES), 10)).astype(np.float32)
    save_faces(dataclasses.replace(FACES, votes=votes), tmp_path / "faces.npz")
    model = tiny_model(tmp_path / "m.onnx", seed=1)
    people = '\nquestion = "ferplus"\naux_ferplus_weight = 1.0\n'
    text = SMALL.replace("[loss]\n", f'[loss]{people}teachers = ["{model.as_posix()}"]\n')
    (tmp_path / "recipe.toml").write_text(text)
    command = ("train", tmp_path / "recipe.toml", "--faces", tmp_path / "faces.npz", "-o", tmp_path / "run")
    ended = run_mien(*command, "--threads", "1", "--accelerator", "cpu")
    assert (ended.code, ended.out.startswith(str(tmp_path / "run"))) == (0, True), ended.err
    assert probs_in(tmp_path / "run").shape == (2, 300, 7)
    assert "epoch   5" in ended.err
