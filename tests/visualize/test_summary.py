"""Shares of time: against sums by hand, and against a table of the rows by pandas."""

import json
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest

from mien.errors import ModelError
from mien.labels import EXPRESSIONS
from mien.types import Detections, Prediction, Scores
from mien.visualize.summary import Summary


def seen(seconds: float, faces: dict[int, str], *, source: str = "a.mp4", tracked: bool = True) -> Prediction:
    """A frame with a face for each track, of an expression."""
    probs = np.full((len(faces), 7), 0.05, np.float32)
    probs[np.arange(len(faces)), [EXPRESSIONS.index(name) for name in faces.values()]] = 0.7
    boxes = np.array([[50 * place, 0, 50 * place + 40, 40] for place in range(len(faces))], np.float32)
    tracks = np.array(list(faces), np.int64) if tracked else None
    return Prediction(source, seconds, Detections(boxes, np.ones(len(faces), np.float32)), Scores(probs), tracks)


def summed(predictions: Iterable[Prediction]) -> list[dict[str, str | int | float]]:
    summary = Summary()
    for prediction in predictions:
        summary.add(prediction)
    return summary.rows()


def test_a_frame_lasts_until_the_next_one() -> None:
    one, two, every = summed(
        [
            seen(0, {1: "happy"}),
            seen(1, {1: "happy", 2: "sad"}),
            seen(1.5, {1: "sad", 2: "sad"}),
            seen(3.5, {}),
            seen(4, {1: "fear"}),
        ]
    )
    assert (one["source"], one["track"], one["seconds"], one["first"], one["last"]) == ("a.mp4", "1", 4, 0, 4.5)
    shares = {name: one[name] for name in EXPRESSIONS}
    assert shares == pytest.approx(
        {name: {"happy": 1.5, "sad": 2, "fear": 0.5}.get(name, 0) / 4 for name in EXPRESSIONS}
    )
    assert (two["track"], two["seconds"], two["first"], two["last"], two["sad"]) == ("2", 2.5, 1, 3.5, 1)
    assert (every["track"], every["seconds"], every["first"], every["last"]) == ("all", 6.5, 0, 4.5)
    assert every["sad"] == pytest.approx(4.5 / 6.5)


def test_it_agrees_with_a_table_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    frames = [
        seen(
            frame / 25, {int(track): str(rng.choice(EXPRESSIONS)) for track in rng.permutation(5)[: rng.integers(0, 5)]}
        )
        for frame in range(300)
    ]
    table = pd.DataFrame([row for frame in frames for row in frame.rows()])
    rows = {row["track"]: row for row in summed(frames)}
    for track, part in table.groupby("track"):
        row = rows.pop(str(track))
        assert row["seconds"] == pytest.approx(len(part) / 25)
        assert {name: row[name] for name in EXPRESSIONS} == pytest.approx(
            {name: (part["expression"] == name).mean() for name in EXPRESSIONS}
        )
        assert (row["first"], row["last"]) == pytest.approx((part["seconds"].min(), part["seconds"].max() + 1 / 25))
    assert rows.pop("all")["happy"] == pytest.approx((table["expression"] == "happy").mean())
    assert rows == {}


def test_the_longest_seen_comes_first_and_videos_are_apart() -> None:
    rows = summed(
        [seen(frame / 10, {1: "happy", 2: "sad"} if frame > 5 else {2: "sad"}, source="a.mp4") for frame in range(10)]
        + [seen(frame / 5, {1: "fear"}, source="b.mp4") for frame in range(20)]
    )
    told = [(row["source"], row["track"]) for row in rows]
    assert told == [("b.mp4", "1"), ("a.mp4", "2"), ("a.mp4", "1"), ("all", "all")]
    assert [row["seconds"] for row in rows] == pytest.approx([4, 1, 0.4, 5.4])


def test_a_look_that_is_the_only_one_has_shares_but_no_time() -> None:
    one, every = summed([seen(0, {1: "happy"})])
    assert [one["seconds"], one["happy"], every["seconds"]] == [0, 1, 0]


def test_pictures_count_among_all_only() -> None:
    (every,) = summed(
        [seen(0, {0: name}, source=f"{name}.png", tracked=False) for name in ("happy", "sad", "sad", "sad")]
    )
    assert (every["track"], every["seconds"]) == ("all", 0)
    assert every["sad"] == pytest.approx(0.75)


def test_nothing_seen_is_no_row() -> None:
    assert summed([]) == []
    assert summed([seen(0, {}), seen(1, {})]) == []


def test_rows_may_be_asked_for_as_it_goes_and_are_json() -> None:
    summary = Summary()
    for frame in range(50):
        summary.add(seen(frame / 25, {1: "happy"}))
        assert summary.rows()[0]["seconds"] == pytest.approx((frame + 1) / 25 if frame else 0)
    assert json.loads(json.dumps(summary.rows())) == summary.rows()


def test_other_expressions_than_before_are_refused() -> None:
    summary = Summary()
    for seconds in (0, 1):
        summary.add(seen(seconds, {1: "happy"}))
    box = Detections(np.array([[0, 0, 9, 9]]), np.ones(1, np.float32))
    other = Prediction("a.mp4", 2, box, Scores(np.array([[0.5, 0.5]]), ("up", "down")), np.ones(1, np.int64))
    with pytest.raises(ModelError, match=r"expressions must be .* got \('up', 'down'\)"):
        summary.add(other)
