"""A preview shows what training sees: the recipe's sizes and mixtures."""

import numpy as np
import pytest
import torch

from mien.errors import DataError
from mien.labels import EXPRESSIONS
from mien.train.inputs.augment import Augment
from mien.train.inputs.batch import make_batch
from mien.train.inputs.preview import preview
from support import random_faces

FACES = random_faces(6, labels=np.arange(6))


def test_each_side_has_columns_and_the_first_is_a_runs_batch() -> None:
    rows = preview(Augment(), FACES, sides=(32, 40), seed=3, versions=4)
    assert [seen.side for seen in rows[0]] == [48, 32, 32, 40, 40]
    generator = torch.Generator().manual_seed(3)
    images = torch.from_numpy(FACES.images.copy())
    batch = make_batch(images, torch.arange(6), Augment(), side=32, generator=generator)
    for number, row in enumerate(rows):
        assert np.array_equal(row[0].image, FACES.images[number])
        assert np.array_equal(row[1].image, batch.faces[number, 0].round().numpy())
        assert not np.array_equal(row[1].image, row[2].image)
        assert all(seen.labels == ((EXPRESSIONS[number], 1.0),) for seen in row)


def test_mixed_faces_have_both_labels_and_their_weights() -> None:
    still = {"flip_prob": 0, "rotate_degrees": 0, "scale": 0, "shift_pixels": 0, "contrast": 0, "erase_prob": 0}
    augment = Augment(**still, mix="mixup", mix_prob=1, mix_alpha=1)
    label_of = {name: number for number, name in enumerate(EXPRESSIONS)}
    for number, row in enumerate(preview(augment, FACES, sides=(48,), seed=1)):
        for seen in row[1:]:
            (own, lam), (other, rest) = seen.labels
            assert label_of[own] == number
            assert lam + rest == pytest.approx(1)
            mixed = lam * FACES.images[number].astype(float) + rest * FACES.images[label_of[other]]
            np.testing.assert_allclose(seen.image, mixed, atol=0.6)


def test_faces_without_labels_are_refused() -> None:
    for faces in (FACES[:0], random_faces(3, labels=np.array([1, -1, 2]))):
        with pytest.raises(DataError, match="needs labelled faces, got"):
            preview(Augment(), faces, sides=(48,), seed=1)
