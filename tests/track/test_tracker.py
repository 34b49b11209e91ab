"""The tracker: against drawn scenes whose truth is known, and with the real detector on videos."""

import itertools
import math
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from clips import Actor, Clip, along, at, scene, write_clip
from mien.detect.boxes import box_iou
from mien.detect.yunet import YuNet
from mien.errors import DataError
from mien.track.cuts import CutDetector
from mien.track.tracker import Tracker, match_boxes
from mien.types import Detections

Boxes = NDArray[np.float64]


def found(*boxes: tuple[float, float, float], landmarks: bool = False) -> Detections:
    """Square faces: centre x, centre y, side."""
    corners = np.array([(x - s / 2, y - s / 2, x + s / 2, y + s / 2) for x, y, s in boxes], np.float32).reshape(-1, 4)
    points = np.repeat(corners[:, None, :2] + 5, 5, axis=1) if landmarks else None
    return Detections(corners, np.full(len(boxes), 0.9, np.float32), points)


def id_at(faces: Detections, ids: NDArray[np.int64], x: float) -> int:
    """The number of the face whose centre is nearest to x."""
    return int(ids[np.abs(faces.boxes[:, ::2].mean(axis=1) - x).argmin()])


def test_ids_stay_with_their_faces_when_the_order_changes() -> None:
    tracker = Tracker()
    for frame in range(40):  # the left face grows, the right one shrinks
        faces = found((100, 100, 40 + frame), (300, 100, 80 - frame))
        ids = tracker.update(faces, seconds=frame / 25)
        assert (id_at(faces, ids, 100), id_at(faces, ids, 300)) == (2, 1)
    assert faces.boxes[0, 0] < 200


def test_a_face_keeps_its_id_through_a_short_gap_only() -> None:
    tracker = Tracker(max_gap_seconds=1)
    seen = []
    for frame in range(200):
        seconds = frame / 25
        away = 1 <= seconds < 1.8 or 3 <= seconds < 4.2
        ids = tracker.update(found() if away else found((100 + frame, 100, 50)), seconds=seconds)
        seen += ids.tolist()
    assert list(dict.fromkeys(seen)) == [1, 2]
    assert seen == sorted(seen)


def test_who_comes_where_another_left_long_ago_is_somebody_else() -> None:
    tracker = Tracker()
    tracker.update(found((100, 100, 50)), seconds=0)
    for frame in range(1, 40):
        tracker.update(found(), seconds=frame / 25)
    assert tracker.update(found((100, 100, 50)), seconds=1.6).tolist() == [2]


def test_who_comes_elsewhere_is_somebody_else_at_once() -> None:
    tracker = Tracker()
    tracker.update(found((100, 100, 50)), seconds=0)
    assert tracker.update(found((300, 100, 50)), seconds=0.04).tolist() == [2]
    assert tracker.update(found((300, 100, 50), (100, 100, 120)), seconds=0.08).tolist() == [
        3,
        2,
    ]  # as near, but far larger


def test_a_cut_ends_all() -> None:
    tracker = Tracker()
    assert tracker.update(found((100, 100, 50)), seconds=0).tolist() == [1]
    tracker.reset()
    assert len(tracker.predict(seconds=0.04)[0]) == 0
    assert tracker.update(found((100, 100, 50)), seconds=0.04).tolist() == [2]


def test_times_count_not_frames() -> None:
    rng = np.random.default_rng(1)
    seconds, tracker = 0.0, Tracker()
    for _ in range(200):  # 60 pixels a second: a side of the face, at steps from 0.01 to 0.6 seconds
        assert tracker.update(found((60 * seconds, 100, 60)), seconds=seconds).tolist() == [1]
        seconds += rng.uniform(0.01, 0.6)


def test_looks_may_be_further_apart_than_the_longest_gap() -> None:
    tracker = Tracker(max_gap_seconds=1)
    assert {int(tracker.update(found((100, 100, 50)), seconds=5 * look)[0]) for look in range(5)} == {1}
    assert tracker.update(found(), seconds=25).tolist() == []
    assert tracker.update(found((100, 100, 50)), seconds=30).tolist() == [1]
    dense = Tracker(max_gap_seconds=1)
    for frame in range(30):
        dense.update(found((100, 100, 50)), seconds=frame / 25)
    assert dense.update(found((100, 100, 50)), seconds=9).tolist() == [2]


