import numpy as np
import skimage.data

from mien.detect.quality import quality
from mien.detect.yunet import YuNet
from mien.types import Detections

UPRIGHT = np.array([[20, 30], [60, 30], [40, 50], [25, 70], [55, 70]], np.float32)


def face(*, side: float = 100, sure: float = 0.9, nose: float = 40, degrees: float = 0) -> Detections:
    points = UPRIGHT.copy()
    points[2, 0] = nose
    turn = np.radians(degrees)
    points = (points - 50) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + 50
    return Detections(np.array([[0, 0, side, 100]], np.float32), np.float32([sure]), points[None].astype(np.float32))


def test_what_makes_a_face_doubtful() -> None:
    assert quality(face()) == ("good",)
    assert quality(face(side=19.9)) == ("small",)
    assert quality(face(side=20)) == ("good",)
    assert quality(face(sure=0.7)) == ("unsure",)
    assert quality(face(nose=62)) == quality(face(nose=18)) == ("profile",)
    assert quality(face(nose=58)) == quality(face(nose=22)) == ("good",)
    assert quality(face(side=10, sure=0.5, nose=70)) == ("small+profile+unsure",)


def test_a_leaning_head_is_no_profile() -> None:
    for degrees in range(-170, 180, 10):
        assert quality(face(degrees=degrees)) == ("good",)
        assert quality(face(degrees=degrees, nose=62)) == ("profile",)


def test_without_landmarks_there_is_no_profile() -> None:
    faces = Detections(np.array([[0, 0, 10, 10], [0, 0, 50, 50]], np.float32), np.float32([0.9, 0.9]))
    assert quality(faces) == ("good", "small")
    assert quality(faces[:0]) == ()


def test_a_real_face_from_the_front_is_good() -> None:
    assert quality(YuNet()(skimage.data.astronaut())) == ("good",)
