"""Each value refuses what it must not hold, cannot change, and is selected as a whole."""

import hashlib
import json
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, permutations, tuples
from numpy.typing import NDArray

from mien.errors import DataError, ModelError
from mien.labels import EXPRESSIONS, VOTES
from mien.types import Detections, FaceSet, Prediction, Scores, batches, columns
from support import random_faces


def _scores(count: int, seed: int = 0) -> Scores:
    return Scores(np.random.default_rng(seed).dirichlet(np.ones(7), count).astype(np.float32))


def _detections(count: int, *, landmarks: bool = True) -> Detections:
    rng = np.random.default_rng(count)
    corner = rng.uniform(-5, 50, (count, 2))
    return Detections(
        np.concatenate([corner, corner + rng.uniform(5, 90, (count, 2))], axis=1).astype(np.float32),
        rng.random(count).astype(np.float32),
        rng.random((count, 5, 2)).astype(np.float32) if landmarks else None,
    )


# FaceSet


@pytest.mark.parametrize(
    ("flaw", "said"),
    [
        ({"images": np.zeros((3, 48, 47), np.uint8)}, r"images must be \(N, 48, 48\) uint8, got \(3, 48, 47\)"),
        ({"images": np.zeros((3, 48, 48), np.float32)}, "got .* float32"),
        ({"images": np.zeros((3, 48, 48, 1), np.uint8)}, r"got \(3, 48, 48, 1\)"),
        ({"labels": np.zeros(2, np.int64)}, r"labels must be \(3,\), one for each image, got \(2,\)"),
        ({"labels": np.array([0.0, 1.5, 2.0])}, "labels must be whole numbers, got float64"),
        ({"labels": np.array([0, 7, 1])}, r"labels must be -1 to 6, got \[7\]"),
        ({"labels": np.array([0, -2, 1])}, r"got \[-2\]"),
        ({"splits": np.array(["train", "dev", "test"])}, r"splits must be train, valid, test, got \['dev'\]"),
        ({"splits": np.array("train")}, r"splits must be \(3,\)"),
        ({"ids": np.array(["a", "b", "a"])}, r"ids must be unique, got \['a'\] more than once"),
        ({"ids": np.array(["a"])}, r"ids must be \(3,\)"),
        ({"votes": np.zeros((3, 7))}, r"votes must be \(3, 10\), got \(3, 7\)"),
        ({"votes": np.full((3, 10), -1.0)}, "votes must be finite numbers of 0 or more"),
        ({"votes": np.full((3, 10), np.nan)}, "votes must be finite"),
        ({"votes": np.full((3, 10), np.inf)}, "votes must be finite"),
    ],
)
def test_a_face_set_refuses(flaw: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        replace(random_faces(3), **flaw)


def test_a_face_set_cannot_be_changed() -> None:
    faces = random_faces(3, votes=True)
    arrays: list[Any] = [faces.images, faces.labels, faces.splits, faces.ids, faces.votes]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]
    held: Any = faces
    with pytest.raises(FrozenInstanceError):
        held.labels = np.zeros(3)


def test_a_face_set_keeps_its_types() -> None:
    columns: list[Any] = [np.array([1, -1], np.int8), ["train", "test"], ["a", "b"], np.ones((2, 10), np.int64)]
    faces = FaceSet(np.zeros((2, 48, 48), np.uint8), *columns)
    assert faces.labels.dtype == np.int64
    assert faces.ids.dtype.kind == faces.splits.dtype.kind == "U"
    assert faces.votes is not None
    assert faces.votes.dtype == np.float32


@pytest.mark.parametrize(
    "chosen", [np.array([True, False, True, True]), np.array([2, 0]), [3, 1], slice(1, 3), [], np.zeros(4, bool)]
)
@pytest.mark.parametrize("votes", [True, False])
def test_a_face_set_is_selected_as_a_whole(chosen: NDArray[np.int64] | list[int] | slice, votes: bool) -> None:
    faces = random_faces(4, votes=votes)
    rows = np.arange(4)[np.array(chosen, np.int64) if isinstance(chosen, list) else chosen]
    some = faces[chosen]
    assert len(some) == len(rows)
    for name in ("images", "labels", "splits", "ids"):
        np.testing.assert_array_equal(getattr(some, name), getattr(faces, name)[rows])
    assert (some.votes is None) == (not votes)
    if some.votes is not None and faces.votes is not None:
        np.testing.assert_array_equal(some.votes, faces.votes[rows])


