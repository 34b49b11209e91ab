"""Distillation: what a teacher says, of which faces, in whose order, and which teacher it was."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

import mien
from mien.data.scores_file import FaceScores, save_scores
from mien.errors import ModelError, RunError
from mien.labels import EXPRESSIONS
from mien.train import train
from mien.train.loss.distillation import Teacher, ask_teacher, load_teacher
from mien.train.loss.soft_labels import label_posterior
from mien.train.recipe_toml import parse_recipe
from mien.types import FaceSet, Scores
from support import ONE_THREAD, random_faces, tiny_model, train_and_valid

FACES = random_faces(300)
IMAGES = FACES.images


class LeftHalf:
    """A teacher that looks at the left half of a face alone; its classes are in an order of its own."""

    names = EXPRESSIONS[::-1]

    def __init__(self, weight: float = 1.0) -> None:
        self.weight, self.seen = weight, 0

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        self.seen += len(images)
        left = images[:, :, :24].mean(axis=(1, 2)) / 255
        logits = self.weight * left[:, None] * np.arange(7)
        powers = np.exp(logits)
        return Scores((powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), self.names)


def model_named(*names: str) -> mien.Classifier:
    teacher = load_teacher(names)
    assert not isinstance(teacher, FaceScores)
    return teacher


def test_the_mean_of_face_and_mirror_image_in_the_nets_order() -> None:
    teacher = LeftHalf()
    heard = ask_teacher(teacher, FACES, class_names=EXPRESSIONS)
    wanted = (teacher(IMAGES).probs + teacher(IMAGES[:, :, ::-1]).probs)[:, ::-1] / 2
    np.testing.assert_allclose(heard.probs, wanted, rtol=1e-6)


def test_progress_reaches_the_end() -> None:
    calls: list[tuple[int, int]] = []
    ask_teacher(LeftHalf(), FACES, class_names=EXPRESSIONS, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(256, 300), (300, 300)]


def test_several_models_are_averaged(tmp_path: Path) -> None:
    files = [str(tiny_model(tmp_path / f"{seed}.onnx", seed=seed)) for seed in (1, 2)]
    both = model_named(*files)(IMAGES).probs
    np.testing.assert_allclose(both, (mien.load(files[0])(IMAGES).probs + mien.load(files[1])(IMAGES).probs) / 2)
    assert np.array_equal(model_named(files[0])(IMAGES).probs, mien.load(files[0])(IMAGES).probs)


def test_a_model_teaches_by_the_prior_that_it_learnt() -> None:
    learnt = mien.load("swift", prior="ferplus")(IMAGES[:8]).probs
    np.testing.assert_array_equal(model_named("swift")(IMAGES[:8]).probs, learnt)
    assert abs(learnt - mien.load("swift")(IMAGES[:8]).probs).max() > 0.01


def test_which_teacher_it_was(tmp_path: Path) -> None:
    """By the file's content, wherever it lies; by what it says, where there is no file."""

    def which(teacher: Teacher) -> str:
        return ask_teacher(teacher, FACES[:3], class_names=EXPRESSIONS).teacher

    one, same = (load_teacher([str(tiny_model(tmp_path / name, seed=1))]) for name in ("a.onnx", "b.onnx"))
    other = load_teacher([str(tiny_model(tmp_path / "c.onnx", seed=2))])
    assert which(one) == which(same) != which(other)
    assert which(LeftHalf()) == which(LeftHalf()) != which(LeftHalf(weight=2))


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path) -> None:
    path = tiny_model(tmp_path / "two.onnx", class_names=("yes", "no"), name="two")
    with pytest.raises(RunError, match=r"the teacher two must tell angry, .*got one that tells yes, no"):
        ask_teacher(load_teacher([str(path)]), FACES, class_names=EXPRESSIONS)


SMALL = """
[net]
widths = [4, 8, 8, 8]
blocks = 1
[loss]
distill_weight = 0.7
distill_temperature = 2
[optim]
epochs = 3
batch = 16
lr = 0.05
image_sizes = [[32, 1.0]]
"""


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "last.safetensors")


