"""Predictions that stand in a table are joined to their faces, and measured like a model's."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data.formats.npz import save_faces
from mien.errors import DataError
from mien.evaluation.prediction_table import read_predictions
from mien.types import FaceSet
from support import random_faces, run_mien, train_and_valid

NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def write_table(path: Path, keys: Sequence[str], probs: np.ndarray, *, key: str = "id", shown: int = 6) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([key, "expression", *reversed(NAMES)])
        for name, row in zip(keys, probs, strict=True):
            rows.writerow([name, NAMES[row.argmax()], *(f"{each:.{shown}f}" for each in reversed(row))])
    return path


def some_probs(count: int) -> np.ndarray:
    return np.random.default_rng(3).dirichlet(np.ones(7), count)


def test_rows_are_found_by_id_whatever_their_order(tmp_path: Path) -> None:
    faces, probs = random_faces(9), some_probs(9)
    order = np.random.default_rng(1).permutation(9)
    path = write_table(tmp_path / "rows.csv", [*faces.ids[order], "somebody else"], np.r_[probs[order], probs[:1]])
    assert np.allclose(read_predictions(path, faces), probs, atol=2e-6)


@pytest.mark.parametrize("key", ["source", "file"])
def test_rows_are_found_by_the_pictures_name(tmp_path: Path, key: str) -> None:
    probs = some_probs(3)
    faces = replace(random_faces(3), ids=np.array(["happy/a.png", "sad/b.png", "sad/c.png"]))
    path = write_table(tmp_path / "rows.csv", ["x\\b.jpg", "/data/a.png", "c"], probs[[1, 0, 2]], key=key)
    assert np.allclose(read_predictions(path, faces), probs, atol=2e-6)


def test_rounded_rows_sum_to_one_again(tmp_path: Path) -> None:
    faces, probs = random_faces(40), some_probs(40)
    read = read_predictions(write_table(tmp_path / "rows.csv", faces.ids.tolist(), probs, shown=2), faces)
    assert np.allclose(read.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(read, probs, atol=0.02)


ROW = "0,0,0,1,0,0,0"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["id,angry,happy", "valid/0/0,0,1"], "got none for disgust, fear, sad, surprise, neutral"),
        ([f"name,{','.join(NAMES)}", f"valid/0/0,{ROW}"], "must name the faces in a column id, source or file"),
        ([f"id,{','.join(NAMES)}", f"elsewhere,{ROW}"], "such as valid/0/0; got none of them"),
        ([f"id,{','.join(NAMES)}", f"valid/0/0,{ROW}"], "got none for 1 of 2, such as valid/0/1"),
        ([f"id,{','.join(NAMES)}", *[f"valid/0/{row},{ROW}" for row in (0, 1, 1)]], "got valid/0/1 2 times"),
        ([f"id,{','.join(NAMES)}", f"valid/0/0,{ROW}", "valid/0/1,0,0,0,nan,0,0,1"], "line 3: probabilities must be 0"),
        ([f"id,{','.join(NAMES)}", f"valid/0/0,{ROW}", "valid/0/1,0,0,0,1,0,0,1"], "line 3: .* sum to 1"),
        ([f"id,{','.join(NAMES)}", f"valid/0/0,{ROW}", "valid/0/1,0,0,0,-1,0,1,1"], "line 3: probabilities must be 0"),
        ([f"id,{','.join(NAMES)}", f"valid/0/0,{ROW}", "valid/0/1,0,0,0,yes,0,0,1"], "line 3: .* must be a number"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=said):
        read_predictions(path, random_faces(2))


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaceSet:
    """Faces in a file, and tables of two programs: one that is always right, one that always says happy."""
    monkeypatch.chdir(tmp_path)
    faces = train_and_valid(20, 14)
    save_faces(faces, "faces.npz")
    valid = faces[faces.splits == "valid"]
    write_table(tmp_path / "right.csv", valid.ids.tolist(), np.eye(7)[valid.labels])
    write_table(tmp_path / "happy.csv", valid.ids.tolist(), np.eye(7)[np.full(len(valid), 3)])
    return valid


def test_a_table_is_evaluated_like_a_model(faces: FaceSet) -> None:
    ended = run_mien("evaluate", "happy.csv", "faces.npz", "--compare", "right.csv", "--json", "--html", "page.html")
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["model"] == "happy.csv"
    assert report["accuracy"]["value"] == pytest.approx(float((faces.labels == 3).mean()))
    assert report["compared_with"]["model"] == "right.csv"
    assert Path("page.html").is_file()


@pytest.mark.usefixtures("faces")
def test_a_table_meets_a_model() -> None:
    ended = run_mien("evaluate", "swift-nano", "faces.npz", "--compare", "right.csv")
    assert ended.code == 0, ended.err
    assert "right.csv" in ended.out


@pytest.mark.usefixtures("faces")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["right.csv", "swift-nano", "faces.npz"], "right.csv is a table of predictions and cannot be averaged"),
        (["right.csv", "faces.npz", "--tta", "mirror"], "needs models, got the table right.csv"),
        (["right.csv", "faces.npz", "--prior", "uniform"], "needs models, got the table right.csv"),
        (["swift-nano", "faces.npz", "--compare", "right.csv", "--corrupt"], "needs models, got the table right.csv"),
        (["none.csv", "faces.npz"], "cannot read none.csv"),
    ],
)
def test_what_a_table_cannot_do_is_said(arguments: list[str], said: str) -> None:
    ended = run_mien("evaluate", *arguments)
    assert ended.code == 2 or "cannot read" in ended.err
    assert said in " ".join(ended.err.replace("│", " ").split())
