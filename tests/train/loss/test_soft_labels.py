"""The chance of each label, given a teacher and votes: better than either, and never from the face's own label."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from mien.data.splits import assign_folds
from mien.train.loss import soft_labels as posterior
from mien.train.loss.soft_labels import label_posterior
from mien.types import FaceSet
from support import random_faces

FACES = random_faces(1200, seed=3, split="train")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Fit with one thread: on a busy machine, threads that wait for one another take a hundred times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def hints(strength: float, *, seed: int) -> NDArray[np.float32]:
    """(N, 7): distributions that lean towards the label, a weak hint or a strong one."""
    logits = np.random.default_rng(seed).normal(size=(len(FACES), 7))
    logits[np.arange(len(FACES)), FACES.labels] += strength
    powers = np.exp(logits)
    probs: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return probs


def votes(*, seed: int = 2) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    shares = np.concatenate([hints(1.0, seed=seed), np.full((len(FACES), 3), 0.02)], axis=1)
    return np.stack([random.multinomial(10, row / row.sum()) for row in shares.astype(np.float64)]).astype(np.float32)


def chances(
    cast: NDArray[np.float32], taught: NDArray[np.float32] | None = None, faces: FaceSet = FACES
) -> NDArray[np.float32]:
    return label_posterior(faces, votes=cast, teacher_probs=taught, classes=7)


def surprise(probs: NDArray[np.float32]) -> float:
    """The mean of minus the log of the label's probability, in nats."""
    return float(-np.log(probs[np.arange(len(FACES)), FACES.labels]).mean())


def test_it_knows_more_than_the_teacher_or_the_votes() -> None:
    taught, silent = hints(1.5, seed=1), np.zeros((1200, 10), np.float32)
    both = chances(votes(), taught)
    np.testing.assert_allclose(both.sum(axis=1), 1, rtol=1e-5)
    assert both.dtype == np.float32
    assert surprise(both) < surprise(chances(silent, taught)) - 0.05
    assert surprise(both) < surprise(chances(votes())) - 0.05


def test_a_teacher_that_is_too_sure_is_put_right() -> None:
    sure = hints(1.5, seed=1) ** 4
    sure /= sure.sum(axis=1, keepdims=True)
    calibrated = chances(np.zeros((1200, 10), np.float32), sure)
    assert surprise(calibrated) < surprise(sure) - 0.1


def test_it_is_scikit_learns_held_out() -> None:
    taught, cast = hints(1.5, seed=1), votes()
    ours = chances(cast, taught)
    known = [np.log((cast + 0.3) / (cast.sum(axis=1, keepdims=True) + 3)), cast / 10, np.log(taught + 1e-3)]
    inputs, fold = np.concatenate(known, axis=1).astype(np.float64), assign_folds(FACES, folds=4, seed=0)
    for held_out in range(4):
        inside, outside = fold == held_out, fold != held_out
        theirs = LogisticRegression(C=1, solver="newton-cholesky").fit(inputs[outside], FACES.labels[outside])
        np.testing.assert_allclose(ours[inside], theirs.predict_proba(inputs[inside]), atol=2e-3)


def test_a_faces_own_label_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    fold = np.arange(len(FACES)) % 4
    monkeypatch.setattr(posterior, "assign_folds", lambda *_, **__: fold)
    labels = np.where(fold == 1, (FACES.labels + 3) % 7, FACES.labels)
    taught, cast = hints(1.5, seed=1), votes()
    before, after = chances(cast, taught), chances(cast, taught, dataclasses.replace(FACES, labels=labels))
    np.testing.assert_array_equal(before[fold == 1], after[fold == 1])
    assert (before[fold != 1] != after[fold != 1]).all()