def test_one_face_is_not_a_selection() -> None:
    one: Any = np.int64(1)
    with pytest.raises(TypeError, match="takes a mask"):
        random_faces(3)[one]


def test_a_face_may_be_chosen_once_only() -> None:
    with pytest.raises(DataError, match="unique"):
        random_faces(3)[[0, 0]]


def test_the_hash_is_of_all_that_is_held_and_stays() -> None:
    faces = random_faces(3, votes=True)
    assert faces.hash == random_faces(3, votes=True).hash == faces[[0, 1, 2]].hash
    assert faces.votes is not None
    images = faces.images.copy()
    images[2, 47, 47] ^= 1
    others = [
        replace(faces, images=images),
        replace(faces, labels=(faces.labels + 1) % 7),
        replace(faces, splits=np.full(3, "test")),
        replace(faces, ids=np.array(["a", "b", "c"])),
        replace(faces, votes=faces.votes + 1),
        replace(faces, votes=None),
        faces[[1, 0, 2]],
        faces[:2],
    ]
    assert len({faces.hash, *(other.hash for other in others)}) == 9


def test_the_hash_of_a_known_set_never_changes() -> None:
    faces = FaceSet(np.full((1, 48, 48), 7, np.uint8), np.array([3]), np.array(["train"]), np.array(["é"]))
    content = b"\x07" * 2304 + (3).to_bytes(8, "little") + b"none" + "train\né".encode()
    assert faces.hash == hashlib.sha256(content).hexdigest()
    wide = replace(faces, ids=np.array(["é"], dtype="U50"))
    assert wide.hash == faces.hash


def test_the_plurality_is_clear_or_none() -> None:
    votes = np.zeros((5, len(VOTES)), np.float32)
    votes[0, 3], votes[0, 6] = 6, 4
    votes[1, 3] = votes[1, 6] = 5
    votes[2, VOTES.index("contempt")] = 10
    votes[3, 0] = 1
    faces = replace(random_faces(5), votes=votes)
    assert faces.plurality.tolist() == [3, -1, -1, 0, -1]
    assert faces.plurality.dtype == np.int64
    with pytest.raises(DataError, match=r"no FER\+ votes; add them with"):
        _ = random_faces(2).plurality


# Scores


@pytest.mark.parametrize(
    "probs",
    [
        np.full((2, 7), 0.2),
        np.array([[1.5, -0.5, 0, 0, 0, 0, 0]]),
        np.full((1, 7), np.nan),
        np.array([[np.inf, 0, 0, 0, 0, 0, 0]]),
    ],
)
def test_scores_refuse_what_is_no_distribution(probs: Any) -> None:
    with pytest.raises(ModelError, match="must be probabilities that sum to 1"):
        Scores(probs)


@pytest.mark.parametrize("shape", [(7,), (2, 6), (2, 7, 1)])
def test_scores_refuse_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"probs must be \(N, 7\)"):
        Scores(np.zeros(shape, np.float32))


def test_scores_name_the_top_class() -> None:
    scores = Scores(np.array([[0.2, 0.7, 0.1], [0.5, 0.2, 0.3]]), ("a", "b", "c"))
    assert scores.probs.dtype == np.float32
    assert scores.top.tolist() == [1, 0]
    assert scores.confidence.tolist() == pytest.approx([0.7, 0.5])
    assert scores[scores.top == 1].probs.shape == (1, 3)
    assert scores[scores.top == 1].class_names == ("a", "b", "c")


def test_scores_may_be_of_no_face() -> None:
    scores = Scores(np.zeros((0, 7), np.float32))
    assert len(scores) == len(scores.top) == len(scores.confidence) == 0
    assert scores.class_names == EXPRESSIONS


