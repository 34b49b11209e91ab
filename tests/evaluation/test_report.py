"""A report against scikit-learn, and against counts that are done by hand."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, log_loss

import mien
from mien.classify.ensemble import Ensemble
from mien.classify.tta import Mirrored
from mien.errors import DataError, ModelError
from mien.evaluation.report import Report, evaluate
from mien.labels import EXPRESSIONS
from mien.metrics import Proportion
from mien.types import FaceSet, Scores
from support import random_faces


def by_pixels(images: NDArray[np.uint8]) -> Scores:
    """A fixed function of a face's first seven pixels."""
    logits = images[:, 0, :7].astype(np.float64) / 64
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Scores(probs.astype(np.float32))


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """300 faces that the classifier knows better than chance, a fifth of them unlabelled."""
    drawn = random_faces(300, votes=True)
    rng = np.random.default_rng(1)
    labels = np.where(rng.random(300) < 0.4, by_pixels(drawn.images).top, drawn.labels)
    labels[::5] = -1
    return FaceSet(drawn.images, labels, drawn.splits, drawn.ids, drawn.votes)


def test_figures_are_scikit_learns_on_the_labelled_faces(faces: FaceSet) -> None:
    report = evaluate(by_pixels, faces)
    labelled = faces[faces.labels >= 0]
    scores = by_pixels(labelled.images)
    wanted = classification_report(
        labelled.labels, scores.top, labels=range(7), target_names=EXPRESSIONS, output_dict=True, zero_division=0
    )
    assert report.count == 240
    assert report.faces_hash == labelled.hash
    assert report.accuracy.value == pytest.approx(accuracy_score(labelled.labels, scores.top))
    np.testing.assert_array_equal(report.confusion, confusion_matrix(labelled.labels, scores.top, labels=range(7)))
    assert report.macro_f1 == pytest.approx(wanted["macro avg"]["f1-score"])
    for row in report.rows():
        each = wanted[row["expression"]]
        assert (row["faces"], row["precision"], row["recall"]) == (each["support"], each["precision"], each["recall"])
        assert row["f1"] == pytest.approx(each["f1-score"])
    probs = scores.probs.astype(np.float64)
    wanted_nll = log_loss(labelled.labels, probs / probs.sum(axis=1, keepdims=True), labels=range(7))
    assert report.nll == pytest.approx(wanted_nll, rel=1e-5)
    assert 0 < report.ece < 1
    assert report.version == mien.__version__


def test_twins_of_seen_faces_are_left_out_of_the_second_figure(faces: FaceSet) -> None:
    some = faces[faces.labels >= 0][:100]
    others = random_faces(50, seed=9, split="train")
    seen = FaceSet(
        images=np.concatenate([others.images, some.images[10:40]]),
        labels=np.concatenate([others.labels, some.labels[10:40]]),
        splits=np.full(80, "train"),
        ids=np.arange(80).astype(str),
    )
    report = evaluate(by_pixels, some, seen=seen)
    fresh = np.r_[0:10, 40:100]
    right = by_pixels(some.images).top == some.labels
    assert report.without_twins == Proportion(int(right[fresh].sum()), 70)
    assert report.accuracy == Proportion(int(right.sum()), 100)
    assert evaluate(by_pixels, some, seen=others).without_twins == report.accuracy
    assert evaluate(by_pixels, some).without_twins is None
    assert evaluate(by_pixels, some[10:40], seen=seen).without_twins is None


def test_agreement_with_voters_counts_clear_votes_only() -> None:
    faces = random_faces(6)
    said = by_pixels(faces.images).top
    votes = np.zeros((6, 10), np.float32)
    votes[0, said[0]] = 8  # agrees
    votes[1, (said[1] + 1) % 7] = 8  # differs
    votes[2, said[2]] = votes[2, (said[2] + 1) % 7] = 4  # a tie
    votes[3, 7] = 9  # contempt
    votes[4, said[4]] = 3  # agrees
    voted = FaceSet(faces.images, faces.labels, faces.splits, faces.ids, votes)
    assert evaluate(by_pixels, voted).votes_agreed == Proportion(2, 3)
    assert evaluate(by_pixels, voted[3:4]).votes_agreed is None
    assert evaluate(by_pixels, faces).votes_agreed is None


def test_columns_are_found_by_name(faces: FaceSet) -> None:
    order = [6, 3, 0, 1, 5, 4, 2]
    names = tuple(np.array(["Anger", "disgusted", "fear", "Happiness", "sadness", "Surprised", "neutral"])[order])
    shuffled = evaluate(lambda images: Scores(by_pixels(images).probs[:, order], names), faces)
    np.testing.assert_array_equal(shuffled.confusion, evaluate(by_pixels, faces).confusion)


