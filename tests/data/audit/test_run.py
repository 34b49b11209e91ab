"""The audit as a whole, on planted faults, and the same through every form that faces come in."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mien
from mien.data.audit.findings import KINDS, Audit, load_audit
from mien.data.audit.run import audit, describe, find_blanks, find_wrong_labels
from mien.data.formats.fer2013_csv import read_fer2013, write_fer2013
from mien.data.formats.image_folder import read_folder, write_folder
from mien.data.scores_file import FaceScores
from mien.errors import DataError
from mien.labels import EXPRESSIONS, VOTES
from mien.types import FaceSet, Scores
from support import altered, drawn_faces, random_faces

ASKED = ["faces", "blank", "constant", "duplicate_groups", "redundant_copies", "near_duplicate_groups", "leak_valid"]
ASKED += ["leak_test", "conflict_groups", "nonface", "label"]


@pytest.fixture(scope="module")
def faulty() -> FaceSet:
    """40 train, 10 valid and 10 test faces, and: a copy each way, near copies, blanks, a non-face."""
    rng = np.random.default_rng(0)
    sets = [drawn_faces(40), drawn_faces(10, seed=1, split="valid"), drawn_faces(10, seed=2, split="test")]
    faces = FaceSet.concatenate(sets)
    labels = np.where(faces.splits == "test", -1, faces.labels)
    images, splits = faces.images.copy(), faces.splits
    images[1] = images[0]  # a copy with another label, at a tie
    images[45] = images[2]  # in valid and train
    images[55] = images[3]  # in test and train
    images[56] = altered(images[4], rng)  # nearly
    images[5] = altered(images[6], rng)
    images[7] = 99
    images[8] = 100 + rng.integers(0, 3, (48, 48))
    votes = np.zeros((60, len(VOTES)), np.float32)
    votes[9, VOTES.index("nonface")] = 10
    return mien.FaceSet(images, labels, splits, faces.ids, votes)


def _rows(found: Audit, kind: str) -> list[int]:
    return [each.row for each in found.of_kind(kind)]


def test_every_planted_fault_is_found_and_no_other(faulty: FaceSet) -> None:
    found = audit(faulty)
    assert {kind: sorted(_rows(found, kind)) for kind in KINDS} == {
        "blank": [7, 8],
        "nonface": [9],
        "duplicate": [1, 2, 3],
        "near-duplicate": [4, 6],
        "leak": [2, 3],
        "near-leak": [4],
        "conflict": [0, 1, 2, 45],
        "near-conflict": [5, 6],
        "label": [],
    }
    expected = dict(zip(ASKED, (60, 2, 1, 3, 3, 2, 1, 1, 2, 1, 0), strict=True))
    assert {name: found.summary[name] for name in ASKED} == expected
    assert (found.summary["near_leak_test"], found.summary["near_redundant_copies"]) == (1, 2)


def test_no_finding_suggests_a_label_for_a_test_face(faulty: FaceSet) -> None:
    scores = FaceScores(faulty.ids, Scores(np.eye(7, dtype=np.float32)[np.arange(60) % 3]), held_out=True)
    found = audit(replace(faulty, labels=np.arange(60) % 7), scores=scores)
    assert any(each.suggestion is not None for each in found.findings)
    assert all(each.suggestion is None for each in found.findings if faulty.splits[each.row] == "test")
    assert all(faulty.splits[row] != "test" for row in _rows(found, "label"))


def test_worst_first_and_the_kinds_that_were_asked_for(faulty: FaceSet) -> None:
    found = audit(faulty, kinds={"leak", "blank"})
    assert [each.kind for each in found.findings] == ["blank", "blank", "leak", "leak"]
    assert _rows(found, "blank") == [7, 8]
    assert "near_duplicate_groups" not in found.summary
    assert found.summary["duplicate_groups"] == 3


def test_blank_is_by_deviation() -> None:
    faces = drawn_faces(3)
    images = faces.images.copy()
    images[1] = np.where(np.indices((48, 48)).sum(axis=0) % 2, 100, 118)  # deviates by 9
    assert [(each.row, each.measure) for each in find_blanks(replace(faces, images=images))] == [(1, 9.0)]
    assert list(find_blanks(replace(faces, images=images), below=9.0)) == []


def test_wrong_labels_are_found_by_scores() -> None:
    faces = drawn_faces(70)
    rng = np.random.default_rng(0)
    probs = 0.86 * np.eye(7)[faces.labels] + 0.1 * rng.dirichlet(np.ones(7), 70)
    probs[[5, 30], [5, 2]] = 5
    probs = (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)
    labels = faces.labels.copy()
    labels[[5, 30]] = [3, 1]
    scored = FaceScores(faces.ids[::-1], Scores(probs[::-1]), held_out=True)
    found = list(find_wrong_labels(replace(faces, labels=labels), scored))
    assert {each.row: each.suggestion for each in found} == {5: 5, 30: 2}
    assert all(each.measure > 0.8 and each.severity > 0.9 for each in found)


def test_description_against_numpy() -> None:
    faces = FaceSet.concatenate([drawn_faces(30), drawn_faces(7, seed=1, split="valid")])
    facts = describe(faces)
    assert facts["pixel_mean"] == pytest.approx(faces.images.mean() / 255, abs=1e-6)
    assert facts["pixel_std"] == pytest.approx(faces.images.std() / 255, abs=1e-6)
    assert facts["labels"]["train"] == dict(zip((*EXPRESSIONS, "none"), (5, 5, 4, 4, 4, 4, 4, 0), strict=True))
    assert facts["imbalance"] == 1.25
    assert sum(facts["brightness"]) == sum(facts["contrast"]) == 37
    json.dumps(facts)


def test_no_faces_at_all() -> None:
    found = audit(random_faces(5)[[]])
    assert found.findings == ()
    assert found.summary["faces"] == 0


def test_json_round_trip(faulty: FaceSet, tmp_path: Path) -> None:
    found = audit(faulty)
    text = found.to_json()
    content = json.loads(text)
    assert list(content) == ["faces_hash", "settings", "summary", "findings"]
    assert content["faces_hash"] == faulty.hash
    assert text == audit(faulty).to_json()
    (tmp_path / "a.json").write_text(text)
    read = load_audit(tmp_path / "a.json")
    assert (read.to_json(), read.hash) == (text, found.hash)
    assert read.keep(drop={"blank", "leak"}).tolist() == [row not in (2, 3, 7, 8) for row in range(60)]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"findings": []}', '{"findings": [{"kind": "blank"}]}'])
def test_other_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json: this is no audit of mien"):
        load_audit(tmp_path / "a.json")


def test_a_finding_of_no_face_is_refused(faulty: FaceSet) -> None:
    text = audit(faulty, kinds=("blank",)).to_json()
    with pytest.raises(DataError, match="a row that is not there"):
        Audit.from_json(text.replace('"row": 7,', '"row": 60,'))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ("blnk",)}, "must be among blank, nonface.*got blnk"),
        ({"blank_below": -1}, "blank_below must be 0 or more, got -1"),
        ({"near": 0.5}, "near must be 0.6 to 1, got 0.5"),
        ({"near": float("nan")}, "near must be 0.6 to 1"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        audit(drawn_faces(2), **settings)


def test_the_same_faces_in_any_form_have_the_same_faults(faulty: FaceSet, tmp_path: Path) -> None:
    faces = replace(faulty, votes=None)
    write_fer2013(faces, tmp_path / "f.csv")
    write_folder(faces, tmp_path / "png")
    for file in (tmp_path / "png").rglob("*.png"):
        target = tmp_path / "jpg" / file.relative_to(tmp_path / "png").with_suffix(".jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        Image.open(file).save(stream, "JPEG", quality=90)
        target.write_bytes(stream.getvalue())
    sets = {"csv": read_fer2013(tmp_path / "f.csv")}
    sets |= {form: read_folder(tmp_path / form) for form in ("png", "jpg")}
    wanted = audit(faces).summary
    for form, read in sets.items():
        summary = audit(read).summary
        for name in ASKED:
            assert summary[name] == wanted[name] or (form, name) == ("jpg", "constant"), (form, name)
