"""What light, hands and cameras do to a face: each does what it says to the share of faces that it should."""

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from mien.errors import RecipeError
from mien.train.inputs.augment import Augment, augment_faces
from mien.train.inputs.camera import Camera, gaussian_blur, jpeg, low_resolution, photograph
from mien.train.recipe_toml import parse_recipe

STILL = Augment(flip_prob=0, rotate_degrees=0, scale=0, shift_pixels=0, contrast=0, brightness=0, erase_prob=0)


def changed(images: torch.Tensor, **settings: float) -> torch.Tensor:
    """(N, S, S): what these settings of a camera alone make of the faces."""
    generator = torch.Generator().manual_seed(2)
    return photograph(images[:, None].float(), Camera(**settings), generator)[:, 0]


def share_changed(images: torch.Tensor, made: torch.Tensor) -> float:
    return ((made - images.float()).abs().amax(dim=(1, 2)) > 1).float().mean().item()


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    """400 smooth pictures with some noise."""
    rng = np.random.default_rng(0)
    images = ndimage.gaussian_filter(rng.uniform(0, 255, (400, 48, 48)), (0, 3, 3))
    images = (images - images.mean()) * 6 + 128 + rng.normal(0, 4, images.shape)
    return torch.from_numpy(images.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "name", ["uneven_light_prob", "cover_prob", "blur_prob", "low_resolution_prob", "noise_prob", "jpeg_prob"]
)
def test_happens_to_the_share_of_faces_that_it_should(faces: torch.Tensor, name: str) -> None:
    assert share_changed(faces, changed(faces, **{name: 0.0})) == 0
    assert 0.2 < share_changed(faces, changed(faces, **{name: 0.3})) < 0.4
    made = changed(faces, **{name: 0.5})
    assert made.min() >= 0
    assert made.max() <= 255


def test_uneven_light_is_brighter_on_one_side(faces: torch.Tensor) -> None:
    grey = torch.full_like(faces, 100)
    made = changed(grey, uneven_light_prob=1.0, uneven_light=0.5)
    assert made.mean(dim=(1, 2)) == pytest.approx(100, abs=1)
    turned = (made + made.flip(1, 2)) / 2  # what one corner gains, the other loses
    assert torch.allclose(turned, torch.tensor(100.0), atol=0.1)
    assert 20 < made.amax(dim=(1, 2)).sub(100).max() < 75


def test_gamma_keeps_black_and_white(faces: torch.Tensor) -> None:
    levels = torch.zeros_like(faces)
    levels[:, 16:32], levels[:, 32:] = 128, 255
    made = changed(levels, gamma=0.3)
    assert made[:, 0].abs().max() < 1e-3
    assert (made[:, 40] - 255).abs().max() < 1e-3
    middle = made[:, 24, 24] / 255
    assert middle.min() == pytest.approx(0.502 ** np.exp(0.3), abs=0.02)
    assert middle.max() == pytest.approx(0.502 ** np.exp(-0.3), abs=0.02)


def test_a_cover_is_a_rectangle_of_the_sides_it_may_have(faces: torch.Tensor) -> None:
    covered = (changed(faces, cover_prob=1.0, cover_side=0.5) - faces.float()).abs() > 0.5
    heights, widths = covered.any(dim=2).sum(dim=1), covered.any(dim=1).sum(dim=1)
    assert 20 <= max(heights.max(), widths.max()) <= 24
    inside = (heights * widths).clamp(min=1)
    assert (covered.sum(dim=(1, 2)) / inside).mean() > 0.9  # nearly all within has changed


def test_blur_is_that_of_scipy(faces: torch.Tensor) -> None:
    made = gaussian_blur(faces[:5, None].float(), 1.2)[:, 0]
    expected = ndimage.gaussian_filter(faces[:5].numpy().astype(float), (0, 1.2, 1.2), mode="nearest", radius=(0, 3, 3))
    np.testing.assert_allclose(made, expected, atol=1e-3)


def test_low_resolution_loses_what_is_fine() -> None:
    fine = torch.zeros(1, 1, 48, 48)
    fine[..., ::2] = 200
    assert low_resolution(fine, 16).std() < 10
    coarse = torch.linspace(0, 200, 48).expand(1, 1, 48, 48)
    assert (low_resolution(coarse, 16) - coarse).abs()[..., 2:-2].max() < 3


def test_jpeg_is_about_that_of_pillow(faces: torch.Tensor) -> None:
    for quality in (10, 30, 50):
        made = jpeg(faces[:20, None].float(), torch.full((20,), float(quality)))[:, 0]
        stored = []
        for face in faces[:20].numpy():
            file = io.BytesIO()
            Image.fromarray(face).save(file, "JPEG", quality=quality)
            stored.append(np.asarray(Image.open(file), np.float32))
        assert (made - torch.from_numpy(np.stack(stored))).abs().mean() < 1.5


def test_any_side_of_a_face_will_do(faces: torch.Tensor) -> None:
    every = dict.fromkeys(("cover_prob", "blur_prob", "low_resolution_prob", "noise_prob", "jpeg_prob"), 0.5)
    assert changed(faces[:, :37, :37], uneven_light_prob=0.5, **every).shape == (400, 37, 37)


def test_stretch_and_shear_move_about_the_middle(faces: torch.Tensor) -> None:
    dots = torch.zeros_like(faces)
    dots[:, 20:28, 20:28] = 255
    line, column = torch.arange(48.0), torch.arange(48.0)
    for name in ("stretch", "shear"):
        change: dict[str, Any] = {name: 0.2}
        augment = dataclasses.replace(STILL, **change)
        made = augment_faces(dots, augment, side=48, generator=torch.Generator().manual_seed(2))[:, 0]
        mass = made.sum(dim=(1, 2))
        assert ((made.sum(dim=1) @ column) / mass).sub(23.5).abs().max() < 0.3
        assert ((made.sum(dim=2) @ line) / mass).sub(23.5).abs().max() < 0.3
        assert share_changed(dots, made) > 0.9


@pytest.mark.parametrize("text", ["jpeg_prob = 1.5", "cover_side = 0.1", "gamma = -1", "uneven_light = 1"])
def test_what_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=rf"camera.{text.split(maxsplit=1)[0]} must be in"):
        parse_recipe(f"[camera]\n{text}")


def test_a_camera_that_is_off_draws_nothing(faces: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(2)
    before = generator.get_state()
    assert torch.equal(photograph(faces[:, None].float(), Camera(), generator)[:, 0], faces.float())
    assert torch.equal(generator.get_state(), before)
