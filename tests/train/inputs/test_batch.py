"""A step's batch: augmented as `augment` does it, repeated, mixed, and its targets with it."""

import dataclasses

import numpy as np
import pytest
import torch

from mien.train.inputs.augment import augment, resized
from mien.train.inputs.batch import make_batch
from mien.train.loss.losses import make_targets
from mien.train.recipe import Augment, Loss
from support import random_faces

PLAIN = Augment(mirror=0, rotate_degrees=0, scale=0, shift_pixels=0, contrast=0, erase=0)
FACES = random_faces(12, labels=np.arange(12) % 7)
IMAGES = torch.from_numpy(FACES.images.copy())
ROWS = torch.tensor([3, 0, 11, 5])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def test_a_plain_batch_is_the_augmented_faces() -> None:
    batch = make_batch(IMAGES, ROWS, Augment(), side=40, generator=seeded())
    assert torch.equal(batch.faces, augment(IMAGES[ROWS], Augment(), side=40, generator=seeded()))
    targets = make_targets(Loss(), FACES, classes=7)
    assert torch.equal(batch.targets(targets).labels, targets.labels[ROWS])
    assert batch.mix is None


def test_repeats_are_other_versions_of_the_same_faces() -> None:
    batch = make_batch(IMAGES, ROWS, dataclasses.replace(PLAIN, mirror=0.5, repeats=8), side=48, generator=seeded())
    assert batch.faces.shape == (32, 1, 48, 48)
    assert torch.bincount(batch.rows, minlength=12).tolist() == [8, 0, 0, 8, 0, 8, 0, 0, 0, 0, 0, 8]
    for face, row in zip(batch.faces[:, 0], batch.rows.tolist(), strict=True):
        ways = (IMAGES[row].float(), IMAGES[row].flip(1).float())
        assert min((face - way).abs().max() for way in ways) < 0.1
    versions = {face.numpy().round().tobytes() for face in batch.faces}
    assert len(versions) == 8


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_targets_follow_the_faces(mix: str) -> None:
    """The share that the pixels tell is the one in the targets, and the label is the right face's."""
    how = dataclasses.replace(PLAIN, mix=mix, mix_probability=1.0, mix_alpha=1.0, repeats=2)
    batch = make_batch(IMAGES, ROWS, how, side=48, generator=seeded())
    labels = batch.targets(make_targets(Loss(smoothing=0), FACES, classes=7)).labels
    plain = resized(IMAGES, side=48)
    assert batch.mix is not None
    for number, (row, partner) in enumerate(zip(batch.rows, batch.rows[batch.mix.partners], strict=True)):
        difference = (plain[row] - plain[partner]).flatten()
        if row == partner:
            share = 1.0
        elif mix == "mixup":
            share = float((batch.faces[number] - plain[partner]).flatten() @ difference / (difference @ difference))
        else:
            share = float(((batch.faces[number] - plain[row]).abs() < 0.1).float().mean())
        wanted = torch.zeros(7)
        wanted[FACES.labels[row]] += share
        wanted[FACES.labels[partner]] += 1 - share
        torch.testing.assert_close(labels[number], wanted, atol=0.01, rtol=0)