# Detections


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((np.zeros((2, 3)), np.zeros(2)), r"boxes must be \(M, 4\), got \(2, 3\)"),
        ((np.array([[0, 0, np.nan, 5]]), np.ones(1)), "boxes must be finite"),
        ((np.array([[5, 0, 5, 9]]), np.ones(1)), "positive sides"),
        ((np.array([[0, 9, 5, 2]]), np.ones(1)), "positive sides"),
        ((np.array([[0, 0, 5, 5]]), np.ones(2)), r"confidence must be \(1,\), got \(2,\)"),
        ((np.array([[0, 0, 5, 5]]), np.full(1, 7)), "confidence must be 0 to 1, got \\[7"),
        ((np.array([[0, 0, 5, 5]]), np.full(1, np.nan)), "confidence must be 0 to 1, got \\[nan"),
        ((np.array([[0, 0, 5, 5]]), np.ones(1), np.zeros((1, 4, 2))), r"landmarks must be \(1, 5, 2\)"),
    ],
)
def test_detections_refuse(arguments: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Detections(*arguments)


def test_detections_are_largest_first_with_all_that_is_theirs() -> None:
    boxes = np.array([[0, 0, 2, 2], [0, 0, 9, 9], [1, 1, 4, 4]], np.float32)
    faces = Detections(boxes, np.array([0.1, 0.2, 0.3]), np.arange(30, dtype=np.float32).reshape(3, 5, 2))
    assert faces.landmarks is not None
    assert faces.boxes.tolist() == boxes[[1, 2, 0]].tolist()
    assert faces.confidence.tolist() == pytest.approx([0.2, 0.3, 0.1])
    assert faces.landmarks[:, 0, 0].tolist() == [10, 20, 0]
    some = faces[faces.confidence < 0.25]
    assert some.landmarks is not None
    assert some.boxes.tolist() == boxes[[1, 0]].tolist()
    assert some.landmarks[:, 0, 0].tolist() == [10, 0]
    assert _detections(3, landmarks=False)[:2].landmarks is None


def test_detections_may_be_none() -> None:
    nothing: list[Any] = [[], np.zeros((0, 4))]
    for boxes in nothing:
        faces = Detections(boxes, np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))
        assert faces.landmarks is not None
        assert (len(faces), faces.boxes.shape, faces.landmarks.shape) == (0, (0, 4), (0, 5, 2))


# Prediction


def test_a_prediction_has_a_row_of_plain_values_for_each_face() -> None:
    faces, scores = _detections(3), _scores(3)
    rows = Prediction("a b.jpg", 0.0, faces, scores).rows()
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [list(row) for row in rows] == [
        ["source", "face", "left", "top", "right", "bottom", "detection", "expression", "confidence", *EXPRESSIONS]
    ] * 3
    for face, row in enumerate(rows):
        assert (row["source"], row["face"]) == ("a b.jpg", face)
        assert [row[side] for side in ("left", "top", "right", "bottom")] == faces.boxes[face].tolist()
        assert row["expression"] == EXPRESSIONS[scores.probs[face].argmax()]
        assert row["confidence"] == row[str(row["expression"])] == pytest.approx(scores.probs[face].max())
        assert row["detection"] == pytest.approx(faces.confidence[face])
        assert {type(value) for value in row.values()} == {str, int, float}


def test_a_prediction_in_a_video_has_its_time_and_track() -> None:
    rows = Prediction("v.mp4", 1.5, _detections(2), _scores(2), np.array([7, 4])).rows()
    assert [(row["seconds"], row["track"]) for row in rows] == [(1.5, 7), (1.5, 4)]
    assert json.loads(json.dumps(rows)) == rows


def test_a_prediction_without_faces_has_no_rows() -> None:
    assert Prediction("a.jpg", 0.0, _detections(0), _scores(0)).rows() == []


def test_a_prediction_refuses_what_does_not_fit() -> None:
    with pytest.raises(ModelError, match="scores must have 2 rows, one a face, got 3"):
        Prediction("a.jpg", 0.0, _detections(2), _scores(3))
    with pytest.raises(ModelError, match=r"tracks must be \(2,\), got \(1,\)"):
        Prediction("a.jpg", 0.0, _detections(2), _scores(2), np.array([1]))


