"""Corruptions against SciPy and Pillow, and what all of them keep to."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from mien.errors import DataError
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt, sample
from support import drawn_faces

FACES = drawn_faces(120, seed=3).images
EVERY = range(1, SEVERITIES + 1)


def test_there_are_enough_of_them() -> None:
    assert len(CORRUPTIONS) >= 14


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_is_repeatable_and_harms_more_with_severity(name: str) -> None:
    harm = []
    for severity in EVERY:
        changed = corrupt(FACES, name, severity, seed=5)
        assert changed.shape == FACES.shape
        assert changed.dtype == np.uint8
        assert (changed == corrupt(FACES, name, severity, seed=5)).all()
        harm.append(float(np.abs(changed.astype(float) - FACES).mean()))
    assert harm[0] > 0
    assert harm == sorted(harm)


def test_another_seed_gives_other_faces() -> None:
    alike = {name for name in CORRUPTIONS if (corrupt(FACES, name, 3) == corrupt(FACES, name, 3, seed=1)).all()}
    assert alike == {"gaussian_blur", "jpeg", "resolution", "contrast"}  # in which nothing is drawn


def _blurred(face: NDArray[np.uint8]) -> NDArray[np.float64]:
    blurred: NDArray[np.float64] = ndimage.gaussian_filter(face.astype(float), 1.4, mode="nearest", radius=5)
    return blurred


def _far(face: NDArray[np.uint8]) -> NDArray[np.float32]:
    image = Image.fromarray(face.astype(np.float32))
    for side in (17, 48):
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _stored(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    Image.fromarray(face).save(stream, "JPEG", quality=11)
    return np.asarray(Image.open(stream))


@pytest.mark.parametrize(
    ("name", "oracle", "most"), [("gaussian_blur", _blurred, 0.51), ("resolution", _far, 0.51), ("jpeg", _stored, 1.0)]
)
def test_they_are_what_libraries_make(name: str, oracle: Callable[..., NDArray[np.floating]], most: float) -> None:
    for face, changed in zip(FACES[:10], corrupt(FACES[:10], name, 3), strict=True):
        gap = np.abs(changed - oracle(face).astype(float))
        assert np.quantile(gap, 0.95) <= most  # Pillow's transform is of whole numbers, and rounds some the other way


def test_pixels_are_read_between_pixels_as_scipy_does() -> None:
    rng = np.random.default_rng(0)
    face = FACES[:1].astype(np.float32)
    right, down = rng.uniform(-9, 9, (2, 1, 48, 48))
    rows, columns = np.indices((48, 48))
    wanted = ndimage.map_coordinates(face[0], [rows + down[0], columns + right[0]], order=1, mode="nearest")
    assert sample(face, right, down)[0] == pytest.approx(wanted, abs=1e-2)


@pytest.mark.parametrize("severity", EVERY)
def test_a_shift_moves_faces_as_far_as_it_says(severity: int) -> None:
    dot = np.zeros((40, 48, 48), np.uint8)
    dot[:, 23:26, 23:26] = 255
    moved = corrupt(dot, "shift", severity).astype(float)
    places = [ndimage.center_of_mass(face) for face in moved]
    assert np.hypot(*(np.array(places) - 24).T) == pytest.approx(2.0 * severity, abs=0.05)
    assert np.ptp([column for _, column in places]) > 2 * severity  # in many directions


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("covered_eyes", slice(30, 48)),
        ("covered_mouth", slice(0, 24)),
        ("mask", slice(0, 22)),
        ("hand", slice(0, 5)),
    ],
)
def test_covers_leave_the_rest_of_a_face_alone(name: str, kept: slice) -> None:
    for severity in EVERY:
        changed = corrupt(FACES, name, severity)
        assert (changed[:, kept] == FACES[:, kept]).all()
        covered = (changed != FACES).mean(axis=(1, 2))
        assert covered.min() > 0.01
        assert covered.max() < 0.55


def test_brightness_goes_both_ways() -> None:
    change = (corrupt(FACES, "brightness", 3).astype(float) - FACES).mean(axis=(1, 2))
    assert 0.3 < (change > 0).mean() < 0.7


def test_what_is_no_corruption_is_refused() -> None:
    with pytest.raises(DataError, match=r"a corruption must be one of gaussian_blur, .*, got fog"):
        corrupt(FACES, "fog", 1)
    with pytest.raises(DataError, match="a severity must be 1 to 5, got 0"):
        corrupt(FACES, "jpeg", 0)
    with pytest.raises(DataError, match="48"):
        corrupt(FACES[:, :40], "jpeg", 1)
    assert corrupt(FACES[:0], "hand", 2).shape == (0, 48, 48)
