"""Calibration finds the temperature and biases that spoilt logits were made by, and the last layer then has them."""

import numpy as np
import pytest
import torch
from torch import nn

from mien.errors import RunError
from mien.train.onnx_export.calibration import blend, calibrate, fit_calibration


def spoilt(count: int = 40_000) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Honest logits, labels drawn by them, and the logits twice as sure and with a bias."""
    generator = torch.Generator().manual_seed(4)
    honest = 2 * torch.randn(count, 3, generator=generator)
    labels = torch.multinomial(honest.softmax(dim=1), 1, generator=generator)[:, 0]
    return honest, labels, 2 * (honest - torch.tensor([1.0, 0.0, -0.5]))


def test_finds_the_temperature_and_biases_back() -> None:
    _, labels, logits = spoilt()
    found = fit_calibration(logits, labels)
    assert found.temperature == pytest.approx(2, rel=0.05)
    expected = np.array([1.0, 0.0, -0.5]) - 0.5 / 3
    np.testing.assert_allclose(found.bias, expected, atol=0.06)
    np.testing.assert_allclose(found.prior, np.bincount(labels.numpy()) / len(labels))


def test_a_face_of_weight_two_counts_as_two_faces() -> None:
    _, labels, logits = spoilt(500)
    weights = torch.arange(500) % 2 + 1
    found = fit_calibration(logits, labels, weights)
    repeated = fit_calibration(logits.repeat_interleave(weights, dim=0), labels.repeat_interleave(weights))
    assert found.temperature == pytest.approx(repeated.temperature, rel=1e-4)
    np.testing.assert_allclose(found.bias, repeated.bias, atol=1e-4)
    np.testing.assert_allclose(found.prior, repeated.prior)


def test_the_mean_answer_is_the_share_of_each_class() -> None:
    _, labels, logits = spoilt()
    found = fit_calibration(logits, labels)
    probs = torch.softmax(logits / found.temperature + torch.from_numpy(found.bias), dim=1)
    np.testing.assert_allclose(probs.mean(dim=0), found.prior, atol=0.01)


def test_the_last_layer_gives_calibrated_answers_under_a_prior() -> None:
    layer, features = nn.Linear(6, 5), torch.randn(8, 6)
    before = layer(features).detach()
    _, labels, logits = spoilt(2000)
    found, prior = fit_calibration(logits, labels), np.array([0.2, 0.3, 0.5])
    calibrate(layer, 2, found, prior)
    after = layer(features).detach()
    shift = torch.from_numpy(found.bias) + torch.from_numpy(np.log(prior / found.prior)).float()
    assert torch.allclose(after[:, 2:], before[:, 2:] / found.temperature + shift, atol=1e-5)
    assert torch.equal(after[:, :2], before[:, :2])


def test_a_blend_lies_between_a_prior_and_the_uniform_one() -> None:
    prior = np.array([0.1, 0.3, 0.6])
    np.testing.assert_allclose(blend(prior, 0), prior)
    np.testing.assert_allclose(blend(prior, 1), 1 / 3)
    np.testing.assert_allclose(blend(prior, 0.5), np.sqrt(prior) / np.sqrt(prior).sum())


def test_a_class_without_a_face_is_refused() -> None:
    with pytest.raises(RunError, match="one or more held-back faces of each class"):
        fit_calibration(torch.zeros(4, 3), torch.tensor([0, 0, 1, 1]))
