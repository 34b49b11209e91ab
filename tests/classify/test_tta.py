"""Test-time augmentation by its name: what is averaged, and that ten crops are five crops of both sides."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.classify.ensemble import base_classifiers, classifier_name
from mien.classify.tta import FiveCrop, Mirrored, TenCrop, Tta, with_tta
from mien.errors import DataError, ModelError
from mien.labels import EXPRESSIONS
from mien.types import Scores
from support import drawn_faces, random_faces


def corner(images: NDArray[np.uint8]) -> Scores:
    """A classifier that looks at the brightness of the left upper quarter alone."""
    bright = images[:, :24, :24].mean(axis=(1, 2)) / 255
    probs = np.zeros((len(images), 7), np.float32)
    probs[:, 3], probs[:, 4] = bright, 1 - bright
    return Scores(probs)


def test_ten_crops_are_five_crops_of_both_sides() -> None:
    images = drawn_faces(6).images
    both = (FiveCrop(corner)(images).probs + FiveCrop(corner)(images[..., ::-1]).probs) / 2
    np.testing.assert_allclose(TenCrop(corner)(images).probs, both, atol=1e-6)
    assert np.abs(both - FiveCrop(corner)(images).probs).max() > 1e-3


@pytest.mark.parametrize(
    ("tta", "kind"), [("none", type(corner)), ("mirror", Mirrored), ("five-crop", FiveCrop), ("ten-crop", TenCrop)]
)
def test_each_augmentation_has_its_name(tta: Tta, kind: type) -> None:
    made = with_tta(corner, tta)
    assert isinstance(made, kind)
    assert base_classifiers(made) == (corner,)
    names = {"none": "corner", "mirror": "corner mirrored", "five-crop": "corner five-crop"}
    assert classifier_name(made) == names.get(tta, "corner ten-crop")
    assert made(random_faces(3).images).class_names == EXPRESSIONS


def test_another_name_is_refused() -> None:
    other: Any = "twelve-crop"
    with pytest.raises(ModelError, match="tta must be none, mirror, five-crop, ten-crop, got twelve-crop"):
        with_tta(corner, other)


def test_ten_crops_need_crops_of_a_face() -> None:
    with pytest.raises(ModelError, match="24 to 48 whole pixels wide, got 49"):
        TenCrop(corner, side=49)
    with pytest.raises(DataError, match=r"faces must be \(N, 48, 48\)"):
        TenCrop(corner)(np.zeros((2, 40, 40), np.uint8))
