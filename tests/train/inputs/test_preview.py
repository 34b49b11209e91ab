"""A preview shows what training sees: the recipe's sizes, repeats and mixtures."""

import numpy as np
import pytest
import torch

from mien.errors import DataError
from mien.labels import EXPRESSIONS
from mien.train.inputs.batch import make_batch
from mien.train.inputs.preview import preview
from mien.train.recipe_toml import parse_recipe
from support import random_faces

FACES = random_faces(6, labels=np.arange(6))


def test_each_size_has_its_columns_and_the_first_is_a_runs_batch() -> None:
    recipe = parse_recipe("[optim]\nsizes = [[32, 0.5], [40, 0.25], [32, 0.25]]")
    rows = preview(recipe, FACES, versions=4)
    assert [seen.side for seen in rows[0]] == [48, 32, 32, 40, 40]
    generator = torch.Generator().manual_seed(recipe.seed)
    batch = make_batch(
        torch.from_numpy(FACES.images.copy()), torch.arange(6), recipe.augment, side=32, generator=generator
    )
    for number, row in enumerate(rows):
        assert np.array_equal(row[0].image, FACES.images[number])
        assert np.array_equal(row[1].image, batch.faces[number, 0].round().numpy())
        assert not np.array_equal(row[1].image, row[2].image)
        assert all(seen.labels == ((EXPRESSIONS[number], 1.0),) for seen in row)


def test_repeats_fill_columns() -> None:
    recipe = parse_recipe("", ["augment.repeats=3"])
    assert [len(row) for row in preview(recipe, FACES, versions=4)] == [5] * 6


def test_mixed_faces_have_both_labels_and_their_shares() -> None:
    plain = [f"augment.{key}=0" for key in ("mirror", "rotate_degrees", "scale", "shift_pixels", "contrast", "erase")]
    mix = ['augment.mix="mixup"', "augment.mix_probability=1", "augment.mix_alpha=1"]
    label_of = {name: number for number, name in enumerate(EXPRESSIONS)}
    for number, row in enumerate(preview(parse_recipe("", plain + mix), FACES)):
        for seen in row[1:]:
            (own, share), (other, rest) = seen.labels
            assert label_of[own] == number
            assert share + rest == pytest.approx(1)
            wanted = share * FACES.images[number].astype(float) + rest * FACES.images[label_of[other]]
            np.testing.assert_allclose(seen.image, wanted, atol=0.6)


def test_faces_without_labels_are_refused() -> None:
    for faces in (FACES[:0], random_faces(3, labels=np.array([1, -1, 2]))):
        with pytest.raises(DataError, match="needs labelled faces, got"):
            preview(parse_recipe(""), faces)
