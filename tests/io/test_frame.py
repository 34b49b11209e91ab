from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import DataError
from mien.io.frame import CLOSE, Frame, FrameSelection


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every must be more than 0 seconds, got 0"),
        ({"every": float("inf")}, "every must be"),
        ({"every": float("nan")}, "every must be"),
        ({"start": -1}, "start must be 0 seconds or more, got -1"),
        ({"start": 2, "end": 2}, "end must be later than start, 2 seconds, got 2"),
        ({"end": float("nan")}, "end must be later"),
        ({"max_side": 47}, "max_side must be 48 pixels or more, got 47"),
    ],
)
def test_selections_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        FrameSelection(**options)


def test_only_larger_pictures_are_made_smaller() -> None:
    selection = FrameSelection(max_side=100)
    assert selection.fit(90, 100) == (90, 100)
    assert selection.fit(400, 100) == (100, 25)
    assert selection.fit(100, 1000) == (10, 100)
    assert selection.fit(100_000, 1) == (100, 1)
    picture = np.zeros((60, 300, 3), np.uint8)
    picture[:, 150:] = 255
    small = selection.shrink(picture)
    assert small.shape == (20, 100, 3)
    assert (small[:, :48].max(), small[:, 52:].min()) == (0, 255)
    assert FrameSelection().shrink(picture) is picture


def test_a_bare_frame_keeps_all_but_its_picture() -> None:
    frame = Frame("a.mp4", 1.5, np.ones((4, 4, 3), np.uint8), moving=True, arrived=9.0)
    bare = frame.without_picture()
    assert (bare.source, bare.seconds, bare.moving, bare.arrived, bare.picture.size) == ("a.mp4", 1.5, True, 9.0, 0)


@given(
    times=st.lists(st.integers(0, 500), min_size=1, max_size=60, unique=True).map(sorted),
    every=st.integers(1, 90),
    start=st.integers(0, 120),
)
def test_the_first_frame_of_each_step_is_taken(times: list[int], every: int, start: int) -> None:
    """Times in hundredths of a second, against a frame a step, counted in whole numbers."""
    selection, taken = FrameSelection(every=every / 100, start=start / 100), []
    due = selection.start
    for time in times:
        if time / 100 >= due - CLOSE:
            taken.append(time)
            due = selection.next_due(time / 100)
    steps: dict[int, int] = {}
    for time in times:
        if time >= start:
            steps.setdefault((time - start) // every, time)
    assert taken == list(steps.values())


@given(seconds=st.floats(0, 1e18), every=st.floats(0, exclude_min=True, allow_infinity=False))
def test_the_next_frame_is_due_later_whatever_the_numbers(seconds: float, every: float) -> None:
    assert FrameSelection(every=every).next_due(seconds) >= seconds


def test_a_frame_prints_itself_in_a_line() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    assert repr(Frame("a.mp4", 1.234, picture, moving=True)) == "<Frame a.mp4 at 1.23 s, 640x480>"
    assert repr(Frame("a.png", 0, picture)) == "<Frame a.png, 640x480>"
