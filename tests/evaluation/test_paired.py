"""A paired comparison against SciPy, and its interval against all outcomes that there can be."""

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial

from mien.errors import DataError
from mien.evaluation.paired import PairedComparison, compare_predictions

CELLS = [(50, 10, 4, 6), (0, 5, 0, 0), (7, 0, 0, 2), (3000, 150, 90, 349), (10, 20, 20, 5), (0, 0, 1, 0)]


@pytest.mark.parametrize("cells", CELLS)
def test_the_p_value_is_scipys(cells: tuple[int, int, int, int]) -> None:
    _, one, other, _ = cells
    wanted = binomtest(one, one + other, 0.5).pvalue if one + other else 1.0
    assert PairedComparison(*cells).p_value == pytest.approx(wanted)


@pytest.mark.parametrize("chances", [(0.5, 0.1, 0.1, 0.3), (0.6, 0.15, 0.05, 0.2), (0.9, 0.02, 0.01, 0.07)])
def test_intervals_hold_the_true_difference_as_often_as_said(chances: tuple[float, ...]) -> None:
    """Over every outcome with 40 faces, weighed by its chance."""
    count, covered, parts = 40, 0.0, (chances[1], chances[2], chances[0] + chances[3])
    for one in range(count + 1):
        for other in range(count + 1 - one):
            chance = multinomial.pmf((one, other, count - one - other), count, parts)
            low, high = PairedComparison(count - one - other, one, other, 0).interval
            covered += chance * (low <= chances[1] - chances[2] <= high)
    assert covered > 0.93
    assert covered < 0.98 or chances[1] < 0.05  # where hardly a face tells, it is wider than it must be


def test_the_cells_are_counted_from_predictions() -> None:
    labels, first, second = (np.array(each) for each in ([0, 1, 2, 3, 4, 5], [0, 1, 2, 0, 0, 0], [0, 1, 0, 3, 4, 0]))
    both = compare_predictions(labels, first, second)
    assert both == PairedComparison(both=2, only_first=1, only_second=2, neither=1)
    assert (both.first.right, both.second.right, both.count) == (3, 4, 6)
    assert both.difference == pytest.approx(-1 / 6)
    assert both.to_dict()["mcnemar_p"] == both.p_value == 1.0
    low, high = both.interval
    assert low < both.difference < high


def test_equal_classifiers_do_not_differ() -> None:
    labels = np.arange(50) % 7
    same = compare_predictions(labels, labels, labels)
    assert (same.difference, same.p_value) == (0, 1)
    assert same.interval[0] < 0 < same.interval[1]


def test_predictions_of_other_faces_are_refused() -> None:
    with pytest.raises(DataError, match=r"got \(3,\), \(3,\) and \(2,\)"):
        compare_predictions(np.zeros(3, int), np.zeros(3, int), np.zeros(2, int))
    with pytest.raises(DataError, match="one face or more"):
        compare_predictions(np.zeros(0, int), np.zeros(0, int), np.zeros(0, int))
