from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.detect.boxes import box_iou
from mien.errors import DataError
from mien.io.frame import Frame
from mien.track.video_detector import STRIDE, VideoFaceDetector
from mien.types import Detections

RATE = 30

Path = Callable[[int], tuple[float, float] | None]  # a frame -> left and top of a face; None: not there


class Watched:
    """A detector that knows where faces are, and remembers on which frames it was asked."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self.frame = 0
        self.asked: list[int] = []

    def boxes(self) -> list[list[float]]:
        places = [path(self.frame) for path in self.paths]
        return [[x, y, x + 60, y + 70] for x, y in filter(None, places)]

    def __call__(self, _: NDArray[np.uint8]) -> Detections:
        self.asked.append(self.frame)
        boxes = np.array(self.boxes(), np.float32).reshape(-1, 4)
        return Detections(boxes, np.full(len(boxes), 0.9, np.float32))


def scene(seed: int = 0) -> NDArray[np.uint8]:
    """A picture of four rough colours, that others of other seeds do not share."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return colours.repeat(60, axis=0).repeat(80, axis=1)


def follow(
    detector: Watched, frames: int, *, stride: int = STRIDE, rate: float = RATE, cut: int = 10**9, live: bool = False
) -> list[tuple[Detections, list[int]]]:
    def watched() -> Iterator[Frame]:
        for detector.frame in range(frames):
            picture = scene(int(detector.frame >= cut))
            yield Frame("a.mp4", detector.frame / rate, picture, moving=True, live=live)

    tracker = VideoFaceDetector(detector, keep=lambda faces: faces, stride=stride)
    seen = [(frame.seconds, faces, tracks.tolist()) for frame, faces, tracks in tracker.track(watched())]
    assert [seconds for seconds, _, _ in seen] == [number / rate for number in range(frames)]
    return [(faces, tracks) for _, faces, tracks in seen]


def still(frame: int) -> tuple[float, float]:  # noqa: ARG001
    return 100, 90


def steady(frame: int) -> tuple[float, float]:
    return 30 + 2 * frame, 60


def test_a_still_face_is_searched_for_on_each_fourth_frame() -> None:
    detector = Watched(still)
    seen = follow(detector, 60)
    assert set(np.diff(detector.asked[6:])) == {STRIDE}
    assert all(tracks == [1] for _, tracks in seen)
    assert all(np.abs(faces.boxes - [100, 90, 160, 160]).max() < 1 for faces, _ in seen)


def test_between_searches_faces_move_on() -> None:
    detector = Watched(steady)
    seen = follow(detector, 60)
    assert len(detector.asked) < 30
    for frame, (faces, tracks) in enumerate(seen):
        truth = np.array([30 + 2 * frame, 60, 90 + 2 * frame, 130], np.float32)
        assert tracks == [1]
        assert box_iou(truth, faces.boxes)[0] > 0.9


def test_with_a_stride_of_one_each_frame_is_searched() -> None:
    detector = Watched(steady)
    follow(detector, 20, stride=1)
    assert detector.asked == list(range(20))
    with pytest.raises(DataError, match="stride must be 1 frame or more, got 0"):
        follow(detector, 1, stride=0)


def test_at_few_frames_a_second_each_is_searched() -> None:
    detector = Watched(still)
    follow(detector, 20, rate=5)
    assert detector.asked == list(range(20))


def test_a_face_that_comes_makes_the_search_closer_again() -> None:
    detector = Watched(still, lambda frame: (200, 90) if frame >= 30 else None)
    seen = follow(detector, 60)
    first = min(asked for asked in detector.asked if asked >= 30)
    assert first < 30 + STRIDE
    assert first + 1 in detector.asked
    assert all(len(tracks) == 2 for _, tracks in seen[first:])


def test_a_face_that_goes_is_predicted_until_the_next_search() -> None:
    detector = Watched(still, lambda frame: (200, 90) if frame < 30 else None)
    seen = follow(detector, 60)
    assert all(len(tracks) == 1 for _, tracks in seen[30 + STRIDE :])


def test_a_face_that_jumps_is_searched_for_on_each_frame() -> None:
    rng = np.random.default_rng(0)
    detector = Watched(lambda _: tuple(rng.uniform(60, 110, 2)))
    follow(detector, 40)
    assert len(detector.asked) > 30


def test_a_cut_ends_all_tracks_and_is_searched_at_once() -> None:
    detector = Watched(still)
    seen = follow(detector, 60, cut=33)
    assert 33 in detector.asked
    assert [tracks for _, tracks in seen] == [[1]] * 33 + [[2]] * 27


