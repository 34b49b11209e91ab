"""Confident learning, against its paper's definition written out and against cleanlab."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.data.audit.label_errors import find_label_issues
from mien.errors import DataError


def _noisy(
    seed: int, count: int = 2000, classes: int = 7
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Labels of which a fifth are wrong, and the probabilities of a fair model."""
    rng = np.random.default_rng(seed)
    true = rng.choice(classes, count, p=np.array([4, 1, 4, 7, 5, 3, 5]) / 29)
    labels = np.where(rng.random(count) < 0.2, rng.integers(0, classes, count), true)
    probs = rng.dirichlet(np.full(classes, 0.5), count)
    probs[np.arange(count), true] += 2 * rng.random(count)
    return true, labels, (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


def test_issues_are_what_the_paper_defines() -> None:
    _, labels, probs = _noisy(0, count=400)
    wide = probs.astype(float)
    limits = [np.mean([row[k] for row, label in zip(wide, labels, strict=True) if label == k]) for k in range(7)]
    expected = []
    for number, (row, label) in enumerate(zip(wide, labels, strict=True)):
        sure = [(row[k], k) for k in range(7) if row[k] >= limits[k]]
        if sure and max(sure)[1] != label and row.argmax() != label:
            expected.append((row[label], number))
    assert find_label_issues(labels, probs).tolist() == [number for _, number in sorted(expected)]


@pytest.mark.parametrize("seed", range(4))
def test_cleanlab_says_the_same(seed: int) -> None:
    pytest.importorskip("cleanlab", reason="cleanlab, the oracle, is not installed")
    from cleanlab import filter as cleanlab_filter

    _, labels, probs = _noisy(seed)
    issues = cleanlab_filter.find_label_issues(
        labels, probs, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    assert find_label_issues(labels, probs).tolist() == issues.tolist()


def test_wrong_labels_come_first() -> None:
    true, labels, probs = _noisy(1)
    rows = find_label_issues(labels, probs)
    wrong = true != labels
    assert wrong[rows[:100]].mean() > 0.95
    assert wrong[rows].sum() > 0.7 * wrong.sum()


def test_a_class_without_faces_is_never_suggested() -> None:
    labels = np.array([0, 0, 1, 1])
    probs = np.array([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    assert find_label_issues(labels, probs).tolist() == [2]


@pytest.mark.parametrize(
    ("labels", "probs", "message"),
    [
        (np.array([0, 3]), np.full((2, 3), 1 / 3), "must be 0 to 2, got 3"),
        (np.array([-1, 0]), np.full((2, 3), 1 / 3), "got -1"),
        (np.array([0]), np.full((2, 3), 1 / 3), r"labels must be \(N,\)"),
    ],
)
def test_refused(labels: NDArray[np.int64], probs: NDArray[np.float64], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_label_issues(labels, probs)
