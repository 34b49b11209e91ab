"""The fitted temperature is the likeliest, by scipy's own search."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from mien.evaluation.calibration import fit_temperature


@pytest.mark.parametrize("size", [0.01, 1.0, 300.0])
def test_the_temperature_is_the_likeliest(size: float) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(500, 7)) * size, rng.integers(0, 7, 500)
    logits[np.arange(500), labels] += size

    def loss(power: float) -> float:
        return float(-log_softmax(logits / 10**power, axis=1)[np.arange(500), labels].mean())

    best = 10 ** minimize_scalar(loss, bounds=(-4, 5), options={"xatol": 1e-8}, method="bounded").x
    assert fit_temperature(logits, labels) == pytest.approx(best, rel=1e-3)


def test_it_is_finite_where_all_are_right_or_all_logits_equal() -> None:
    assert np.isfinite(fit_temperature(np.eye(7), np.arange(7)))
    assert np.isfinite(fit_temperature(np.ones((7, 7)), np.arange(7)))