def test_a_face_that_left_the_picture_is_not_foreseen_outside() -> None:
    detector = Watched(lambda frame: (200 + 6 * frame, 60) if frame < 14 else None)
    for faces, _ in follow(detector, 40):
        assert (faces.boxes[:, [0, 2]].mean(axis=1) < 320).all()


def flash(*frames: int) -> Path:
    """A face that is found on these frames only."""
    return lambda frame: (200, 90) if frame in frames else None


def told(detector: Watched, frames: int, **options: Any) -> list[list[int]]:
    """The tracks of each frame, each frame searched."""
    return [sorted(tracks) for _, tracks in follow(detector, frames, stride=1, **options)]


def test_what_is_found_twice_is_no_face_and_takes_no_number() -> None:
    assert told(Watched(still, flash(5, 6), flash()), 20) == [[1]] * 20
    late = Watched(still, flash(5, 6), lambda frame: (30, 150) if frame >= 10 else None)
    assert told(late, 20) == [[1]] * 10 + [[1, 2]] * 10


def test_what_is_found_three_times_is_a_face_from_the_first_on() -> None:
    assert told(Watched(still, flash(5, 6, 7)), 12) == [[1]] * 5 + [[1, 2]] * 3 + [[1]] * 4
    assert told(Watched(flash(2, 3, 5, 6)), 9) == [[]] * 9  # not in a row


def test_once_confirmed_a_face_may_be_missed() -> None:
    seen = told(Watched(lambda frame: None if frame in (4, 6, 7) else (100, 90)), 12)
    assert seen == [[] if frame in (4, 6, 7) else [1] for frame in range(12)]


@pytest.mark.parametrize("frames", [1, 2])
def test_in_a_video_of_two_frames_faces_count(frames: int) -> None:
    assert told(Watched(still), frames) == [[1]] * frames
    assert told(Watched(still, flash(1)), frames) == [[1]] * frames  # it was not there all the time


def test_in_a_shot_of_two_frames_faces_count() -> None:
    assert told(Watched(still), 4, cut=2) == [[1]] * 2 + [[2]] * 2
    assert told(Watched(still), 12, cut=10) == [[1]] * 10 + [[2]] * 2


def test_a_face_before_a_camera_is_there_from_its_third_look() -> None:
    late = Watched(still, lambda frame: (200, 90) if frame >= 5 else None, flash(8, 9))
    assert told(late, 10, live=True) == [[1]] * 7 + [[1, 2]] * 3


def test_few_frames_wait_for_a_face_to_be_confirmed() -> None:
    detector = Watched(*(lambda frame, n=n: (60.0 * n, 90) if frame >= 4 * n else None for n in range(4)))
    behind = []

    def watched() -> Iterator[Frame]:
        for detector.frame in range(30):
            yield Frame("a.mp4", detector.frame / RATE, scene(), moving=True)

    tracker = VideoFaceDetector(detector, keep=lambda faces: faces)
    for number, _ in enumerate(tracker.track(watched())):
        behind.append(detector.frame - number)
    assert max(behind) <= 2 * STRIDE


def test_an_error_comes_after_the_frames_before_it() -> None:
    detector = Watched(still)

    def broken() -> Iterator[Frame]:
        for detector.frame in range(2):
            yield Frame("a.mp4", detector.frame / RATE, scene(), moving=True)
        raise DataError("it broke")

    frames = VideoFaceDetector(detector, keep=lambda faces: faces).track(broken())
    assert [tracks.tolist() for _, _, tracks in (next(frames), next(frames))] == [[1], [1]]
    with pytest.raises(DataError, match="it broke"):
        next(frames)


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=3, max_size=20))
@settings(max_examples=60, deadline=None)
def test_tracks_of_any_faces_are_those_of_their_runs(there: list[list[bool]]) -> None:
    """Against runs counted one by one: three in a row begin a track, which then lasts."""
    paths = [lambda frame, n=n: (400.0 * n, 60) if there[frame][n] else None for n in range(3)]
    seen = follow(Watched(*paths), len(there), stride=1, rate=40)
    expected: list[set[int]] = [set() for _ in there]
    for face in range(3):
        confirmed, run = False, list[int]()
        for frame, present in enumerate(there):
            run = [*run, frame] if present[face] else (run if confirmed else [])
            confirmed = confirmed or len(run) == 3
        for frame in run if confirmed else []:
            expected[frame].add(face)
    assert [{round(left / 400) for left in faces.boxes[:, 0].tolist()} for faces, _ in seen] == expected
    by_face: dict[int, set[int]] = {}
    for faces, tracks in seen:
        for left, track in zip(faces.boxes[:, 0].tolist(), tracks, strict=True):
            by_face.setdefault(round(left / 400), set()).add(track)
    numbers = [track for tracks in by_face.values() for track in tracks]
    assert sorted(numbers) == list(range(1, len(by_face) + 1))
