import numpy as np
import pytest

from mien.errors import DataError
from mien.io.frame import Frame, FrameSelection


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
def test_spans_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        FrameSelection(**options)


def test_only_larger_pictures_are_made_smaller_and_keep_their_shape() -> None:
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