@pytest.mark.parametrize("names", [("happy", "sad"), (*EXPRESSIONS, "contempt"), (*EXPRESSIONS[:6], "angry")])
def test_other_classes_are_refused(faces: FaceSet, names: tuple[str, ...]) -> None:
    def other(images: NDArray[np.uint8]) -> Scores:
        return Scores(np.full((len(images), len(names)), 1 / len(names), np.float32), names)

    with pytest.raises(ModelError, match=r"must know angry, .*, neutral, got " + ", ".join(names)):
        evaluate(other, faces)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_of_nothing_is_refused(faces: FaceSet, batch: int) -> None:
    with pytest.raises(DataError, match=f"batch must be 1 or more, got {batch}"):
        evaluate(by_pixels, faces, batch=batch)


def test_the_batch_changes_nothing_and_progress_is_told(faces: FaceSet) -> None:
    told: list[tuple[int, int]] = []
    report = evaluate(by_pixels, faces, batch=100, progress=lambda done, total: told.append((done, total)))
    assert told == [(100, 240), (200, 240), (240, 240)]
    assert report.to_json() == evaluate(by_pixels, faces).to_json()


def test_nothing_labelled_is_said(faces: FaceSet) -> None:
    with pytest.raises(DataError, match="only labelled faces can be measured, got 60 faces and no label"):
        evaluate(by_pixels, faces[::5])
    with pytest.raises(DataError, match="got 0 faces"):
        evaluate(by_pixels, faces[:0])


def test_a_classifier_that_loses_a_row_is_refused(faces: FaceSet) -> None:
    with pytest.raises(ModelError, match="a row for each of 240 faces, got 239"):
        evaluate(lambda images: by_pixels(images[1:]), faces)


def test_names_and_hashes_are_those_of_the_parts(faces: FaceSet) -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.name, self.hash = name, f"hash of {name}"

        def __call__(self, images: NDArray[np.uint8]) -> Scores:
            return by_pixels(images)

    report = evaluate(Mirrored(Ensemble(Named("a"), Named("b"), by_pixels)), faces)
    assert report.model == "(a + b + by_pixels) mirrored"
    assert report.model_hashes == ("hash of a", "hash of b", "")


def test_json_holds_every_figure(faces: FaceSet) -> None:
    report = evaluate(by_pixels, faces, seen=random_faces(5, seed=5))
    content = json.loads(report.to_json())
    low, high = report.accuracy.interval
    assert content["accuracy"] == {
        "value": report.accuracy.value,
        "low": low,
        "high": high,
        "right": report.accuracy.right,
        "faces": 240,
    }
    assert content["confusion"] == report.confusion.tolist()
    assert content["expressions"] == report.rows()
    assert content["macro"]["f1"] == report.macro_f1
    assert content["macro"]["recall"] == pytest.approx(report.recall.mean())
    assert (content["ece"], content["nll_nats"], content["faces"]) == (report.ece, report.nll, 240)
    assert content["accuracy_without_twins"]["faces"] == 240
    assert (content["faces_hash"], content["model"]) == (report.faces_hash, "by_pixels")


def test_card_scores_are_flat_and_named_by_split(faces: FaceSet) -> None:
    report = evaluate(by_pixels, faces, seen=random_faces(5, seed=5))
    scores = report.card_scores("valid")
    assert scores["valid_accuracy"] == report.accuracy.value
    assert (scores["valid_accuracy_low"], scores["valid_accuracy_high"]) == report.accuracy.interval
    assert {"valid_macro_f1", "valid_ece", "valid_nll", "valid_faces", "valid_votes_agreed"} < scores.keys()
    assert all(type(value) is float for value in scores.values())
    plain = FaceSet(faces.images, faces.labels, faces.splits, faces.ids)
    assert scores.keys() - evaluate(by_pixels, plain).card_scores("valid").keys() == {
        "valid_votes_agreed",
        "valid_accuracy_without_twins",
    }


@pytest.mark.parametrize("matrix", [np.zeros((7, 7)), np.ones((6, 6)), -np.eye(7)])
def test_a_confusion_matrix_that_is_none_is_refused(matrix: NDArray[np.float64]) -> None:
    with pytest.raises(DataError, match="confusion must count one face or more of 7 expressions"):
        Report("m", (), "", matrix, None, None, 0, 0)
