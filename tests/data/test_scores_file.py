"""The file of scores: what is written comes back, and what is none is refused."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from mien.data.scores_file import FaceScores, load_scores, save_scores
from mien.errors import DataError
from mien.labels import EXPRESSIONS
from mien.types import Scores
from strategies import face_scores
from support import random_faces


def _scored(ids: list[str], names: tuple[str, ...] = EXPRESSIONS) -> FaceScores:
    probs = np.random.default_rng(0).dirichlet(np.ones(7), len(ids)).astype(np.float32)
    return FaceScores(np.array(ids), Scores(probs, names), held_out=True)


def test_round_trip_to_the_byte(tmp_path: Path) -> None:
    scored = _scored(["a", "ü/2", "c"])
    for name in ("1.npz", "2.npz"):
        save_scores(scored, tmp_path / name)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
    read = load_scores(tmp_path / "1.npz")
    assert read.ids.tolist() == ["a", "ü/2", "c"]
    assert read.held_out is True
    assert read.scores.class_names == EXPRESSIONS
    np.testing.assert_array_equal(read.scores.probs, scored.scores.probs)


def test_rows_are_found_by_id_and_columns_by_name() -> None:
    faces = random_faces(4)
    names = ("Neutral", "surprise", "sadness", "happiness", "fear", "disgust", "anger")
    scored = _scored([faces.ids[3], "elsewhere", faces.ids[1]], names)
    rows, probs = scored.match(faces)
    assert rows.tolist() == [1, 3]
    np.testing.assert_array_equal(probs, scored.scores.probs[[2, 0]][:, ::-1])


def test_scores_of_other_faces_or_classes_are_refused() -> None:
    with pytest.raises(DataError, match="of other faces"):
        _scored(["x"]).match(random_faces(2))
    with pytest.raises(DataError, match="the scores are of other classes: classes must be angry"):
        _scored(["x"], ("a", "b", "c", "d", "e", "f", "g")).match(random_faces(2))
    with pytest.raises(DataError, match="unique"):
        _scored(["x", "x"])
    with pytest.raises(DataError, match=r"ids must be \(2,\)"):
        FaceScores(np.array(["x"]), Scores(np.full((2, 7), 1 / 7, np.float32)), held_out=False)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"text"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"s\.npz"):
        load_scores(tmp_path / "s.npz")


def test_other_archives_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(DataError, match="version, ids, probs, names, held_out is missing, got a"):
        load_scores(tmp_path / "other.npz")
    np.savez(tmp_path / "later.npz", version=2, ids=1, probs=1, names=1, held_out=1)
    with pytest.raises(DataError, match="must be version 1"):
        load_scores(tmp_path / "later.npz")
    ids, names = np.array([b"a"]), np.array([name.encode() for name in EXPRESSIONS])
    np.savez(tmp_path / "bad.npz", version=1, ids=ids, probs=np.ones((1, 7)), names=names, held_out=True)
    with pytest.raises(DataError, match="sum to 1"):
        load_scores(tmp_path / "bad.npz")
    with pytest.raises(DataError, match="No such file"):
        load_scores(tmp_path / "none.npz")


@settings(max_examples=50, deadline=None)
@given(face_scores())
def test_any_scores_come_back(scored: FaceScores) -> None:
    with tempfile.TemporaryDirectory() as folder:
        save_scores(scored, Path(folder, "s.npz"))
        read = load_scores(Path(folder, "s.npz"))
    assert (read.ids.tolist(), read.held_out) == (scored.ids.tolist(), scored.held_out)
    assert read.scores.class_names == scored.scores.class_names
    assert np.array_equal(read.scores.probs, scored.scores.probs)
