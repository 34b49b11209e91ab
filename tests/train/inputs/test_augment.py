"""Augmentation: each operation does what it says, nothing more, and repeats by its seed."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from mien.errors import RecipeError
from mien.train.inputs.augment import Augment, augment_faces, resize
from mien.train.recipe_toml import parse_recipe

NOTHING = Augment(
    flip_prob=0, rotate_degrees=0, scale=0, shift_pixels=0, contrast=0, brightness=0, erase_prob=0, erase_side=0.35
)


def drawn(augment: Augment, images: torch.Tensor, *, side: int = 48, seed: int = 0) -> torch.Tensor:
    return augment_faces(images, augment, side=side, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def faces() -> torch.Tensor:
    """64 smooth blobs on a grey ground, off centre and unlike their mirror images."""
    rng = np.random.default_rng(0)
    images = [ndimage.gaussian_filter(rng.uniform(0, 255, (48, 48)), 3) for _ in range(64)]
    scaled = [(image - image.min()) / (image.max() - image.min()) * 155 + 50 for image in images]
    return torch.from_numpy(np.stack(scaled).astype(np.uint8))


def test_nothing_changes_nothing(faces: torch.Tensor) -> None:
    torch.testing.assert_close(drawn(NOTHING, faces)[:, 0], faces.float(), atol=1e-2, rtol=0)


def test_the_same_seed_gives_the_same_faces(faces: torch.Tensor) -> None:
    assert torch.equal(drawn(Augment(), faces, seed=3), drawn(Augment(), faces, seed=3))
    assert not torch.equal(drawn(Augment(), faces, seed=3), drawn(Augment(), faces, seed=4))


def test_torchs_own_generator_is_left_alone(faces: torch.Tensor) -> None:
    before = torch.random.get_rng_state()
    drawn(Augment(), faces)
    assert torch.equal(before, torch.random.get_rng_state())


def test_mirror_always(faces: torch.Tensor) -> None:
    mirrored = drawn(dataclasses.replace(NOTHING, flip_prob=1), faces)[:, 0]
    torch.testing.assert_close(mirrored, faces.flip(2).float(), atol=1e-2, rtol=0)


def test_mirror_half_the_time(faces: torch.Tensor) -> None:
    made = drawn(dataclasses.replace(NOTHING, flip_prob=0.5), faces)[:, 0]
    kept = [(face - was).abs().max() < 0.1 for face, was in zip(made, faces.float(), strict=True)]
    turned = [(face - was.flip(1)).abs().max() < 0.1 for face, was in zip(made, faces.float(), strict=True)]
    assert all(a != b for a, b in zip(kept, turned, strict=True))
    assert 16 < sum(kept) < 48


def test_shift_moves_by_pixels_and_repeats_the_edge(faces: torch.Tensor) -> None:
    made = drawn(dataclasses.replace(NOTHING, shift_pixels=3), faces)[:, 0].numpy()
    for face, was in zip(made[:8], faces[:8].numpy(), strict=True):
        best = min(
            (np.abs(ndimage.shift(was.astype(float), (down, across), order=1, mode="nearest") - face).mean())
            for down in np.arange(-3, 3.01, 0.25)
            for across in np.arange(-3, 3.01, 0.25)
        )
        assert best < 1


def test_rotation_keeps_within_its_degrees(faces: torch.Tensor) -> None:
    made = drawn(dataclasses.replace(NOTHING, rotate_degrees=20), faces)[:, 0].numpy()
    angles = np.arange(-30, 30.1, 1.0)
    found = []
    for face, was in zip(made[:16], faces[:16].numpy(), strict=True):
        errors = [
            np.abs(ndimage.rotate(was.astype(float), angle, reshape=False, order=1, mode="nearest") - face)
            for angle in angles
        ]
        found.append(angles[int(np.argmin([error[12:36, 12:36].mean() for error in errors]))])
    assert np.abs(found).max() <= 21
    assert np.std(found) > 5


def test_contrast_and_brightness_stay_in_range(faces: torch.Tensor) -> None:
    made = drawn(dataclasses.replace(NOTHING, contrast=0.9, brightness=0.9), faces)
    assert made.min() >= 0
    assert made.max() <= 255
    spread = made.std(dim=(1, 2, 3)) / faces.float().std(dim=(1, 2))
    assert spread.std() > 0.2


def test_contrast_stretches_about_the_mean_brightness_multiplies(faces: torch.Tensor) -> None:
    """Each by a factor of its own for each face, spread evenly over 1 - this to 1 + this."""
    was = faces.float()
    mean = was.mean(dim=(1, 2), keepdim=True)
    made = drawn(dataclasses.replace(NOTHING, contrast=0.2), faces)[:, 0]
    factors = ((made - mean) * (was - mean)).sum(dim=(1, 2)) / (was - mean).square().sum(dim=(1, 2))
    torch.testing.assert_close(made, mean + (was - mean) * factors[:, None, None], atol=0.05, rtol=0)
    assert_even(factors, 0.2)
    made = drawn(dataclasses.replace(NOTHING, brightness=0.2), faces)[:, 0]
    factors = (made * was).sum(dim=(1, 2)) / was.square().sum(dim=(1, 2))
    torch.testing.assert_close(made, was * factors[:, None, None], atol=0.05, rtol=0)
    assert_even(factors, 0.2)


def test_scale_brings_the_middle_nearer_or_farther(faces: torch.Tensor) -> None:
    made = drawn(dataclasses.replace(NOTHING, scale=0.25), faces)[:, 0].numpy()
    factors = np.arange(0.7, 1.31, 0.01)
    found = []
    for face, was in zip(made, faces.numpy().astype(float), strict=True):
        errors = [np.abs(about_the_middle(was, factor) - face)[12:36, 12:36].mean() for factor in factors]
        assert min(errors) < 1
        found.append(factors[int(np.argmin(errors))])
    assert_even(torch.tensor(found), 0.25)


def about_the_middle(image: np.ndarray, factor: float) -> np.ndarray:
    """Enlarged by a factor, the middle staying where it is."""
    return np.asarray(
        ndimage.affine_transform(image, np.eye(2) / factor, 23.5 - 23.5 / factor, order=1, mode="nearest")
    )


def assert_even(factors: torch.Tensor, reach: float) -> None:
    """64 of them, drawn evenly from 1 - reach to 1 + reach."""
    assert (factors - 1).abs().max() < reach + 0.011
    assert factors.min() < 1 - 0.8 * reach
    assert factors.max() > 1 + 0.8 * reach
    assert abs(factors.mean() - 1) < 0.25 * reach


def test_erasing_fills_one_square_with_the_mean(faces: torch.Tensor) -> None:
    made = drawn(dataclasses.replace(NOTHING, erase_prob=1, erase_side=0.25), faces)[:, 0]
    for face, was in zip(made, faces.float(), strict=True):
        rows, columns = torch.nonzero((face - was).abs() > 0.05, as_tuple=True)
        assert rows.max() - rows.min() < 12
        assert columns.max() - columns.min() < 12
        assert (face[rows, columns] - was.mean()).abs().max() < 0.1


def test_smaller_side_is_the_same_picture(faces: torch.Tensor) -> None:
    made = drawn(NOTHING, faces, side=32)
    assert made.shape == (64, 1, 32, 32)
    torch.testing.assert_close(made, resize(faces, side=32), atol=1.0, rtol=0)


# The means that the four faces below had before pad-and-crop came in: without it, nothing more may be drawn.
OLDER = [119.71413, 126.41472, 148.35524, 102.97949]


def plain_crops(image: np.ndarray, *, pad: int, crop: int, side: int) -> np.ndarray:
    """Pad with black, cut out, resize: one face the plain way, (P, P, side, side) for every top and every left."""
    padded = np.pad(image.astype(np.float32), pad)
    cuts = np.lib.stride_tricks.sliding_window_view(padded, (crop, crop))
    places = len(cuts)
    batch = torch.from_numpy(cuts.reshape(-1, 1, crop, crop).copy())
    resized_ones = functional.interpolate(batch, size=(side, side), mode="bilinear", align_corners=False)
    return np.asarray(resized_ones).reshape(places, places, side, side)


@pytest.mark.parametrize(
    ("pad", "crop", "side"), [(2, 48, 48), (4, 48, 48), (2, 44, 48), (2, 48, 32), (2, 42, 40), (0, 46, 64)]
)
def test_pad_and_crop_is_what_the_plain_way_gives(faces: torch.Tensor, pad: int, crop: int, side: int) -> None:
    augment = dataclasses.replace(NOTHING, pad_crop_prob=1, pad=pad, crop=crop)
    made = drawn(augment, faces, side=side)[:, 0].numpy()
    seen = []
    for face, was in zip(made, faces.numpy(), strict=True):
        errors = np.abs(plain_crops(was, pad=pad, crop=crop, side=side) - face).max(axis=(2, 3))
        assert errors.min() < 0.01
        seen.append(np.unravel_index(errors.argmin(), errors.shape))
    for places in zip(*seen, strict=True):
        assert set(places) == set(range(48 + 2 * pad - crop + 1))


def test_pad_and_crop_half_the_time(faces: torch.Tensor) -> None:
    made = drawn(dataclasses.replace(NOTHING, pad_crop_prob=0.5, crop=44), faces)[:, 0]
    kept = (made - faces.float()).abs().amax(dim=(1, 2)) < 0.01
    assert 16 < kept.sum() < 48


def test_pad_and_crop_comes_after_the_other_motions(faces: torch.Tensor) -> None:
    """A mirrored face is mirrored and then cut out; where a shift left nothing there is the edge, not black."""
    made = drawn(dataclasses.replace(NOTHING, flip_prob=1, pad_crop_prob=1, crop=52), faces)[:, 0].numpy()
    for face, was in zip(made, faces.numpy(), strict=True):
        plain = plain_crops(was[:, ::-1], pad=2, crop=52, side=48)
        np.testing.assert_allclose(face, plain[0, 0], atol=0.01)
    shifted = drawn(dataclasses.replace(NOTHING, shift_pixels=10, pad_crop_prob=1, pad=0), faces)
    assert shifted.min() >= faces.min() - 0.01


def test_without_pad_and_crop_the_faces_are_as_before_it() -> None:
    images = (torch.arange(4 * 48 * 48).reshape(4, 48, 48) * 7 % 251).to(torch.uint8)
    made = drawn(Augment(brightness=0.2), images, side=40)
    np.testing.assert_allclose(made.mean(dim=(1, 2, 3)), OLDER, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("augment.pad_crop_prob=1.5", r"augment\.pad_crop_prob must be in \[0, 1\]"),
        ("augment.crop=53", r"augment\.crop must be 16 to 48 \+ 2 x pad, got 53"),
        ("augment.brightness=1.0", r"augment\.brightness must be in \[0, 1\)"),
        ("augment.mix_alpha=0", r"augment\.mix_alpha must be in \(0, 100\]"),
        ('augment.mix="cut"', r"augment\.mix must be one of none, mixup, cutmix, got 'cut'"),
    ],
)
def test_refused_in_a_recipe(change: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        parse_recipe("", [change])
