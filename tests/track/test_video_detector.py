import numpy as np
import pytest
from numpy.typing import NDArray

from mien.detect.boxes import box_iou
from mien.errors import DataError
from mien.track.video_detector import STRIDE, VideoFaceDetector
from mien.types import Detections

RATE = 30


class Watched:
    """A detector that knows where faces are, and remembers on which frames it was asked."""

    def __init__(self, *paths: object) -> None:
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
    detector: Watched, frames: int, *, stride: int = STRIDE, rate: float = RATE, cut: int = 10**9
) -> list[tuple[Detections, list[int]]]:
    follower = VideoFaceDetector(detector, keep=lambda faces: faces, stride=stride)
    seen = []
    for detector.frame in range(frames):
        faces, tracks = follower(scene(int(detector.frame >= cut)), seconds=detector.frame / rate)
        seen.append((faces, tracks.tolist()))
    return seen


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


def test_between_searches_faces_are_where_their_motion_takes_them() -> None:
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


def test_a_face_that_goes_is_not_foreseen_for_longer_than_the_next_search() -> None:
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
