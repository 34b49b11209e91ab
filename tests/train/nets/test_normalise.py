"""Normalisation brings pixels to numbers about 0, as a recipe says."""

import numpy as np
import pytest
import torch

from mien.train.nets.normalise import FaceNormalise, Normalise, SetNormalise, make_normaliser


@pytest.fixture
def images() -> np.ndarray:
    """(50, 48, 48) uint8: soft pictures of various light and contrast."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(0, 1, (50, 12, 12)) * rng.uniform(10, 60, (50, 1, 1)) + rng.uniform(80, 170, (50, 1, 1))
    return np.kron(coarse, np.ones((1, 4, 4))).clip(0, 255).astype(np.uint8)


def as_faces(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).unsqueeze(1).float()


def test_each_face_by_its_own_mean_and_deviation(images: np.ndarray) -> None:
    made = make_normaliser(Normalise(by="face"))(as_faces(images))
    np.testing.assert_allclose(made.mean(dim=(1, 2, 3)), 0, atol=1e-4)
    own = images.std(axis=(1, 2))
    np.testing.assert_allclose(made.std(dim=(1, 2, 3), correction=0), own / (own + 1), rtol=1e-3)


def test_a_blank_face_becomes_zeros() -> None:
    assert torch.equal(FaceNormalise()(torch.full((1, 1, 48, 48), 200.0)), torch.zeros(1, 1, 48, 48))


@pytest.mark.parametrize(("mean", "std"), [(0.5057, 0.2552), (0.15, 0.4)])
def test_fixed_is_the_pixels_minus_mean_over_std(images: np.ndarray, mean: float, std: float) -> None:
    made = make_normaliser(Normalise(by="fixed", mean=mean, std=std))(as_faces(images))[:, 0]
    np.testing.assert_allclose(made, (images / 255 - mean) / std, atol=1e-5)


def test_fixed_is_fer2013s_moments_unless_the_recipe_says_others() -> None:
    assert (Normalise().mean, Normalise().std) == (0.5057, 0.2552)


def test_what_is_measured_comes_out_at_mean_0_and_deviation_1(images: np.ndarray) -> None:
    layer = make_normaliser(Normalise(by="train"))
    assert isinstance(layer, SetNormalise)
    layer.measure(torch.from_numpy(images))
    np.testing.assert_allclose(layer.moments, [(images / 255).mean(), (images / 255).std()], rtol=1e-5)
    made = layer(as_faces(images))
    assert made.mean() == pytest.approx(0, abs=1e-4)
    assert made.std(correction=0) == pytest.approx(1, abs=1e-4)


def test_what_is_measured_is_kept_with_the_weights(images: np.ndarray) -> None:
    layer = SetNormalise(Normalise(by="train"))
    layer.measure(torch.from_numpy(images))
    other = SetNormalise(Normalise(by="train"))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(as_faces(images)), layer(as_faces(images)))


def test_equal_faces_do_not_divide_by_zero() -> None:
    layer = SetNormalise(Normalise(by="train"))
    layer.measure(torch.full((3, 48, 48), 9, dtype=torch.uint8))
    assert layer(torch.full((1, 1, 48, 48), 9.0)).abs().max() < 1e-3
