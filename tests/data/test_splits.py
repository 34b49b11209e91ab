from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

from mien.data.splits import assign_folds, split_random
from mien.errors import DataError
from mien.types import FaceSet
from support import random_faces

COUNTS = (400, 44, 410, 722, 483, 317, 497)  # a tenth of FER2013's


def uneven() -> FaceSet:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(7), COUNTS))
    return random_faces(len(labels), split="train", labels=labels)


FACES = uneven()


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize(("valid", "count"), [(471, 471), (1, 1), (2872, 2872), (0.1, 287), (0.5, 1436), (0.999, 2870)])
def test_so_many_become_valid(stratified: bool, valid: float, count: int) -> None:
    split = split_random(FACES, valid=valid, seed=1, stratified=stratified)
    assert (split.splits == "valid").sum() == count
    assert (split.splits == "train").sum() == len(FACES) - count
    assert replace(split, splits=FACES.splits).hash == FACES.hash


@pytest.mark.parametrize("valid", [1, 7, 100, 471, 1436, 0.1, 0.37])
def test_every_class_gives_its_share(valid: float) -> None:
    split = split_random(FACES, valid=valid, seed=3)
    chosen = np.bincount(FACES.labels[split.splits == "valid"], minlength=7)
    exact = np.array(COUNTS) * (chosen.sum() / len(FACES))
    assert np.all(np.abs(chosen - exact) < 1)


def test_a_draw_that_is_not_stratified_is_one_of_all_faces() -> None:
    draws = np.array(
        [split_random(FACES, valid=600, seed=seed, stratified=False).splits == "valid" for seed in range(40)]
    )
    classes = np.array([np.bincount(FACES.labels[draw], minlength=7) for draw in draws])
    assert len(np.unique(classes, axis=0)) > 30
    expected = np.array(COUNTS) * (600 * 40 / len(FACES))
    assert chisquare(classes.sum(axis=0), expected).pvalue > 0.001
    assert draws.any(axis=0).all()


@pytest.mark.parametrize("stratified", [True, False])
def test_the_seed_makes_the_split(stratified: bool) -> None:
    first, again, other = (split_random(FACES, valid=300, seed=seed, stratified=stratified) for seed in (5, 5, 6))
    assert first.hash == again.hash
    assert first.hash != other.hash


def test_only_train_faces_move() -> None:
    splits = np.array(["train", "valid", "test"])[np.arange(len(FACES)) % 3]
    split = split_random(replace(FACES, splits=splits), valid=100, seed=0)
    moved = split.splits != splits
    assert moved.sum() == 100
    assert set(splits[moved]) == {"train"}
    assert set(split.splits[moved]) == {"valid"}


def test_unlabelled_faces_give_their_share() -> None:
    labels = np.where(np.arange(len(FACES)) < 1000, -1, FACES.labels)
    split = split_random(replace(FACES, labels=labels), valid=0.1, seed=0)
    assert (labels[split.splits == "valid"] == -1).sum() == 100


@pytest.mark.parametrize("valid", [0, -1, 0.0, 1.0, 1.5, -0.1, float("nan"), 2873, 10**9, 1e-9, 0.9999])
def test_splits_that_cannot_be(valid: float) -> None:
    with pytest.raises(DataError, match="valid must"):
        split_random(FACES, valid=valid, seed=0)


def test_nothing_to_split() -> None:
    with pytest.raises(DataError, match="of the 0 train faces"):
        split_random(random_faces(5, split="test"), valid=2, seed=0)


def test_folds_are_even_in_each_expression() -> None:
    faces = random_faces(700)
    fold = assign_folds(faces, folds=5, seed=1)
    assert set(fold.tolist()) == set(range(5))
    for expression in range(7):
        counts = np.bincount(fold[faces.labels == expression], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_identical_faces_share_a_fold() -> None:
    faces = random_faces(50)
    pair = FaceSet(
        np.concatenate([faces.images, faces.images]),
        np.concatenate([faces.labels, (faces.labels + 1) % 7]),
        np.concatenate([faces.splits, faces.splits]),
        np.array([f"face{row}" for row in range(100)]),
    )
    fold = assign_folds(pair, folds=4, seed=2)
    assert (fold[:50] == fold[50:]).all()


def test_folds_come_from_the_seed() -> None:
    faces = random_faces(60)
    assert (assign_folds(faces, folds=3, seed=1) == assign_folds(faces, folds=3, seed=1)).all()
    assert (assign_folds(faces, folds=3, seed=1) != assign_folds(faces, folds=3, seed=2)).any()


@pytest.mark.parametrize("folds", [0, 1, 9])
def test_folds_out_of_range_are_refused(folds: int) -> None:
    with pytest.raises(DataError, match="folds must be 2 to 8"):
        assign_folds(random_faces(8), folds=folds, seed=1)


@pytest.mark.parametrize("stratified", [True, False])
def test_identical_faces_are_not_parted(stratified: bool) -> None:
    """Each third face is the picture of the one before, half of these with another label."""
    images, labels = FACES.images.copy(), FACES.labels.copy()
    images[2::3] = images[1::3][: len(images[2::3])]
    labels[2::6] = labels[1::6][: len(labels[2::6])]
    faces = replace(FACES, images=images, labels=labels)
    split = split_random(faces, valid=500, seed=2, stratified=stratified)
    drawn = split.splits == "valid"
    assert drawn.sum() == 500
    assert (drawn[2::3] == drawn[1::3][: len(drawn[2::3])]).all()


def test_where_only_whole_groups_remain_fewer_are_drawn() -> None:
    faces = random_faces(8, split="train", labels=np.zeros(8, np.int64))
    pairs = replace(faces, images=faces.images[np.arange(8) // 2])
    split = split_random(pairs, valid=3, seed=0)
    assert (split.splits == "valid").sum() == 2
    with pytest.raises(DataError, match="take all with the same pixels together, got 1"):
        split_random(pairs, valid=1, seed=0)


def test_mirrored_copies_share_a_fold_and_move_no_other_face() -> None:
    faces = random_faces(60)
    before = assign_folds(faces, folds=5, seed=1)
    images = faces.images.copy()
    images[30:35] = images[:5, :, ::-1]
    fold = assign_folds(replace(faces, images=images), folds=5, seed=1)
    assert fold[30:35].tolist() == fold[:5].tolist()
    assert assign_folds(faces, folds=5, seed=1).tolist() == before.tolist()
