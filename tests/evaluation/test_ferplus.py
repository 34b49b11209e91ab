"""People's answers: which faces count, and the figures of four that are worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom, entropy
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix
from torchmetrics.functional.classification import multiclass_calibration_error

from mien.errors import DataError
from mien.evaluation.ferplus import ferplus_report
from mien.labels import EXPRESSIONS, VOTES
from mien.types import FaceSet
from support import random_faces

HAPPY, SAD, NEUTRAL = (EXPRESSIONS.index(name) for name in ("happy", "sad", "neutral"))


def voted(*faces: dict[str, int]) -> FaceSet:
    votes = np.array([[face.get(kind, 0) for kind in VOTES] for face in faces], np.float32)
    return replace(random_faces(len(faces)), votes=votes)


def said(*answers: tuple[int, float]) -> np.ndarray:
    """Rows with this confidence in this expression, the rest spread evenly."""
    probs = np.zeros((len(answers), len(EXPRESSIONS)), np.float32)
    for row, (answer, confidence) in zip(probs, answers, strict=True):
        row[:] = (1 - confidence) / 6
        row[answer] = confidence
    return probs


def test_figures_worked_out_by_hand() -> None:
    faces = voted(
        {"happy": 9, "neutral": 1},  # sure, right
        {"sad": 8, "neutral": 2},  # sure, wrong
        {"happy": 5, "sad": 4, "fear": 1},  # clear, right
        {"neutral": 4, "sad": 3, "fear": 3},  # clear, right
    )
    report = ferplus_report(said((HAPPY, 0.9), (NEUTRAL, 0.5), (HAPPY, 0.6), (NEUTRAL, 0.4)), faces)
    assert (report.accuracy.right, report.accuracy.count) == (3, 4)
    assert report.mean_recall == pytest.approx((1 + 0 + 1) / 3)
    assert report.confidence == pytest.approx(0.6)
    assert report.sure is not None
    assert (report.sure.right, report.sure.count) == (1, 2)
    assert report.sure_confidence == pytest.approx(0.7)
    scores = report.card_scores("valid")
    assert scores["valid_people_accuracy"] == 0.75
    assert scores["valid_people_sure_accuracy"] == 0.5


def test_ties_contempt_unknown_and_no_face_do_not_count() -> None:
    faces = voted(
        {"happy": 5, "sad": 5},
        {"contempt": 9, "sad": 1},
        {"unknown": 6, "sad": 4},
        {"nonface": 9, "sad": 1},
        {"sad": 6},
    )
    report = ferplus_report(said(*[(SAD, 0.8)] * 5), faces)
    assert (report.accuracy.right, report.accuracy.count) == (1, 1)


def test_faces_without_votes_are_refused() -> None:
    with pytest.raises(DataError, match="only be measured on faces with FER\\+ votes"):
        ferplus_report(said((SAD, 0.5)), replace(random_faces(1), votes=None))
    with pytest.raises(DataError, match="none of the faces has an expression that most annotators named"):
        ferplus_report(said((SAD, 0.5)), voted({"happy": 5, "sad": 5}))


def test_the_divergence_from_the_votes_is_scipys() -> None:
    faces = random_faces(50, votes=True)
    probs = np.random.default_rng(0).dirichlet(np.ones(7), 50).astype(np.float32)
    assert faces.votes is not None
    wanted = [entropy(votes[:7], said) for votes, said in zip(faces.votes, probs, strict=True)]
    assert ferplus_report(probs, faces).kl == pytest.approx(np.mean(wanted), rel=1e-5)


def test_figures_by_votes_are_scikit_learns_and_torchmetrics() -> None:
    faces = random_faces(400, votes=True)
    probs = np.random.default_rng(0).dirichlet(np.ones(7), 400).astype(np.float32)
    clear = faces.plurality >= 0
    named, predicted = faces.plurality[clear], probs[clear].argmax(axis=1)
    report = ferplus_report(probs, faces)
    assert report.accuracy.value == pytest.approx(accuracy_score(named, predicted))
    assert report.mean_recall == pytest.approx(balanced_accuracy_score(named, predicted))
    np.testing.assert_array_equal(report.confusion, confusion_matrix(named, predicted, labels=range(7)))
    wanted = multiclass_calibration_error(torch.from_numpy(probs[clear]), torch.from_numpy(named), 7, n_bins=15)
    assert report.ece == pytest.approx(float(wanted), abs=1e-6)


def test_the_yardsticks_are_people_drawn_from_the_votes() -> None:
    """One annotator by hand; a new panel by its binomial, as only two kinds of votes were given."""
    faces = voted(*[{"happy": 7, "sad": 3}] * 400, *[{"sad": 10}] * 400)
    report = ferplus_report(said(*[(HAPPY, 0.9)] * 800), faces)
    assert report.annotator == pytest.approx((0.7 + 1) / 2)
    assert report.new_panel == pytest.approx((binom.sf(5, 10, 0.7) + 1) / 2, abs=0.004)
