"""Every figure against an implementation that is not ours: scikit-learn, torchmetrics, SciPy."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
    multiclass_f1_score,
)

from mien import metrics
from mien.errors import DataError

K = 7


def _random(seed: int, count: int, skill: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, K, count)
    logits = rng.normal(size=(count, K))
    logits[np.arange(count), labels] += skill
    return labels, softmax(logits, axis=1)


def _cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    labels, probs = _random(0, 500)
    predicted = probs.argmax(axis=1)
    no_disgust = labels != 1
    return {
        "random": (labels, predicted),
        "one face": (labels[:1], predicted[:1]),
        "a class without labels": (labels[no_disgust], predicted[no_disgust]),
        "a class never given": (labels, np.where(predicted == 1, 0, predicted)),
        "a class in neither": (labels[no_disgust], np.where(predicted == 1, 0, predicted)[no_disgust]),
        "all right": (labels, labels),
        "all wrong": (labels, (labels + 1) % K),
        "one class only": (np.full(9, 3), np.full(9, 3)),
    }


@pytest.mark.parametrize("case", _cases().values(), ids=_cases().keys())
def test_confusion_and_its_figures_are_those_of_other_libraries(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, predicted = case
    matrix = metrics.confusion_matrix(labels, predicted, classes=K)
    np.testing.assert_array_equal(matrix, confusion_matrix(labels, predicted, labels=range(K)))
    assert matrix.dtype == np.int64
    assert metrics.accuracy(labels, predicted).value == accuracy_score(labels, predicted)

    each = precision_recall_fscore_support(labels, predicted, labels=range(K), zero_division=0)
    mean = precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    for figure, per_class, macro in zip(
        (metrics.precision, metrics.recall, metrics.f1), each[:3], mean[:3], strict=True
    ):
        np.testing.assert_allclose(figure(matrix), per_class, atol=1e-12)
        assert metrics.macro_average(figure(matrix), matrix) == pytest.approx(macro, abs=1e-12)
    other = multiclass_f1_score(torch.from_numpy(predicted), torch.from_numpy(labels), num_classes=K, average="macro")
    assert metrics.macro_average(metrics.f1(matrix), matrix) == pytest.approx(float(other), abs=1e-6)


def test_confusion_has_true_classes_in_rows() -> None:
    matrix = metrics.confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=2)
    assert matrix.tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (0, 50), (50, 50), (2222, 3589), (1, 3589), (3588, 3589)])
def test_interval_is_scipys_wilson_interval(right: int, count: int) -> None:
    wanted = binomtest(right, count).proportion_ci(confidence_level=0.95, method="wilson")
    assert metrics.Proportion(right, count).interval == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    low, high = metrics.Proportion(right, count).interval
    assert 0 <= low <= right / count <= high <= 1


@pytest.mark.parametrize("skill", [0.0, 1.5, 6.0])
@pytest.mark.parametrize("count", [1, 17, 2000])
def test_nll_and_ece_agree_with_scikit_learn_and_torchmetrics(skill: float, count: int) -> None:
    labels, probs = _random(count, count, skill)
    assert metrics.nll(labels, probs) == pytest.approx(log_loss(labels, probs, labels=range(K)), rel=1e-9)
    probs = probs.astype(np.float32)
    wanted = multiclass_calibration_error(
        torch.from_numpy(probs), torch.from_numpy(labels), num_classes=K, n_bins=15, norm="l1"
    )
    assert metrics.ece(labels, probs) == pytest.approx(float(wanted), abs=1e-5)


def test_ece_of_sure_and_right_is_0_and_of_sure_and_wrong_is_1() -> None:
    labels = np.arange(K)
    assert metrics.ece(labels, np.eye(K, dtype=np.float32)) == 0
    assert metrics.ece((labels + 1) % K, np.eye(K, dtype=np.float32)) == 1


def test_ece_bin_holds_its_upper_end() -> None:
    # 0.5 ends the second of four bins: it shares that bin with 0.4, so that their gaps nearly cancel.
    probs = np.array([[0.4, 0.3, 0.3], [0.5, 0.3, 0.2]])
    assert metrics.ece(np.array([1, 0]), probs, bins=4) == pytest.approx(abs(-0.4 + 0.5) / 2)


def test_nll_of_an_impossible_class_is_finite() -> None:
    assert metrics.nll(np.array([1]), np.array([[1.0, 0.0]])) == pytest.approx(87.498, abs=1e-3)
    assert metrics.nll(np.array([0]), np.array([[1.0, 0.0]])) == 0


def test_nothing_to_measure_is_said() -> None:
    none = np.zeros(0, np.int64)
    for figure in (
        lambda: metrics.accuracy(none, none),
        lambda: metrics.confusion_matrix(none, none, classes=K),
        lambda: metrics.nll(none, np.zeros((0, K))),
        lambda: metrics.ece(none, np.zeros((0, K))),
        lambda: metrics.macro_average(np.zeros(K), np.zeros((K, K), np.int64)),
        lambda: metrics.Proportion(0, 0),
    ):
        with pytest.raises(DataError, match="got none"):
            figure()


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(DataError, match=r"got \(3,\) and \(2,\)"):
        metrics.accuracy(np.zeros(3), np.zeros(2))
    with pytest.raises(DataError, match="predicted must be 0 to 6, got 7"):
        metrics.confusion_matrix(np.array([0]), np.array([7]), classes=K)
    with pytest.raises(DataError, match="labels must be 0 to 6, got -1"):
        metrics.confusion_matrix(np.array([-1]), np.array([0]), classes=K)
    with pytest.raises(DataError, match="labels must be 0 to 6, got -1"):
        metrics.nll(np.array([-1]), np.full((1, K), 1 / K))
    with pytest.raises(DataError, match=r"got \(2,\) and \(3, 7\)"):
        metrics.ece(np.zeros(2, np.int64), np.full((3, K), 1 / K))
    with pytest.raises(DataError, match="right must be 0 to 3, got 4"):
        metrics.Proportion(4, 3)


def test_a_proportion_prints_itself_in_a_line() -> None:
    text = repr(metrics.Proportion(4936, 7178))
    assert text == "<Proportion 68.8% of 7,178 faces, 95% interval 67.7% to 69.8%>"


@given(st.integers(1, 10**9).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_an_interval_holds_its_proportion_and_mirrors(of: tuple[int, int]) -> None:
    right, count = of
    low, high = metrics.Proportion(right, count).interval
    assert 0 <= low <= right / count <= high <= 1
    mirrored = metrics.Proportion(count - right, count).interval
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_top_k_is_scikit_learns(k: int) -> None:
    labels, probs = _random(3, 400, skill=0.5)
    wanted = 1.0 if k == K else top_k_accuracy_score(labels, probs, k=k)  # which warns where all are among the best
    assert metrics.top_k_accuracy(labels, probs, k).value == pytest.approx(wanted)


def test_of_equal_probabilities_the_first_comes_first() -> None:
    even, labels = np.full((3, 3), 1 / 3), np.arange(3)
    assert metrics.top_k_accuracy(labels, even, 1) == metrics.accuracy(labels, even.argmax(axis=1))
    assert metrics.top_k_accuracy(labels, even, 2).right == 2


@pytest.mark.parametrize("name", _cases())
def test_balanced_accuracy_is_scikit_learns(name: str) -> None:
    labels, predicted = _cases()[name]
    matrix = metrics.confusion_matrix(labels, predicted, classes=K)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of classes that are predicted only
        wanted = balanced_accuracy_score(labels, predicted)
    assert metrics.balanced_accuracy(matrix) == pytest.approx(wanted)


def test_the_brier_score_is_scikit_learns() -> None:
    labels, probs = _random(4, 300)
    wanted = brier_score_loss(labels, probs, labels=range(K), scale_by_half=False)
    assert metrics.brier_score(labels, probs) == pytest.approx(wanted)


def test_each_classes_calibration_error_is_torchmetrics() -> None:
    labels, probs = _random(5, 500)
    found = metrics.classwise_ece(labels, probs)
    for k in range(K):
        target = torch.from_numpy((labels == k).astype(np.int64))
        wanted = binary_calibration_error(torch.from_numpy(probs[:, k].copy()), target, n_bins=15, norm="l1")
        assert found[k] == pytest.approx(float(wanted), abs=1e-6)


def test_the_reliability_curve_is_scikit_learns() -> None:
    labels, probs = _random(6, 500)
    right, confidence = probs.argmax(axis=1) == labels, probs.max(axis=1)
    curve = metrics.reliability(right, confidence, bins=10)
    true, predicted = calibration_curve(right, confidence, n_bins=10)
    there = curve.counts > 0
    np.testing.assert_allclose(curve.accuracy[there], true)
    np.testing.assert_allclose(curve.confidence[there], predicted)
    assert curve.counts.sum() == 500
    assert curve.ece == pytest.approx(metrics.ece(labels, probs, bins=10))
    with pytest.raises(DataError, match="one labelled face or more"):
        metrics.reliability(np.zeros(0), np.zeros(0))
