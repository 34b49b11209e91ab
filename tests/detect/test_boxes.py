"""Overlaps and non-maximum suppression against their definitions, on boxes that hypothesis draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.detect.boxes import box_iou, non_max_suppression

SIDE = 24  # pixels: of the canvas that boxes are drawn on


@st.composite
def boxes(draw: st.DrawFn, *, least: int = 0, most: int = 12) -> NDArray[np.float32]:
    """(M, 4) boxes of whole pixels."""
    place = st.integers(0, SIDE - 2)
    count = draw(st.integers(least, most))
    rows = []
    for _ in range(count):
        left, top = draw(place), draw(place)
        rows.append([left, top, draw(st.integers(left + 1, SIDE - 1)), draw(st.integers(top + 1, SIDE - 1))])
    return np.array(rows, np.float32).reshape(-1, 4)


def pixels_of(box: NDArray[np.float32]) -> NDArray[np.bool_]:
    mask = np.zeros((SIDE, SIDE), bool)
    left, top, right, bottom = box.astype(int)
    mask[top:bottom, left:right] = True
    return mask


@given(boxes(least=1))
def test_iou_is_the_share_of_common_pixels(drawn: NDArray[np.float32]) -> None:
    one = pixels_of(drawn[0])
    expected = [(one & pixels_of(box)).sum() / (one | pixels_of(box)).sum() for box in drawn]
    assert np.allclose(box_iou(drawn[0], drawn), expected)


@given(boxes(least=2))
def test_iou_is_symmetric_and_at_most_1(drawn: NDArray[np.float32]) -> None:
    one, other = drawn[:2]
    there, back = box_iou(one, other[None])[0], box_iou(other, one[None])[0]
    assert there == back
    assert 0 <= there <= 1
    assert box_iou(one, one[None])[0] == 1


@given(boxes(least=1), st.floats(0.1, 20), st.integers(-50, 50))
def test_iou_does_not_change_with_scale_and_place(drawn: NDArray[np.float32], scale: float, shift: int) -> None:
    moved = drawn * np.float32(scale) + np.float32(shift)
    assert np.allclose(box_iou(moved[0], moved), box_iou(drawn[0], drawn), atol=1e-3)


@given(boxes(), st.data(), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_what_stays_is_what_the_definition_keeps(
    drawn: NDArray[np.float32], data: st.DataObject, overlap: float
) -> None:
    ranks = data.draw(st.lists(st.integers(0, 4), min_size=len(drawn), max_size=len(drawn)))  # with ties
    scores = np.array(ranks, np.float32)
    kept: list[int] = []
    for row in sorted(range(len(drawn)), key=lambda row: (-scores[row], row)):
        if all(box_iou(drawn[better], drawn[row][None])[0] <= overlap for better in kept):
            kept.append(row)
    assert non_max_suppression(drawn, scores, overlap=overlap).tolist() == kept


@given(boxes(), st.integers(0, 1000))
def test_suppressing_twice_changes_nothing(drawn: NDArray[np.float32], seed: int) -> None:
    scores = np.random.default_rng(seed).random(len(drawn)).astype(np.float32)
    kept = non_max_suppression(drawn, scores, overlap=0.3)
    again = non_max_suppression(drawn[kept], scores[kept], overlap=0.3)
    assert again.tolist() == list(range(len(kept)))


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_no_boxes_leave_none(overlap: float) -> None:
    assert non_max_suppression(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), overlap=overlap).tolist() == []
