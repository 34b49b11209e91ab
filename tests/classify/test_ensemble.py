"""Classifiers of classifiers: their arithmetic, their names, and what they refuse."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.classify.ensemble import Ensemble, base_classifiers, classifier_name
from mien.classify.onnx import OnnxClassifier
from mien.classify.tta import FiveCrop, Mirrored
from mien.errors import DataError, ModelError
from mien.labels import EXPRESSIONS
from mien.types import Classifier, Scores
from support import random_faces, tiny_model


def _left(images: NDArray[np.uint8]) -> Scores:
    """Happy in so far as the left half is bright, else sad."""
    assert images.flags.c_contiguous
    happy = images[:, :, :24].mean(axis=(1, 2)) / 255
    probs = np.zeros((len(images), 7), np.float32)
    probs[:, EXPRESSIONS.index("happy")], probs[:, EXPRESSIONS.index("sad")] = happy, 1 - happy
    return Scores(probs)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[OnnxClassifier]:
    folder = tmp_path_factory.mktemp("models")
    return [OnnxClassifier(tiny_model(folder / f"{seed}.onnx", name=f"net{seed}", seed=seed)) for seed in range(3)]


def test_mirrored_is_the_mean_of_both_sides() -> None:
    face = np.zeros((1, 48, 48), np.uint8)
    face[:, :, :24] = 255
    assert _left(face).probs[0, EXPRESSIONS.index("happy")] == 1
    assert Mirrored(_left)(face).probs[0, EXPRESSIONS.index("happy")] == 0.5


def test_mirrored_says_the_same_of_a_face_and_its_mirror_image(models: list[OnnxClassifier]) -> None:
    images = random_faces(8).images
    one, other = Mirrored(models[0])(images), Mirrored(models[0])(images[:, :, ::-1])
    np.testing.assert_allclose(one.probs, other.probs, atol=1e-6)
    assert np.abs(one.probs - models[0](images).probs).max() > 0.01


@pytest.mark.parametrize("side", [40, 44, 46])
def test_five_crop_is_the_mean_of_corners_and_middle(models: list[OnnxClassifier], side: int) -> None:
    images = random_faces(6).images
    last = 48 - side
    each = []
    for top, left in ((0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 2)):
        crops = [Image.fromarray(face[top : top + side, left : left + side]) for face in images]
        grown = np.stack([np.asarray(crop.resize((48, 48), Image.Resampling.BILINEAR)) for crop in crops])
        each.append(models[0](grown).probs)
    np.testing.assert_allclose(FiveCrop(models[0], side=side)(images).probs, np.mean(each, axis=0), atol=5e-3)


def test_five_crop_of_whole_faces_is_the_classifier(models: list[OnnxClassifier]) -> None:
    images = random_faces(6).images
    np.testing.assert_allclose(FiveCrop(models[0], side=48)(images).probs, models[0](images).probs, atol=1e-6)


def test_five_crop_needs_crops_of_a_face(models: list[OnnxClassifier]) -> None:
    sides: list[Any] = [23, 49, 44.5]
    for side in sides:
        with pytest.raises(ModelError, match=f"24 to 48 whole pixels wide, got {side}"):
            FiveCrop(models[0], side=side)


@pytest.mark.parametrize("wrap", [Mirrored, FiveCrop])
def test_other_arrays_are_refused(wrap: Callable[[Classifier], Classifier]) -> None:
    others: list[Any] = [np.zeros((2, 100, 100), np.uint8), np.zeros((2, 48, 48)), np.zeros((48, 48), np.uint8)]
    for images in others:
        with pytest.raises(DataError, match=r"faces must be \(N, 48, 48\) uint8, got"):
            wrap(_left)(images)


def test_ensemble_is_the_mean(models: list[OnnxClassifier]) -> None:
    images = random_faces(8).images
    each = np.stack([model(images).probs for model in models]).astype(np.float64)
    np.testing.assert_allclose(Ensemble(*models)(images).probs, each.mean(axis=0), atol=1e-6)
    weighted = Ensemble(*models, weights=[1, 0, 3])
    np.testing.assert_allclose(weighted(images).probs, np.average(each, axis=0, weights=[1, 0, 3]), atol=1e-6)
    assert weighted(images).probs.dtype == np.float32


def test_one_alone_is_itself(models: list[OnnxClassifier]) -> None:
    images = random_faces(4).images
    np.testing.assert_array_equal(Ensemble(models[0])(images).probs, models[0](images).probs)


def test_they_nest_in_either_order(models: list[OnnxClassifier]) -> None:
    images = random_faces(5).images
    inside, outside = Ensemble(*map(Mirrored, models)), Mirrored(Ensemble(*models))
    np.testing.assert_allclose(inside(images).probs, outside(images).probs, atol=1e-6)
    assert base_classifiers(inside) == base_classifiers(outside) == tuple(models)


def test_no_faces_give_no_rows(models: list[OnnxClassifier]) -> None:
    assert Mirrored(Ensemble(*models))(random_faces(0).images).probs.shape == (0, 7)


def test_names_say_what_it_is_made_of(models: list[OnnxClassifier]) -> None:
    a, b, _ = models
    assert classifier_name(Mirrored(a)) == "net0 mirrored"
    assert classifier_name(Ensemble(a, b)) == "net0 + net1"
    assert classifier_name(Ensemble(a, b, weights=[3, 1])) == "0.75 net0 + 0.25 net1"
    assert classifier_name(Mirrored(Ensemble(a, b))) == "(net0 + net1) mirrored"
    assert classifier_name(Mirrored(Ensemble(a))) == "net0 mirrored"
    assert classifier_name(_left) == "_left"
    assert classifier_name(type("Mine", (), {"__call__": lambda _, images: _left(images)})()) == "Mine"


def test_they_are_values(models: list[OnnxClassifier]) -> None:
    ensemble: Any = Ensemble(models[0])
    with pytest.raises(FrozenInstanceError):
        ensemble.weights = (2.0,)
    assert Mirrored(models[0]) == Mirrored(models[0]) != Mirrored(models[1])


@pytest.mark.parametrize(
    ("weights", "said"),
    [([1], "must be 2, one a classifier, got 1"), ([0, 0], "not all 0"), ([-1, 2], "0 or more"), ([1, np.nan], "nan")],
)
def test_weights_that_do_not_fit_are_refused(weights: list[float], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Ensemble(_left, _left, weights=weights)


def test_an_ensemble_of_none_is_refused() -> None:
    with pytest.raises(ModelError, match="one classifier or more, got none"):
        Ensemble()


def test_members_that_disagree_on_classes_or_rows_are_refused(tmp_path: Path, models: list[OnnxClassifier]) -> None:
    other = OnnxClassifier(tiny_model(tmp_path / "m.onnx", class_names=tuple(sorted(EXPRESSIONS))))
    with pytest.raises(ModelError, match="must name the same classes"):
        Ensemble(models[0], other)(random_faces(1).images)
    with pytest.raises(ModelError, match="a row for each face, got 3 and 1"):
        Ensemble(models[0], lambda images: _left(images[:1].copy()))(random_faces(3).images)