@pytest.mark.parametrize("speed", [0.8, 1.5, 3.0])
def test_faces_that_cross_keep_their_ids(speed: float) -> None:
    rng = np.random.default_rng(int(speed * 10))
    right, trials = 0, 15
    for _ in range(trials):
        tracker, steps = Tracker(), 60
        for frame in range(steps + 1):
            seconds = frame / 25
            offset = speed * 80 * (seconds - steps / 50)
            near, far = (640 + offset, 300.0, 80.0), (640 - offset, 310.0, 70.0)
            boxes = [near] if abs(offset) < 28 else [near, far]  # as one face, until a third of it shows
            noisy = [np.array(box) + rng.normal(0, 0.025, 3) * box[2] for box in boxes]
            faces = found(*(tuple(box.tolist()) for box in noisy))
            ids = tracker.update(faces, seconds=seconds)
            if frame == 0:
                before = id_at(faces, ids, near[0]), id_at(faces, ids, far[0])
        right += before == (id_at(faces, ids, near[0]), id_at(faces, ids, far[0]))
    assert right >= 0.9 * trials


def test_pairs_are_the_best_assignment_of_what_is_near() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        count = int(rng.integers(1, 8))
        low = np.stack(np.meshgrid(np.arange(3), np.arange(3)), -1).reshape(-1, 2)[rng.permutation(9)[:count]] * 200.0
        one = np.concatenate([low, low + rng.uniform(60, 100, (count, 1))], axis=1).astype(np.float32)
        other = (one + rng.normal(0, 3, one.shape).astype(np.float32))[rng.permutation(count)]
        best = linear_sum_assignment([[-box_iou(box, other)[column] for column in range(count)] for box in one])
        assert sorted(match_boxes(one, other)) == list(zip(*(side.tolist() for side in best), strict=True))
    assert list(match_boxes(one, one[:0])) == list(match_boxes(one[:0], one)) == []
    assert list(match_boxes(one[:1], one[:1] + 400)) == []


def test_predicted_faces_move_on_with_their_landmarks() -> None:
    tracker = Tracker()
    for frame in range(26):
        seconds = frame / 25
        faces = found((100 + 80 * seconds, 100, 40), (400, 100 + 50 * seconds, 60), landmarks=True)
        ids = tracker.update(faces, seconds=seconds)
    expected, numbers = tracker.predict(seconds=1.1)
    assert numbers.tolist() == ids.tolist()
    assert expected.confidence == pytest.approx([0.9, 0.9])
    moved = found((100 + 80 * 1.1, 100, 40), (400, 100 + 50 * 1.1, 60), landmarks=True)
    assert np.abs(expected.boxes - moved.boxes).max() < 1.5
    assert expected.landmarks is not None
    assert moved.landmarks is not None
    assert np.abs(expected.landmarks - moved.landmarks).max() < 1.5


def test_only_faces_of_the_latest_look_are_predicted() -> None:
    tracker = Tracker()
    assert len(tracker.predict(seconds=0)[1]) == 0
    tracker.update(found((100, 100, 40), (300, 100, 60)), seconds=0)
    tracker.update(found((100, 100, 40)), seconds=0.04)
    faces, ids = tracker.predict(seconds=0.08)
    assert ids.tolist() == [2]
    assert faces.landmarks is None
    tracker.update(found(), seconds=0.12)
    assert len(tracker.predict(seconds=0.16)[0]) == 0


def test_predicting_changes_nothing_and_no_face_vanishes() -> None:
    one, other = Tracker(), Tracker()
    for frame, side in enumerate((200, 150, 100, 60, 30)):
        faces = found((100 + 9 * frame, 100, side))
        for far in (0.1, 5, 500):
            assert (np.diff(one.predict(seconds=frame / 25 + far)[0].boxes.reshape(-1, 2, 2), axis=1) > 0).all()
        assert one.update(faces, seconds=frame / 25).tolist() == other.update(faces, seconds=frame / 25).tolist()
        assert (one.predict(seconds=1)[0].boxes == other.predict(seconds=1)[0].boxes).all()


def test_a_time_that_goes_back_counts_as_the_latest() -> None:
    tracker = Tracker()
    for seconds in (0, 5, 3, 3.04, 5.04):
        assert tracker.update(found((100, 100, 50)), seconds=seconds).tolist() == [1]


@pytest.mark.parametrize("gap", [-1, math.nan])
def test_a_negative_gap_is_refused(gap: float) -> None:
    with pytest.raises(DataError, match="max_gap_seconds must be 0 or more, got"):
        Tracker(max_gap_seconds=gap)


@pytest.mark.parametrize("every", [1, 5])
def test_faces_that_wander_by_chance_keep_their_ids(every: int) -> None:
    broken = sum(_broken(seed, every) for seed in range(6))
    assert broken <= 1  # of 18 faces over 8 seconds


