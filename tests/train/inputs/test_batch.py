"""A step's batch: augmented as `augment_faces` does it, then mixed."""

import dataclasses
from typing import Literal

import numpy as np
import pytest
import torch

from mien.train.inputs.augment import Augment, augment_faces, resize
from mien.train.inputs.batch import make_batch
from support import random_faces

PLAIN = Augment(flip_prob=0, rotate_degrees=0, scale=0, shift_pixels=0, contrast=0, erase_prob=0)
FACES = random_faces(12, labels=np.arange(12) % 7)
IMAGES = torch.from_numpy(FACES.images.copy())
ROWS = torch.tensor([3, 0, 11, 5])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def test_a_plain_batch_is_the_augmented_faces() -> None:
    batch = make_batch(IMAGES, ROWS, Augment(), side=40, generator=seeded())
    assert torch.equal(batch.faces, augment_faces(IMAGES[ROWS], Augment(), side=40, generator=seeded()))
    assert torch.equal(batch.rows, ROWS)
    assert batch.mix is None


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_lambda_is_the_share_that_the_pixels_tell(mix: Literal["mixup", "cutmix"]) -> None:
    augment = dataclasses.replace(PLAIN, mix=mix, mix_prob=1.0, mix_alpha=1.0)
    batch = make_batch(IMAGES, ROWS, augment, side=48, generator=seeded())
    plain = resize(IMAGES, side=48)
    assert batch.mix is not None
    for number, (row, partner) in enumerate(zip(batch.rows, batch.rows[batch.mix.partners], strict=True)):
        difference = (plain[row] - plain[partner]).flatten()
        if row == partner:
            continue
        if mix == "mixup":
            share = float((batch.faces[number] - plain[partner]).flatten() @ difference / (difference @ difference))
        else:
            share = float(((batch.faces[number] - plain[row]).abs() < 0.1).float().mean())
        assert batch.mix.lam[number].item() == pytest.approx(share, abs=0.01)