def test_a_run_is_taught_and_goes_on_with_its_teacher_alone(tmp_path: Path) -> None:
    faces, model = train_and_valid(70, 28), tiny_model(tmp_path / "m.onnx", seed=1)
    recipe = parse_recipe(SMALL, (f'loss.teachers=["{model.as_posix()}"]',))
    list(train(recipe, faces, out=tmp_path / "whole", hardware=ONE_THREAD))
    next(iter(train(recipe, faces, out=tmp_path / "broken", hardware=ONE_THREAD)))
    model.unlink()
    with pytest.raises(ModelError, match=r"m\.onnx"):
        train(recipe, faces, out=tmp_path / "broken", hardware=ONE_THREAD, resume=True)
    tiny_model(model, seed=2)
    with pytest.raises(RunError, match="another teacher"):
        train(recipe, faces, out=tmp_path / "broken", hardware=ONE_THREAD, resume=True)
    tiny_model(model, seed=1)
    list(train(recipe, faces, out=tmp_path / "broken", hardware=ONE_THREAD, resume=True))
    list(train(parse_recipe(SMALL), faces, out=tmp_path / "untaught", hardware=ONE_THREAD))
    whole, broken, untaught = (weights(tmp_path / name) for name in ("whole", "broken", "untaught"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    assert any(not torch.equal(whole[name], untaught[name]) for name in whole)


def test_a_teacher_from_python_sees_each_train_face_once(tmp_path: Path) -> None:
    teacher, faces = LeftHalf(), train_and_valid(70, 28)
    run = train(parse_recipe(SMALL), faces, out=tmp_path / "run", hardware=ONE_THREAD, teacher=teacher)
    list(run)
    assert teacher.seen == 2 * 70
    heard = ask_teacher(teacher, faces[:70], class_names=EXPRESSIONS).probs
    softened = np.sqrt(heard) / np.sqrt(heard).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run.objective.targets.teacher_probs.numpy(), softened, rtol=1e-5)


def scores_of(faces: FaceSet) -> FaceScores:
    order = np.arange(len(faces))[::-1]
    return FaceScores(faces.ids[order], LeftHalf()(faces.images[order]), held_out=True)


def test_held_out_scores_teach_each_face_by_its_id(tmp_path: Path) -> None:
    faces = train_and_valid(70, 28)
    save_scores(scores_of(faces), tmp_path / "scores.npz")
    recipe = parse_recipe(SMALL, (f'loss.teachers=["{(tmp_path / "scores.npz").as_posix()}"]',))
    run = train(recipe, faces, out=tmp_path / "run", hardware=ONE_THREAD)
    said = LeftHalf()(faces.images[:70]).probs[:, ::-1]
    softened = np.sqrt(said) / np.sqrt(said).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run.objective.targets.teacher_probs.numpy(), softened, rtol=1e-5)


def test_scores_of_some_faces_alone_do_not_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"must be of all 300 train faces, got those of 290"):
        ask_teacher(scores_of(FACES[:290]), FACES, class_names=EXPRESSIONS)
    with pytest.raises(RunError, match=r"a file of scores must be the only one of loss\.teachers, got swift, s\.npz"):
        load_teacher(["swift", "s.npz"])
    with pytest.raises(RunError, match=r"s\.npz.*; held-out scores come from: mien train .* --folds 4"):
        load_teacher([str(tmp_path / "s.npz")])


def test_the_votes_speak_with_the_teacher(tmp_path: Path) -> None:
    faces = train_and_valid(70, 28)
    random = np.random.default_rng(1)
    voted = dataclasses.replace(faces, votes=random.integers(0, 5, (len(faces), 10)).astype(np.float32))
    recipe = parse_recipe(SMALL, ("loss.label_posterior=true", "loss.distill_temperature=1"))
    run = train(recipe, voted, out=tmp_path / "run", hardware=ONE_THREAD, teacher=LeftHalf())
    inside, taught = voted[:70], ask_teacher(LeftHalf(), voted[:70], class_names=EXPRESSIONS).probs
    assert inside.votes is not None
    wanted = label_posterior(inside, votes=inside.votes, teacher_probs=taught, classes=7)
    np.testing.assert_allclose(run.objective.targets.teacher_probs.numpy(), wanted, rtol=1e-4)
    alone = train(recipe, voted, out=tmp_path / "alone", hardware=ONE_THREAD)
    wanted = label_posterior(inside, votes=inside.votes, teacher_probs=None, classes=7)
    np.testing.assert_allclose(alone.objective.targets.teacher_probs.numpy(), wanted, rtol=1e-4)
    with pytest.raises(RunError, match=r"^loss\.label_posterior needs faces .*--set loss\.label_posterior=false$"):
        train(recipe, faces, out=tmp_path / "other", hardware=ONE_THREAD, teacher=LeftHalf())


def test_two_ways_to_name_a_teacher_are_one_too_many(tmp_path: Path) -> None:
    recipe = parse_recipe(SMALL, ('loss.teachers=["swift"]',))
    with pytest.raises(RunError, match="got both"):
        train(recipe, train_and_valid(70, 28), out=tmp_path / "run", teacher=LeftHalf())
    assert not (tmp_path / "run").exists()
