"""Robustness of classifiers whose weakness is known, and the mean corruption error by hand."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.classify.card import ModelCard
from mien.errors import DataError
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from mien.evaluation.page.corrupted import corrupted_section
from mien.evaluation.robustness import CorruptionError, Robustness, robustness
from mien.evaluation.robustness_figure import robustness_picture
from mien.labels import EXPRESSIONS
from mien.types import FaceSet, Scores
from support import random_faces

NAMES = tuple(CORRUPTIONS)
HAPPY, NEUTRAL = EXPRESSIONS.index("happy"), EXPRESSIONS.index("neutral")


class AlwaysHappy:
    """A classifier that calls each face happy."""

    name = "always happy"

    def __call__(self, images: NDArray[np.uint8]) -> Scores:
        probs = np.zeros((len(images), 7), np.float32)
        probs[:, HAPPY] = 1
        return Scores(probs)


class LightUpperHalf(AlwaysHappy):
    """A classifier that calls a face happy where its upper half is the lighter one, and else neutral."""

    card = ModelCard("light", EXPRESSIONS, question="ferplus")

    def __call__(self, images: NDArray[np.uint8]) -> Scores:
        light = images[:, :24].mean(axis=(1, 2)) > images[:, 24:].mean(axis=(1, 2))
        probs = np.zeros((len(images), 7), np.float32)
        probs[light, HAPPY] = 1
        probs[~light, NEUTRAL] = 1
        return Scores(probs)


def halves(count: int) -> FaceSet:
    """Faces of noise, their upper half lighter where they are happy and darker where they are neutral."""
    labels = np.where(np.arange(count) % 3 > 0, HAPPY, NEUTRAL)
    faces = random_faces(count, labels=labels)
    slope = np.where(np.arange(48) < 24, 30, -30)[:, None] * np.where(labels == HAPPY, 1, -1)[:, None, None]
    images = np.clip(faces.images // 4 + 96 + slope, 0, 255).astype(np.uint8)
    return replace(faces, images=images)


def test_a_classifier_that_does_not_look_loses_nothing() -> None:
    faces = halves(60)
    measured = robustness(AlwaysHappy(), faces)
    assert measured.clean_accuracy.value == pytest.approx(2 / 3)
    assert measured.accuracy.tolist() == np.full((len(NAMES), SEVERITIES), measured.clean_accuracy.value).tolist()
    assert (measured.count, measured.truth, measured.faces_hash) == (60, "labels", faces.hash)
    assert repr(measured) == "<Robustness always happy: 66.7% clean, 66.7% over 17 corruptions>"


def test_only_what_a_classifier_looks_at_harms_it() -> None:
    measured = robustness(LightUpperHalf(), halves(60))
    means = dict(zip(NAMES, measured.accuracy.mean(axis=1), strict=True))
    assert measured.clean_accuracy.value == 1
    for harmless in ("gaussian_blur", "gaussian_noise", "jpeg", "contrast", "resolution", "scale"):
        assert means[harmless] == 1
    for harmful in ("uneven_light", "mask", "covered_eyes"):
        assert means[harmful] < 0.97
    low, high = measured.interval
    assert low < measured.mean_accuracy < high <= 1


def test_the_card_decides_what_is_right() -> None:
    faces = random_faces(50, labels=np.full(50, HAPPY), votes=True)
    votes = np.zeros((50, 10), np.float32)
    votes[:30, NEUTRAL] = 10  # and the others have no vote
    faces = replace(faces, votes=votes)
    by_people, by_label = robustness(LightUpperHalf(), faces), robustness(AlwaysHappy(), faces)
    assert (by_people.truth, by_people.count) == ("votes", 30)
    assert (by_label.truth, by_label.count, by_label.mean_accuracy) == ("labels", 50, 1)
    assert robustness(AlwaysHappy(), faces, against="votes").mean_accuracy == 0
    assert robustness(LightUpperHalf(), replace(faces, votes=None)).truth == "labels"


def test_the_same_faces_are_drawn_for_all() -> None:
    faces = halves(80)
    one, other = (robustness(classifier, faces, sample=20) for classifier in (AlwaysHappy(), LightUpperHalf()))
    assert one.count == other.count == 20
    assert one.faces_hash == other.faces_hash != faces.hash
    assert robustness(AlwaysHappy(), faces, sample=20, seed=1).faces_hash != one.faces_hash
    assert robustness(AlwaysHappy(), faces, sample=0).count == 80


def made(right: list[int], *, clean: int, faces: int = 10) -> Robustness:
    """The robustness of a model that is right on so many faces, whatever the severity, for each corruption."""
    rows = [np.arange(faces) < count for count in right]
    names = tuple(f"c{number}" for number in range(len(right)))
    return Robustness("m", "labels", "h", np.arange(faces) < clean, np.repeat(rows, 5, 0).reshape(-1, 5, faces), names)


def test_the_mean_corruption_error_by_hand() -> None:
    compared = CorruptionError(made([7, 4], clean=9), made([4, 2], clean=8))
    assert compared.each == pytest.approx([3 / 6, 6 / 8])
    assert compared.mean == pytest.approx(0.625)
    assert compared.relative == pytest.approx((2 / 4 + 5 / 6) / 2)
    assert CorruptionError(compared.first, compared.first).mean == pytest.approx(1)
    assert CorruptionError(compared.first, compared.first).interval == pytest.approx((1, 1))


def test_nothing_is_divided_by_no_error() -> None:
    compared = CorruptionError(made([7, 4], clean=9), made([10, 2], clean=10))
    assert compared.to_dict()["corruption_error"] == {"c0": None, "c1": pytest.approx(6 / 8)}
    assert compared.mean == pytest.approx(6 / 8)
    assert compared.exists
    none = CorruptionError(made([7, 4], clean=9), made([10, 10], clean=10))
    assert none.to_dict()["mce"] is none.to_dict()["low"] is none.to_dict()["relative_mce"] is None
    assert not none.exists
    assert repr(none).endswith("none, the second makes no error>")
    assert "makes no error, so there is no CE beside it" in corrupted_section(none)
    assert "nan" not in f"{corrupted_section(none)}{corrupted_section(compared)}"
    drawn = [replace(each, corruptions=("roll", "mask")) for each in (none.first, none.second)]
    assert robustness_picture(drawn[0], CorruptionError(*drawn))[:4] == b"\x89PNG"


def test_the_interval_holds_the_true_error_as_often_as_said() -> None:
    rng = np.random.default_rng(0)
    chances = rng.uniform(0.2, 0.9, (2, 4, 5, 1))
    true = float(((1 - chances[0]).sum(axis=1) / (1 - chances[1]).sum(axis=1)).mean())
    inside = 0
    for _ in range(100):
        one, other = (
            Robustness("m", "labels", "h", np.ones(60, bool), rng.random((4, 5, 60)) < chance, ("a", "b", "c", "d"))
            for chance in chances
        )
        low, high = CorruptionError(one, other).interval
        inside += low <= true <= high
    assert 88 <= inside <= 100


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match="robustness needs faces with a label or clear votes, got none"):
        robustness(AlwaysHappy(), random_faces(5, labels=np.full(5, -1)))
    with pytest.raises(DataError, match="the number of faces must be 0"):
        robustness(AlwaysHappy(), halves(5), sample=-1)
    with pytest.raises(DataError, match="two models must be corrupted alike"):
        CorruptionError(made([7], clean=9), replace(made([7], clean=9), seed=1))
