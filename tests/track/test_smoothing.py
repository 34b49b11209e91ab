"""Smoothing: against the weighted mean, written out, and on a face that the real detector and model look at."""

import math
import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from clips import HEIGHT, RATE, WIDTH, Actor, at, scene
from mien.errors import DataError
from mien.pipeline.predictor import Predictor
from mien.track.smoothing import Smoother
from mien.track.tracker import Tracker
from mien.types import Scores


def probs(count: int, *, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).dirichlet(np.ones(7), count).astype(np.float32)


def ids(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def test_it_is_the_mean_of_what_was_seen_each_weighed_by_its_age() -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.01, 0.3, 60))
    rows = probs(60)
    smoother = Smoother(seconds=0.4)
    for number, now in enumerate(times):
        told = smoother(Scores(rows[number : number + 1]), ids(7), seconds=now)
        weights = np.exp(-(now - times[: number + 1]) / 0.4)
        oracle = (weights[:, None] * rows[: number + 1].astype(float)).sum(axis=0) / weights.sum()
        assert told.probs[0] == pytest.approx(oracle, abs=1e-6)
        assert told.probs.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("rate", [10, 25, 120])
def test_a_change_takes_the_same_time_at_any_frame_rate(rate: int) -> None:
    smoother, one = Smoother(seconds=0.5), np.eye(7, dtype=np.float32)
    shown = [
        float(smoother(Scores(one[[0 if frame < 10 * rate else 3]]), ids(1), seconds=frame / rate).probs[0, 3])
        for frame in range(12 * rate)
    ]
    half = next(frame for frame, share in enumerate(shown) if share >= 0.5) / rate - 10
    assert half == pytest.approx(0.5 * math.log(2), abs=1.5 / rate)


def test_tracks_are_smoothed_apart_whatever_their_order() -> None:
    rows = probs(2)
    one, both, smoother = Smoother(), Smoother(), Smoother()
    assert smoother(Scores(rows), ids(4, 9), seconds=0).probs == pytest.approx(rows)
    for frame in range(10):
        rows = probs(2, seed=frame)
        alone = one(Scores(rows[:1]), ids(4), seconds=frame / 25)
        swapped = frame % 2 == 1
        together = both(
            Scores(rows[::-1] if swapped else rows), ids(9, 4) if swapped else ids(4, 9), seconds=frame / 25
        )
        assert together.probs[int(swapped)] == pytest.approx(alone.probs[0], abs=1e-7)


def test_tracks_that_ended_are_forgotten() -> None:
    smoother, sizes = Smoother(seconds=0.3), []
    for frame in range(800):
        smoother(Scores(probs(3)), np.arange(3) + 3 * frame, seconds=frame / 25)
        sizes.append(len(pickle.dumps(smoother)))
    assert max(sizes[400:]) < 1.1 * max(sizes[:400])
    fresh = probs(1, seed=5)
    assert smoother(Scores(fresh), ids(1), seconds=60).probs == pytest.approx(fresh)


def test_zero_seconds_change_nothing_and_no_face_is_no_row() -> None:
    scores = Scores(probs(3))
    assert Smoother(seconds=0)(scores, ids(1, 2, 3), seconds=1) is scores
    smoother = Smoother()
    names = ("up", "down")
    none = smoother(Scores(np.zeros((0, 2), np.float32), names), ids(), seconds=0)
    assert none.probs.shape == (0, 2)
    assert none.class_names == names


def test_a_time_that_goes_back_does_no_harm() -> None:
    smoother = Smoother()
    for seconds in (1, 0.2, 1.04):
        told = smoother(Scores(probs(1)), ids(1), seconds=seconds)
    assert told.probs == pytest.approx(probs(1), abs=1e-6)


@pytest.mark.parametrize("seconds", [-0.1, math.nan, math.inf])
def test_other_time_constants_are_refused(seconds: float) -> None:
    with pytest.raises(DataError, match="seconds must be 0 or more, got"):
        Smoother(seconds=seconds)


def test_a_face_that_holds_still_gives_steady_probabilities() -> None:
    rng = np.random.default_rng(0)
    predictor, tracker, smoother = Predictor(), Tracker(), Smoother()
    still = scene([Actor(at(160, 120), side=60, look=3)], 0).astype(float)
    raw, smooth = [], []
    for frame in range(40):
        noisy = still * (1 + 0.03 * math.sin(frame / 5)) + rng.normal(0, 8, (HEIGHT, WIDTH, 3))
        seen = predictor(noisy.clip(0, 255).astype(np.uint8))
        tracks = tracker.update(seen.faces, seconds=frame / RATE)
        assert tracks.tolist() == [1]
        raw.append(seen.scores.probs[0])
        smooth.append(smoother(seen.scores, tracks, seconds=frame / RATE).probs[0])
    steps_raw, steps_smooth = (np.abs(np.diff(rows, axis=0)).sum(axis=1)[10:].mean() for rows in (raw, smooth))
    assert steps_smooth < 0.25 * steps_raw
    assert steps_smooth < 0.01
    assert len(set(np.argmax(smooth, axis=1).tolist())) == 1