def _broken(seed: int, every: int) -> int:
    """How often one of three wandering faces changes its number: positions drift by a third of a side a second, the
    detector is off by 2% of a side and misses one look in thirty."""
    rng = np.random.default_rng(seed)
    place = np.array([[200.0, 200], [500, 220], [800, 210]])
    side, speed, tracker, known, broken = np.array([60.0, 110, 80]), np.zeros((3, 2)), Tracker(), [0, 0, 0], 0
    for frame in range(200):
        speed = 0.9 * speed + rng.normal(0, 0.15, (3, 2)) * side[:, None]
        place = place + speed / 25
        if frame % every:
            continue
        there = np.flatnonzero(rng.random(3) > 1 / 30)
        noisy = [(*(place[who] + rng.normal(0, 0.02, 2) * side[who]), side[who] * rng.normal(1, 0.03)) for who in there]
        faces = found(*noisy)
        ids = tracker.update(faces, seconds=frame / 25)
        for who, number in zip(there[np.argsort([-box[2] for box in noisy])], ids.tolist(), strict=True):
            broken += known[who] not in (0, number)
            known[who] = number
    return broken


def follow(clip: Clip, *, every: int = 1) -> list[dict[int, int]]:
    """The ids that the actors of a video have in each frame, by the real detector, tracker and shots."""
    detector, tracker, cuts = YuNet(), Tracker(), CutDetector()
    told: list[dict[int, int]] = []
    with av.open(str(clip.path)) as file:
        frames = [
            (frame.time or 0.0, frame.to_ndarray(format="rgb24").astype(np.uint8)) for frame in file.decode(video=0)
        ]
    assert [seconds for seconds, _ in frames] == pytest.approx(clip.seconds, abs=1e-3)
    for number, (seconds, picture) in enumerate(frames):
        if cuts(picture):
            tracker.reset()
        if number % every:
            faces, ids = tracker.predict(seconds=seconds)
        else:
            faces = detector(picture)
            ids = tracker.update(faces, seconds=seconds)
        told.append({})
        for box, id_ in zip(faces.boxes, ids.tolist(), strict=True):
            actors = list(clip.boxes[number])
            shares = box_iou(box, np.array([clip.boxes[number][actor] for actor in actors], np.float32).reshape(-1, 4))
            assert shares.max() > 0.25
            told[-1][actors[int(shares.argmax())]] = id_
    return told


def ids_of(told: list[dict[int, int]], actor: int) -> list[int]:
    """An actor's ids in order, each once in a row."""
    return [id_ for id_, _ in itertools.groupby(frame[actor] for frame in told if actor in frame)]


@pytest.mark.parametrize("every", [1, 3])
def test_in_a_video_moving_and_leaving_faces_have_one_id_each(tmp_path: Path, every: int) -> None:
    actors = [
        Actor(at(60, 70), side=48),
        Actor(along((0, 160, 180), (1, 220, 160), (2, 160, 180)), side=60, look=1),
        Actor(along((0, 250, 70), (0.6, 250, 70), (1.2, 400, 70)), side=52, look=3),
    ]
    told = follow(write_clip(tmp_path / "a.mp4", actors), every=every)
    ids = [ids_of(told, actor) for actor in range(3)]
    assert sorted(itertools.chain.from_iterable(ids)) == [1, 2, 3]
    assert 2 not in told[-1]
    assert sum(len(frame) for frame in told) > 120


def test_in_a_video_crossing_faces_keep_their_ids(tmp_path: Path) -> None:
    actors = [
        Actor(along((0, 40, 110), (2, 280, 110)), side=52),
        Actor(along((0, 280, 120), (2, 40, 120)), side=60, look=3),
    ]
    told = follow(write_clip(tmp_path / "a.mp4", actors))
    assert sorted(ids_of(told, 0) + ids_of(told, 1)) == [1, 2]
    assert any(len(frame) == 1 for frame in told)  # one hid the other


def test_in_a_video_ids_end_at_a_cut_and_follow_true_times(tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 0.3, 0.34, 0.8, 0.84, 0.88, 1, 1.04, 1.3, 1.5, 1.9]
    clip = write_clip(tmp_path / "a.mp4", [Actor(at(160, 120), side=70)], times=times, cuts=[1])
    told = follow(clip)
    assert [frame[0] for frame in told] == [1] * 8 + [2] * 5


def test_a_picture_of_the_scene_is_what_the_clip_shows(tmp_path: Path) -> None:
    actors = [Actor(at(100, 100))]
    clip = write_clip(tmp_path / "a.mp4", actors, duration=0.2, rotation=90, sound=True)
    with av.open(str(clip.path)) as file:
        assert [stream.type for stream in file.streams] == ["video", "audio"]
        frame = next(file.decode(video=0))
    upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    assert np.abs(upright.astype(float) - scene(actors, 0)).mean() < 4