def test_quality_is_a_column_where_it_is_known() -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 5, 5]], np.float32)
    faces, scores = Detections(boxes, np.ones(2, np.float32)), Scores(np.eye(7, dtype=np.float32)[:2])
    rows = Prediction("a", 0.0, faces, scores, quality=("good", "small")).rows()
    assert [row["quality"] for row in rows] == ["good", "small"]
    assert "quality" not in Prediction("a", 0.0, faces, scores).rows()[0]
    with pytest.raises(ModelError, match="quality must be 2 words, one a face, got 1"):
        Prediction("a", 0.0, faces, scores, quality=("good",))


# batches


@pytest.mark.parametrize(("count", "size"), [(0, 4), (1, 4), (4, 4), (5, 4), (12, 5)])
def test_batches_cover_everything_once(count: int, size: int) -> None:
    parts = [list(range(count))[rows] for rows in batches(count, size)]
    assert [each for part in parts for each in part] == list(range(count))
    assert all(0 < len(part) <= size for part in parts)
    assert all(rows.stop <= count for rows in batches(count, size))


# Face sets one after the other


def test_concatenated_sets_keep_every_face_in_order() -> None:
    sets = [random_faces(3, seed=1, votes=True), random_faces(2, seed=2), random_faces(0, seed=3)]
    faces = FaceSet.concatenate(sets)
    assert len(faces) == 5
    for name in ("images", "labels", "splits", "ids"):
        np.testing.assert_array_equal(getattr(faces, name)[:3], getattr(sets[0], name))
        np.testing.assert_array_equal(getattr(faces, name)[3:], getattr(sets[1], name))
    np.testing.assert_array_equal(faces.votes, np.concatenate([sets[0].votes, np.zeros((2, 10))]))
    assert FaceSet.concatenate(sets[1:]).votes is None


def test_sets_that_share_an_id_are_not_concatenated() -> None:
    with pytest.raises(DataError, match="ids must be unique"):
        FaceSet.concatenate([random_faces(2), random_faces(2)])
    with pytest.raises(DataError, match="one face set or more must be given, got none"):
        FaceSet.concatenate([])


# Scores in another order


@given(permutation=permutations(range(7)), seed=integers(0, 1000))
def test_reordering_there_and_back_changes_nothing(permutation: list[int], seed: int) -> None:
    scores = _scores(4, seed)
    names = tuple(EXPRESSIONS[place] for place in permutation)
    other = scores.reordered(names)
    assert other.class_names == names
    for name in EXPRESSIONS:
        np.testing.assert_array_equal(
            other.probs[:, names.index(name)], scores.probs[:, scores.class_names.index(name)]
        )
    np.testing.assert_array_equal(other.reordered().probs, scores.probs)


def test_usual_spellings_are_reordered_too() -> None:
    spelt = ("Anger", "DISGUST", "scared", "Happiness", "sadness", "Surprised", "calm")
    scores = Scores(_scores(2).probs, spelt)
    assert scores.reordered().class_names == EXPRESSIONS
    np.testing.assert_array_equal(scores.reordered().probs, scores.probs)


@pytest.mark.parametrize("names", [EXPRESSIONS[:6], (*EXPRESSIONS, "contempt"), (*EXPRESSIONS[:6], "happy")])
def test_other_classes_are_not_reordered(names: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match=r"classes must be angry, .*, got angry"):
        _scores(1).reordered(names)


# One line each


def test_values_print_themselves_in_a_line() -> None:
    faces, scores = _detections(1), Scores(np.array([[0.91, 0.09]]), ("happy", "sad"))
    assert repr(random_faces(1200, split="train", votes=True)) == (
        "<FaceSet 1,200 faces, 7 classes, train 1,200, with votes>"
    )
    assert repr(random_faces(0)) == "<FaceSet no face, 7 classes>"
    assert repr(Prediction("photo.jpg", 0.0, faces, scores)) == "<Prediction photo.jpg: 1 face, happy 91%>"
    assert repr(Prediction("v.mp4", 1.5, faces, scores, np.array([3]))) == (
        "<Prediction v.mp4 at 1.50 s: 1 face, happy 91%>"
    )
    assert repr(Prediction("", 0.0, _detections(0), _scores(0))) == "<Prediction: no face>"
    assert repr(scores) == "<Scores 1 face, 2 classes: happy 91%>"
    assert repr(Detections(np.array([[0, 0, 20, 9], [0, 0, 90, 9]], np.float32), np.ones(2, np.float32))) == (
        "<Detections 2 faces, 90, 20 pixels wide>"
    )


