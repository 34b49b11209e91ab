"""Views: the same whenever and at whatever side they are made."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from mien.train.inputs.augment import Augment
from mien.train.inputs.camera import NO_CAMERA, Camera
from mien.train.inputs.views import make_view
from support import drawn_faces

FACES = torch.from_numpy(drawn_faces(300).images.copy())
AUGMENT = Augment(stretch=0.1, shear=0.1, brightness=0.2, pad_crop_prob=0.5)
CAMERA = Camera(uneven_light_prob=0.5, cover_prob=0.5, noise_prob=0.5, low_resolution_prob=0.5, jpeg_prob=0.5)


def view(number: int, *, side: int = 48, seed: int = 1, camera: Camera = NO_CAMERA) -> torch.Tensor:
    return make_view(FACES, AUGMENT, camera, seed=seed, view=number, side=side)


def test_a_view_is_the_same_each_time_and_unlike_others() -> None:
    first = view(0)
    assert first.shape == (300, 48, 48)
    assert first.dtype == torch.uint8
    assert torch.equal(first, view(0))
    assert not torch.equal(first, view(1))
    assert not torch.equal(first, view(0, seed=2))


@pytest.mark.parametrize("side", [32, 40, 64])
@pytest.mark.parametrize("camera", [NO_CAMERA, CAMERA])
def test_a_view_shows_the_same_at_every_side(side: int, camera: Camera) -> None:
    """Erased squares and covers included: a face is much nearer to its own view at 48 pixels than to any other's."""
    whole, small = view(3, camera=camera), view(3, side=side, camera=camera)
    assert small.shape == (300, side, side)
    wanted = functional.interpolate(whole[:, None].float(), size=(side, side), mode="bilinear")[:, 0]
    other = view(4, side=side, camera=camera)
    ours, others = ((each.float() - wanted).abs().mean(dim=(1, 2)).numpy() for each in (small, other))
    assert np.all(ours < 8)  # grey levels
    assert np.mean(others) > 20


def test_an_erased_square_is_at_the_same_place_at_every_side() -> None:
    still = dataclasses.replace(
        AUGMENT, flip_prob=0, rotate_degrees=0, scale=0, shift_pixels=0, stretch=0, shear=0, pad_crop_prob=0
    )
    still = dataclasses.replace(still, contrast=0, brightness=0, erase_prob=1)
    flat = torch.zeros(64, 48, 48, dtype=torch.uint8)
    flat[:, ::2] = 200  # the mean, 100, is only where a square was erased

    def bounds(side: int) -> np.ndarray:
        made = make_view(flat, still, NO_CAMERA, seed=1, view=0, side=side).numpy()
        erased = made == 100
        rows, columns = erased.all(axis=2).any(axis=1), (erased.sum(axis=1) > side * 0.3)
        assert not rows.any()
        return np.array([[line.argmax() / side, (side - line[::-1].argmax()) / side] for line in columns])

    assert np.abs(bounds(48) - bounds(96)).max() <= 1 / 48
