"""A report against scikit-learn, and against counts that are done by hand."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    classification_report,
    confusion_matrix,
    log_loss,
    top_k_accuracy_score,
)

import mien
from mien.classify.ensemble import Ensemble
from mien.classify.tta import Mirrored
from mien.errors import DataError, ModelError
from mien.evaluation.evaluate import evaluate, make_report
from mien.evaluation.twins import find_twins
from mien.labels import EXPRESSIONS
from mien.metrics import Proportion
from mien.types import FaceSet, Scores
from support import altered, drawn_faces, random_faces


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
    normed = probs / probs.sum(axis=1, keepdims=True)
    wanted_nll = log_loss(labelled.labels, normed, labels=range(7))
    wanted_brier = brier_score_loss(labelled.labels, normed, labels=range(7), scale_by_half=False)
    assert report.nll == pytest.approx(wanted_nll, rel=1e-5)
    assert report.balanced_accuracy == pytest.approx(balanced_accuracy_score(labelled.labels, scores.top))
    assert report.top2.value == pytest.approx(top_k_accuracy_score(labelled.labels, probs, k=2))
    assert report.brier == pytest.approx(wanted_brier, rel=1e-4)
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
    report = evaluate(by_pixels, some, train_faces=seen)
    fresh = np.r_[0:10, 40:100]
    right = by_pixels(some.images).top == some.labels
    assert report.without_identical == Proportion(int(right[fresh].sum()), 70)
    assert report.accuracy == Proportion(int(right.sum()), 100)
    assert evaluate(by_pixels, some, train_faces=others).without_identical == report.accuracy
    assert evaluate(by_pixels, some).without_identical is None
    assert evaluate(by_pixels, some[10:40], train_faces=seen).without_identical is None


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
    seen = evaluate(by_pixels, voted).ferplus
    assert seen is not None
    assert seen.accuracy == Proportion(2, 3)
    assert evaluate(by_pixels, voted[3:4]).ferplus is None
    assert evaluate(by_pixels, faces).ferplus is None


def test_columns_are_found_by_name(faces: FaceSet) -> None:
    order = [6, 3, 0, 1, 5, 4, 2]
    names = tuple(np.array(["Anger", "disgusted", "fear", "Happiness", "sadness", "Surprised", "neutral"])[order])
    shuffled = evaluate(lambda images: Scores(by_pixels(images).probs[:, order], names), faces)
    np.testing.assert_array_equal(shuffled.confusion, evaluate(by_pixels, faces).confusion)


@pytest.mark.parametrize("names", [("happy", "sad"), (*EXPRESSIONS, "contempt"), (*EXPRESSIONS[:6], "angry")])
def test_other_classes_are_refused(faces: FaceSet, names: tuple[str, ...]) -> None:
    def other(images: NDArray[np.uint8]) -> Scores:
        return Scores(np.full((len(images), len(names)), 1 / len(names), np.float32), names)

    with pytest.raises(
        ModelError, match=r"must have the classes of the faces: classes must be angry, .*, got " + ", ".join(names)
    ):
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
    report = evaluate(by_pixels, faces, train_faces=random_faces(5, seed=5))
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
    assert content["accuracy_without_identical_twins"]["faces"] == 240
    assert content["accuracy_without_near_twins"]["faces"] == 240
    assert report.ferplus is not None
    assert content["ferplus"]["accuracy"]["faces"] == report.ferplus.accuracy.count
    assert sum(content["reliability"]["faces"]) == 240
    assert content["brier"] == report.brier
    assert (content["faces_hash"], content["model"]) == (report.faces_hash, "by_pixels")


def test_card_scores_are_flat_and_named_by_split(faces: FaceSet) -> None:
    report = evaluate(by_pixels, faces, train_faces=random_faces(5, seed=5))
    scores = report.card_scores("valid")
    assert scores["valid_accuracy"] == report.accuracy.value
    assert (scores["valid_accuracy_low"], scores["valid_accuracy_high"]) == report.accuracy.interval
    assert {"valid_macro_f1", "valid_ece", "valid_nll", "valid_faces", "valid_people_accuracy"} < scores.keys()
    assert all(type(value) is float for value in scores.values())
    plain = FaceSet(faces.images, faces.labels, faces.splits, faces.ids)
    only = scores.keys() - evaluate(by_pixels, plain).card_scores("valid").keys()
    assert {name for name in only if "people" not in name} == {
        "valid_accuracy_without_twins",
        "valid_accuracy_without_near_twins",
    }


@pytest.mark.parametrize("matrix", [np.zeros((7, 7)), np.ones((6, 6)), -np.eye(7)])
def test_a_confusion_matrix_that_is_none_is_refused(faces: FaceSet, matrix: Any) -> None:
    with pytest.raises(DataError, match="confusion must count one face or more of 7 classes"):
        replace(evaluate(by_pixels, faces), confusion=matrix)


def test_near_twins_of_train_faces_are_left_out_too() -> None:
    rng = np.random.default_rng(0)
    valid, train = drawn_faces(40, split="valid"), drawn_faces(60, seed=1)
    images = train.images.copy()
    images[:10] = valid.images[:10]  # identical
    images[10:25] = [altered(image, rng) for image in valid.images[10:25]]
    report = evaluate(by_pixels, valid, train_faces=replace(train, images=images))
    right = by_pixels(valid.images).top == valid.labels
    assert report.without_identical == Proportion(int(right[10:].sum()), 30)
    assert report.without_near == Proportion(int(right[25:].sum()), 15)


def planted(labels: NDArray[np.int64], right: NDArray[np.bool_], confidence: float) -> NDArray[np.float32]:
    """Probabilities that are right where they shall be, all of one confidence."""
    answers = np.where(right, labels, (labels + 1) % 7)
    probs = np.full((len(labels), 7), (1 - confidence) / 6, np.float32)
    probs[np.arange(len(labels)), answers] = confidence
    return probs


def test_planted_classifiers_get_what_they_deserve(faces: FaceSet) -> None:
    labelled = faces[faces.labels >= 0]
    labels, every = labelled.labels, np.ones(240, np.bool_)
    happy = make_report(planted(np.full(240, 3), every, 0.9), labelled)
    assert happy.accuracy.right == (labels == 3).sum()
    assert happy.balanced_accuracy == pytest.approx(1 / 7)
    perfect = make_report(planted(labels, every, 1.0), labelled)
    assert (perfect.accuracy.value, perfect.top2.value, perfect.brier, perfect.nll, perfect.ece) == (1, 1, 0, 0, 0)
    assert perfect.classwise_ece.max() == 0
    timid = make_report(planted(labels, every, 0.6), labelled)
    assert timid.ece == pytest.approx(0.4)
    bold = make_report(planted(labels, np.arange(240) % 2 == 0, 0.9), labelled)
    assert bold.accuracy.value == 0.5
    assert bold.ece == pytest.approx(0.4)


def test_perfect_on_train_twins_alone_is_seen() -> None:
    valid, train = drawn_faces(40, split="valid"), drawn_faces(60, seed=1)
    images = train.images.copy()
    images[:20] = valid.images[:20]
    probs = planted(valid.labels, np.arange(40) < 20, 0.9)
    report = make_report(probs, valid, twins=find_twins(valid, replace(train, images=images)))
    assert report.accuracy.value == 0.5
    assert (report.without_identical, report.without_near) == (Proportion(0, 20), Proportion(0, 20))


def test_a_report_prints_itself_in_a_line(faces: FaceSet) -> None:
    report = evaluate(by_pixels, faces)
    low, high = report.accuracy.interval
    assert repr(report) == f"<Report by_pixels: {report.accuracy.value:.1%} ({low:.1%} to {high:.1%}) of 240 faces>"
    assert "disgust" in report._repr_html_()