def test_many_faces_are_not_all_named() -> None:
    assert repr(Prediction("a", 0.0, _detections(200), _scores(200))).count("%") == 3


def test_a_name_cannot_steer_a_terminal() -> None:
    said = repr(Prediction("a\x1b[2Jb\n.jpg", 0.0, _detections(0), _scores(0)))
    assert said.isprintable()


# In a notebook


def test_a_notebook_shows_the_picture_with_its_faces() -> None:
    picture = np.zeros((600, 900, 3), np.uint8)
    seen = Prediction("<b>.jpg", 0.0, _detections(2), _scores(2), preview=lambda: picture)
    page = seen._repr_html_()
    assert page.count("<rect") == 2
    assert '<svg width="320" height="213">' in page
    assert "<b>.jpg" not in page


def test_a_notebook_shows_rows_where_the_picture_is_gone() -> None:
    page = Prediction("a.jpg", 0.0, _detections(2), _scores(2), preview=lambda: None)._repr_html_()
    assert page.count("<tr>") == 3
    assert Prediction("a.jpg", 0.0, _detections(0), _scores(0))._repr_html_().count("<th>") == len(columns())


def test_a_notebook_shows_faces_and_scores() -> None:
    assert random_faces(30)._repr_html_().count("<img") == 14
    assert _scores(3)._repr_html_().count("<tr>") == 4


def test_a_pickled_prediction_leaves_its_picture_behind() -> None:
    seen = Prediction("a.jpg", 0.0, _detections(2), _scores(2), np.array([1, 2]), ("good", "small"), lambda: None)
    again = pickle.loads(pickle.dumps(seen))  # noqa: S301 (our own)
    assert again.rows() == seen.rows()
    assert again.preview is None


# Columns


def test_a_table_without_a_face_has_its_columns() -> None:
    faces, scores = _detections(1), _scores(1)
    seen = Prediction("a", 0.0, faces, scores, quality=("good",))
    assert columns() == list(seen.rows()[0])
    filmed = Prediction("a", 0.0, faces, scores, np.array([1]), ("good",))
    assert columns(video=True) == list(filmed.rows()[0])
    assert columns(class_names=("yes", "no"))[-3:] == ["confidence", "yes", "no"]
    empty = pd.DataFrame(Prediction("a", 0.0, _detections(0), _scores(0)).rows(), columns=columns())
    assert (len(empty), list(empty.columns)) == (0, columns())


# Whatever is drawn


@given(cut=integers(0, 6), seed=integers(0, 50))
def test_a_set_cut_in_two_is_concatenated_to_itself(cut: int, seed: int) -> None:
    faces = random_faces(6, seed=seed, votes=True)
    assert FaceSet.concatenate([faces[:cut], faces[cut:]]).hash == faces.hash


@given(order=permutations(range(5)), seed=integers(0, 50))
def test_selecting_in_any_order_keeps_each_faces_own(order: list[int], seed: int) -> None:
    faces = random_faces(5, seed=seed, votes=True)
    back = faces[order][np.argsort(order)]
    assert back.hash == faces.hash


@given(sides=lists(tuples(integers(1, 50), integers(1, 50)), max_size=8))
def test_detections_stand_by_size_with_all_that_is_theirs(sides: list[tuple[int, int]]) -> None:
    boxes = np.array([(0, 0, width, height) for width, height in sides], np.float32).reshape(-1, 4)
    own = (np.arange(len(sides)) / 10).astype(np.float32)
    faces = Detections(boxes, own, np.repeat(own, 10).reshape(-1, 5, 2))
    assert faces.landmarks is not None
    areas = faces.boxes[:, 2] * faces.boxes[:, 3]
    assert (np.diff(areas) <= 0).all()
    for place, sure in enumerate(faces.confidence):
        assert faces.boxes[place].tolist() == boxes[round(float(sure) * 10)].tolist()
        assert np.allclose(faces.landmarks[place], sure)
