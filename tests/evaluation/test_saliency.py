"""Saliency of classifiers that look where it is known, and of a real model with and without its weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import mien
from mien.classify.onnx import OnnxClassifier, shipped
from mien.detect.align import crop_faces
from mien.detect.yunet import YuNet
from mien.errors import DataError, ModelError
from mien.evaluation.saliency import Faithfulness, Method, Saliency, explain, faithfulness, smooth_masks
from mien.labels import EXPRESSIONS
from mien.types import Scores
from support import drawn_faces

FACE = drawn_faces(5, seed=2).images[4]
HAPPY = EXPRESSIONS.index("happy")
METHODS: tuple[Method, ...] = ("rise", "occlusion")


class LooksAtPatch:
    """A classifier that calls a face happy the more, the more a patch of it looks like that of one face."""

    name = "patch"

    def __call__(self, images: NDArray[np.uint8]) -> Scores:
        gap = np.abs(images[:, 30:40, 8:20].astype(float) - FACE[30:40, 8:20]).mean(axis=(1, 2))
        probs = np.zeros((len(images), 7), np.float32)
        probs[:, HAPPY] = np.exp(-gap / 10)
        probs[:, 6] = 1 - probs[:, HAPPY]
        return Scores(probs)


def blind(images: NDArray[np.uint8]) -> Scores:
    """Call everything happy, mostly."""
    return Scores(np.tile(np.eye(7, dtype=np.float32)[HAPPY] * 0.3 + 0.1, (len(images), 1)))


@pytest.mark.parametrize("method", METHODS)
def test_the_map_shows_where_the_classifier_looks(method: Method) -> None:
    found = explain(LooksAtPatch(), FACE, method=method)
    inside = np.zeros((48, 48), bool)
    inside[30:40, 8:20] = True
    near = np.zeros((48, 48), bool)
    near[24:46, 2:26] = True
    assert (found.expression, found.probability, found.is_meaningful) == ("happy", 1.0, True)
    assert near.ravel()[np.argsort(-found.map.ravel())[:120]].all()
    assert found.map[inside].mean() > 10 * np.abs(found.map[~near]).mean()
    assert found.thirds[2] > 0.6
    assert sum(found.thirds) == pytest.approx(1)
    against = explain(LooksAtPatch(), FACE, method=method, expression="neutral")
    assert against.map == pytest.approx(-found.map, abs=1e-6)


def test_the_map_of_what_does_not_look_is_empty_and_says_so() -> None:
    found = explain(blind, FACE)
    assert np.abs(found.map).max() < 1e-6
    assert not found.is_meaningful
    assert sum(found.thirds) == 0
    assert repr(found) == "<Saliency of happy 40% for blind: not clearly better than random maps>"


def test_masks_are_seeded_and_enough() -> None:
    first, again, other = (explain(LooksAtPatch(), FACE, seed=seed).map for seed in (0, 0, 1))
    assert (first == again).all()
    assert 0.9 < np.corrcoef(first.ravel(), other.ravel())[0, 1] < 1
    masks = smooth_masks(3000, np.random.default_rng(0))
    assert (masks.min(), masks.max()) == pytest.approx((0, 1))
    assert masks.mean(axis=0) == pytest.approx(np.full((48, 48), 0.5), abs=0.04)


def test_deletion_and_insertion_by_hand() -> None:
    """For the share of the left half that is shown, a map that knows the half falls at once and rises at once."""

    def left_half(shown: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(shown[:, :, :24].mean(axis=(1, 2)), np.float64)

    knows = np.where(np.arange(48) < 24, 1.0, 0.0) * np.ones((48, 1))
    assert faithfulness(left_half, knows).deletion == pytest.approx(0.25)
    assert faithfulness(left_half, knows).insertion == pytest.approx(0.75)
    assert faithfulness(left_half, -knows).gain == pytest.approx(-0.5)
    rows = np.arange(48.0)[:, None] * np.ones(48)
    assert faithfulness(left_half, rows).gain == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    """The face of the portrait that ships."""
    picture = mien.read_picture(Path(mien.__file__).parent / "assets" / "portrait.jpg")
    face: NDArray[np.uint8] = crop_faces(picture, YuNet()(picture))[0]
    return face


def shuffled(model: bytes, seed: int) -> bytes:
    """A model file whose weights are those of another one in a random order, tensor by tensor."""
    proto = onnx.load_model_from_string(model)
    rng = np.random.default_rng(seed)
    for tensor in proto.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.size > 64:
            tensor.CopyFrom(
                numpy_helper.from_array(rng.permutation(weights.ravel()).reshape(weights.shape), tensor.name)
            )
    return bytes(proto.SerializeToString())


@pytest.mark.parametrize("method", METHODS)
def test_without_its_weights_a_model_has_another_map(method: Method, portrait: NDArray[np.uint8]) -> None:
    """The sanity check of Adebayo et al. (2018); a map that stayed would show the picture, not the model."""
    content = shipped()["swift-nano"].read_bytes()
    real = explain(OnnxClassifier(content, threads=1), portrait, expression="happy", method=method, masks=1000)
    again = explain(OnnxClassifier(content, threads=1), portrait, expression="happy", method=method, masks=1000, seed=1)
    assert _alike(real, again) > 0.75
    assert real.is_meaningful
    models = [OnnxClassifier(shuffled(content, seed), threads=1) for seed in range(3)]
    others = [explain(model, portrait, expression="happy", method=method, masks=1000) for model in models]
    alike = [_alike(real, other) for other in others]
    assert abs(np.mean(alike)) < 0.4, alike
    assert max(np.abs(alike)) < 0.65, alike


def _alike(one: Saliency, other: Saliency) -> float:
    return float(np.corrcoef(one.map.ravel(), other.map.ravel())[0, 1])


def test_what_cannot_be_explained_is_refused() -> None:
    with pytest.raises(DataError, match=r"the expression must be one of angry, .*, got grim"):
        explain(blind, FACE, expression="grim")
    with pytest.raises(DataError, match="48"):
        explain(blind, FACE[:40])
    with pytest.raises(DataError, match="masks must be 2 or more, got 1"):
        explain(blind, FACE, masks=1)
    assert explain(blind, FACE, expression="Sadness").expression == "sad"


@pytest.mark.parametrize(
    ("own", "spread", "verdict"),
    [
        (0.19, 0.1, "not clearly better than random maps"),  # whose gains are 0 on average: two deviations are 0.2
        (0.21, 0.1, "not clearly better than a blob in the middle"),  # which has 0.5
        (0.549, 0.1, "not clearly better than a blob in the middle"),
        (0.551, 0.1, "better than chance and than the middle"),  # half a deviation more
        (0.551, 0.3, "not clearly better than random maps"),
        (0.7, 0.3, "better than chance and than the middle"),
        (0.5, 0.0, "not clearly better than a blob in the middle"),
    ],
)
def test_a_map_must_be_better_by_a_margin(own: float, spread: float, verdict: str) -> None:
    found = explain(blind, FACE, masks=2)
    told = replace(
        found,
        faithfulness=Faithfulness(0, own),
        of_blob=Faithfulness(0.25, 0.75),
        of_random=Faithfulness(0.6, 0.6),
        spread=spread,
    )
    assert told.verdict == verdict
    assert told.is_meaningful == verdict.startswith("better")
    assert told.to_dict()["needed"] == pytest.approx(max(0.5 + spread / 2, 2 * spread))


def test_random_maps_are_hardly_ever_called_better() -> None:
    """The margin is for chance: of 40 random maps, which know nothing of the model, next to none pass."""

    class Guesses(LooksAtPatch):
        def __init__(self, seed: int) -> None:
            self.seed = seed

        def grad_cam(self, _face: NDArray[np.uint8], _target: int) -> NDArray[np.float64]:
            guess: NDArray[np.float64] = smooth_masks(1, np.random.default_rng(self.seed))[0].astype(np.float64)
            return guess

    passed = [explain(Guesses(seed), FACE, method="grad-cam").is_meaningful for seed in range(1000, 1040)]
    assert sum(passed) <= 3


def test_a_map_of_gradients_needs_gradients() -> None:
    with pytest.raises(ModelError, match="grad-cam needs the gradients of one net, and blind gives answers alone"):
        explain(blind, FACE, method="grad-cam")
