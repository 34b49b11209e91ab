"""Selective classification: bounds against SciPy, curves by hand, and promises on faces that fitted nothing."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.metrics import auc

from mien.errors import DataError
from mien.evaluation.selective import (
    error_bound,
    fit_set_threshold,
    fit_threshold,
    prediction_sets,
    risk_coverage,
)


def answers(count: int, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Answers whose confidence is their chance to be right."""
    rng = np.random.default_rng(seed)
    confidence = 1 - 0.7 * rng.random(count) ** 3
    return rng.random(count) < confidence, confidence


@pytest.mark.parametrize(("wrong", "count"), [(0, 1), (0, 30), (3, 30), (30, 30), (120, 1000), (360, 3589)])
@pytest.mark.parametrize("delta", [0.05, 0.004])
def test_the_bound_is_clopper_and_pearsons(wrong: int, count: int, delta: float) -> None:
    wanted = 1.0 if wrong == count else beta.ppf(1 - delta, wrong + 1, count - wrong)
    assert error_bound(wrong, count, delta=delta) == pytest.approx(wanted, abs=1e-9)


def test_the_curve_is_worked_out_by_hand() -> None:
    curve = risk_coverage(np.array([True, False, True, False]), np.array([0.5, 0.6, 0.9, 0.4]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == [0, 1 / 2, 1 / 3, 1 / 2]
    right, confidence = answers(2000, 0)
    curve = risk_coverage(right, confidence)
    assert curve.aurc == pytest.approx(auc(curve.coverage, curve.risk), abs=1e-3)
    assert curve.risk[-1] == pytest.approx(1 - right.mean())


@pytest.mark.parametrize("max_error", [0.05, 0.1, 0.2])
def test_the_promise_holds_on_other_faces(max_error: float) -> None:
    """In nearly all draws, and without leaving out much more than it must."""
    others, sure = answers(100_000, 99)
    broken, coverages = 0, []
    for seed in range(60):
        threshold = fit_threshold(*answers(2000, seed), max_error=max_error)
        kept = sure >= threshold.confidence
        broken += (1 - others[kept].mean()) > max_error
        coverages.append(kept.mean())
    assert broken <= 0.05 * 60
    best = 1 - np.flatnonzero(risk_coverage(others, sure).risk <= max_error)[-1] / len(others)
    assert np.mean(coverages) > 0.7 * (1 - best)


def test_ties_of_confidence_are_kept_or_left_out_together() -> None:
    confidence = np.repeat([0.9, 0.8, 0.4], 200)
    right = np.concatenate([np.ones(200), np.ones(200), np.arange(200) % 2]).astype(bool)
    threshold = fit_threshold(right, confidence, max_error=0.05)
    assert threshold.confidence == 0.8
    assert threshold.coverage == pytest.approx(2 / 3)
    assert threshold.errors is not None
    assert threshold.errors.right == 0


def test_where_no_threshold_keeps_the_promise_nothing_is_kept() -> None:
    threshold = fit_threshold(np.zeros(50, np.bool_), np.linspace(0.2, 1, 50), max_error=0.1)
    assert (threshold.confidence, threshold.coverage, threshold.errors) == (math.inf, 0, None)
    assert fit_threshold(np.ones(5, np.bool_), np.ones(5), max_error=0.1).coverage == 0  # too few to know


def test_a_perfect_classifier_keeps_everything() -> None:
    assert fit_threshold(np.ones(500, np.bool_), np.linspace(0.2, 1, 500), max_error=0.05).coverage == 1


@pytest.mark.parametrize("max_error", [0.05, 0.2])
def test_conformal_sets_hold_the_truth_as_often_as_promised(max_error: float) -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(7, 0.4), 60_000)
    labels = (probs.cumsum(axis=1) < rng.random((60_000, 1))).sum(axis=1).clip(0, 6)
    held = []
    for part in range(40):
        rows = slice(part * 500, (part + 1) * 500)
        threshold = fit_set_threshold(probs[rows], labels[rows], max_error=max_error)
        sets = prediction_sets(probs[20_000:], threshold)
        held.append(sets[np.arange(40_000), labels[20_000:]].mean())
    assert np.mean(held) == pytest.approx(1 - max_error, abs=0.006)  # exactly 1 - max_error at least, on average
    assert fit_set_threshold(probs[:3], labels[:3], max_error=0.1) == 0


def test_what_is_no_share_or_no_answer_is_refused() -> None:
    with pytest.raises(DataError, match="between 0 and 1, got 1"):
        fit_threshold(np.ones(5, np.bool_), np.ones(5), max_error=1)
    with pytest.raises(DataError, match="one face or more"):
        risk_coverage(np.ones(0, np.bool_), np.ones(0))
