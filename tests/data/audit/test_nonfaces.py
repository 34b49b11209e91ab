"""Non-faces by votes, and by the detector where nobody voted."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from mien.data.audit.nonfaces import face_confidence, find_nonfaces
from mien.detect.align import crop_face
from mien.detect.yunet import YuNet
from mien.labels import VOTES
from mien.types import Detections, Detector
from support import drawn_faces


def _detector(confidence: float, side: float = 40.0) -> Detector:
    def detect(picture: NDArray[np.uint8]) -> Detections:
        assert picture.shape == (48, 48, 3)
        return Detections(np.array([[0, 0, side, side]], np.float32), np.array([confidence], np.float32))

    return detect


def test_votes_tell_of_nonfaces_and_the_detector_elsewhere() -> None:
    votes = np.zeros((4, len(VOTES)), np.float32)
    votes[:3, VOTES.index("nonface")] = [10, 5, 4]
    votes[:3, 0] = [0, 5, 6]
    faces = replace(drawn_faces(4), votes=votes)
    assert [(each.row, each.measure) for each in find_nonfaces(faces)] == [(0, 1), (1, 0.5)]
    told = []
    found = [each.row for each in find_nonfaces(faces, _detector(0.02), progress=lambda *counts: told.append(counts))]
    assert found == [0, 1, 3]
    assert told == [(1, 1)]
    assert [each.row for each in find_nonfaces(faces, _detector(0.9))] == [0, 1]


def test_without_votes_or_detector_nothing_is_known() -> None:
    assert list(find_nonfaces(drawn_faces(3))) == []


def test_a_face_must_fill_a_good_part() -> None:
    image = drawn_faces(1).images[0]
    assert face_confidence(image, _detector(0.5)) == pytest.approx(0.5)
    assert face_confidence(image, _detector(0.5, side=10)) == 0
    assert face_confidence(image, lambda _: Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))) == 0


def test_the_detector_that_ships_tells_a_face_from_noise() -> None:
    detector = YuNet(threshold=0.01)
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    assert face_confidence(crop_face(astronaut(), (180, 70, 270, 160)), detector) > 0.5
    assert face_confidence(noise, detector) < 0.05
