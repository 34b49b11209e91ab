"""Cleaning: what each policy does, that a person's choice comes first, and that it can be done again to the byte."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data.audit.clean import Cleaned, Review, clean, load_review
from mien.data.audit.findings import KINDS, Audit, Finding
from mien.data.audit.run import audit
from mien.data.formats.npz import load_faces, load_history, save_faces
from mien.errors import DataError
from mien.labels import EXPRESSIONS
from mien.types import FaceSet
from support import drawn_faces

HAPPY, SAD = EXPRESSIONS.index("happy"), EXPRESSIONS.index("sad")


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Ten train faces and two test faces: 0 is blank, 1 is 2, 3 and 4 are also in test, 5 to 7 are one picture."""
    whole = FaceSet.concatenate([drawn_faces(10), drawn_faces(2, seed=1, split="test")])
    images, labels = whole.images.copy(), np.full(12, HAPPY)
    images[0] = 5
    images[1] = images[2]
    images[[3, 4]] = images[[10, 11]]
    images[[5, 6]] = images[7]
    labels[[5, 10, 11]] = SAD, -1, -1
    return FaceSet(images, labels, whole.splits, whole.ids)


@pytest.fixture(scope="module")
def found(faces: FaceSet) -> Audit:
    return audit(faces)


def _gone(faces: FaceSet, cleaned: Cleaned) -> list[int]:
    return [row for row, name in enumerate(faces.ids.tolist()) if name not in cleaned.faces.ids]


@pytest.mark.parametrize(
    ("drop", "gone"),
    [
        ((), []),
        (("blank",), [0]),
        (("duplicate",), [2, 3, 4, 5, 7]),
        (("leak",), [3, 4]),
        (("conflict",), [5]),
        (("blank", "leak", "conflict"), [0, 3, 4, 5]),
    ],
)
def test_each_policy(faces: FaceSet, found: Audit, drop: tuple[str, ...], gone: list[int]) -> None:
    cleaned = clean(faces, found, drop=drop)
    assert _gone(faces, cleaned) == gone
    assert sum(cleaned.dropped.values()) == len(gone)
    assert cleaned.by_split == {"train": len(gone), "valid": 0, "test": 0}
    np.testing.assert_array_equal(cleaned.faces.images, faces.images[np.delete(np.arange(12), gone)])


def test_after_leak_and_duplicate_nothing_is_there_twice(faces: FaceSet, found: Audit) -> None:
    cleaned = clean(faces, found, drop=("leak", "duplicate"))
    summary = audit(cleaned.faces).summary
    assert (summary["duplicate_groups"], summary["leak_test"]) == (0, 0)


def test_a_sure_suggestion_is_taken_and_saves_the_face(faces: FaceSet, found: Audit) -> None:
    cleaned = clean(faces, found, drop=("conflict",), relabel=0.6)
    assert cleaned.relabelled == 1
    assert _gone(faces, cleaned) == []
    assert cleaned.faces.labels[5] == HAPPY
    unsure = clean(faces, found, drop=("conflict",), relabel=0.7)
    assert (unsure.relabelled, _gone(faces, unsure)) == (0, [5])


def test_a_relabelled_face_still_goes_for_other_reasons(faces: FaceSet, found: Audit) -> None:
    assert 5 in _gone(faces, clean(faces, found, drop=("duplicate",), relabel=0.6))


def test_only_touches_the_splits_that_are_named(faces: FaceSet) -> None:
    flipped = replace(faces, splits=np.where(faces.splits == "test", "valid", "train"))
    everything = audit(flipped)
    kept = clean(flipped, everything, drop=("blank", "leak"), only=("valid",))
    assert len(kept.faces) == len(flipped)


def test_the_surest_suggestion_wins(faces: FaceSet) -> None:
    summary = {"faces": len(faces)}
    two = [Finding("label", 8, "", None, 1, measure, label) for measure, label in ((0.9, 1), (0.95, 2), (0.6, 4))]
    cleaned = clean(faces, Audit(faces.hash, {}, summary, tuple(two)), relabel=0.5)
    assert cleaned.faces.labels[8] == 2


def test_a_person_comes_before_the_policies(faces: FaceSet, found: Audit) -> None:
    ids = faces.ids.tolist()
    choices = {ids[0]: "keep", ids[9]: "drop", ids[5]: "keep", ids[8]: "fear", ids[3]: "sad"}
    cleaned = clean(faces, found, drop=("blank", "leak"), relabel=0.6, review=Review(found.hash, choices))
    assert _gone(faces, cleaned) == [4, 9]
    assert cleaned.dropped == {"leak": 1, "review": 1}
    labels = dict(zip(cleaned.faces.ids.tolist(), cleaned.faces.labels.tolist(), strict=True))
    assert [labels[ids[row]] for row in (0, 5, 8, 3)] == [HAPPY, SAD, EXPRESSIONS.index("fear"), SAD]


def test_a_person_may_drop_a_test_face_but_not_label_it(faces: FaceSet, found: Audit) -> None:
    name = str(faces.ids[10])
    assert 10 in _gone(faces, clean(faces, found, review=Review(found.hash, {name: "drop"})))
    with pytest.raises(DataError, match="test faces are never relabelled"):
        clean(faces, found, review=Review(found.hash, {name: "happy"}))


def test_the_same_bytes_again_and_the_history(faces: FaceSet, found: Audit, tmp_path: Path) -> None:
    for name in ("1.npz", "2.npz"):
        cleaned = clean(faces, found, drop=("blank", "leak"), review=Review(found.hash, {}))
        save_faces(cleaned.faces, tmp_path / name, history=("imported", cleaned.history))
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
    first, line = load_history(tmp_path / "1.npz")
    assert first == "imported"
    story = json.loads(line)["clean"]
    assert (story["audit"], story["faces"]) == (found.hash, faces.hash)
    assert story["dropped"] == {"blank": 1, "leak": 2}
    plain = tmp_path / "plain.npz"
    save_faces(cleaned.faces, plain)
    assert load_history(plain) == ()
    save_faces(cleaned.faces, tmp_path / "f.parquet")
    assert load_history((tmp_path / "f.parquet").rename(tmp_path / "f.faces")) == ()
    assert load_faces(plain).hash == load_faces(tmp_path / "1.npz").hash


def test_what_does_not_belong_together_is_refused(faces: FaceSet, found: Audit) -> None:
    with pytest.raises(DataError, match="must be of these faces"):
        clean(faces[1:], found)
    with pytest.raises(DataError, match="must be of the audit whose hash begins"):
        clean(faces, found, review=Review("0" * 64, {}))
    with pytest.raises(DataError, match="a choice for nobody"):
        clean(faces, found, review=Review(found.hash, {"nobody": "keep"}))
    with pytest.raises(DataError, match="got blnk"):
        clean(faces, found, drop=("blnk",))
    with pytest.raises(DataError, match="relabel must be over 0"):
        clean(faces, found, relabel=1.5)


def test_review_files(tmp_path: Path) -> None:
    review = Review("abc", {"ü": "keep", "a": "happy"})
    (tmp_path / "r.json").write_text(review.to_json(), encoding="utf-8")
    assert load_review(tmp_path / "r.json") == review
    for text, message in (
        ("", "is no review"),
        ("[1]", "is no review"),
        ('{"choices": {}}', "is no review"),
        ('{"audit_hash": "a", "choices": {"x": "maybe"}}', "must be keep, drop or one of angry"),
        ('{"audit_hash": "a", "choices": {"x": 1}}', "must be keep, drop or one of angry"),
    ):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(DataError, match=message):
            load_review(tmp_path / "r.json")


def test_what_was_not_looked_for_cannot_be_dropped(faces: FaceSet, found: Audit) -> None:
    few = audit(faces, kinds=("blank", "leak"))
    with pytest.raises(DataError, match="the audit did not look for duplicate, which shall be dropped"):
        clean(faces, few, drop=("blank", "duplicate"))
    with pytest.raises(DataError, match="nothing that suggests a label"):
        clean(faces, few, relabel=0.9)
    with pytest.raises(DataError, match=r"did not look for label, .* again with --scores or --model"):
        clean(faces, found, drop=("label",))
    with pytest.raises(DataError, match=r"did not look for nonface, .* again without --no-detect"):
        clean(faces, found, drop=("nonface",))


def _audit_of(faces: FaceSet, *findings: Finding) -> Audit:
    ordered = tuple(sorted(findings, key=lambda finding: KINDS.index(finding.kind)))
    settings = {"kinds": list(KINDS), "scores": "s", "detector": "d"}
    return Audit(faces.hash, settings, {"faces": len(faces)}, ordered)


def _found(faces: FaceSet, kind: str, row: int, other: int | None = None) -> Finding:
    return Finding(kind, row, str(faces.ids[row]), other, 1.0, 0.9)


def test_where_the_one_that_should_stay_goes_the_next_stays(faces: FaceSet) -> None:
    """1 stays for 2, and it for 6; 10, of the test split, for 3 and 4."""
    copies = [
        _found(faces, "duplicate", 2, 1),
        _found(faces, "near-duplicate", 1, 6),
        _found(faces, "near-duplicate", 2, 6),
        *(_found(faces, kind, row, 10) for kind in ("duplicate", "leak") for row in (3, 4)),
    ]
    every = ("duplicate", "near-duplicate", "leak", "label", "nonface")
    assert _gone(faces, clean(faces, _audit_of(faces, *copies), drop=every)) == [1, 2, 3, 4]
    bad = [_found(faces, "label", 6), _found(faces, "nonface", 10)]
    assert _gone(faces, clean(faces, _audit_of(faces, *copies, *bad), drop=every)) == [2, 4, 6, 10]
    worse = [*bad, _found(faces, "label", 1), _found(faces, "nonface", 3), _found(faces, "nonface", 4)]
    assert _gone(faces, clean(faces, _audit_of(faces, *copies, *worse), drop=every)) == [1, 3, 4, 6, 10]
    both = _audit_of(faces, *copies)
    review = Review(both.hash, {str(faces.ids[6]): "drop", str(faces.ids[4]): "keep", str(faces.ids[10]): "drop"})
    assert _gone(faces, clean(faces, both, drop=every, review=review)) == [2, 3, 6, 10]


def test_a_copy_goes_where_another_copy_of_it_stays(faces: FaceSet) -> None:
    """3 goes for 10, which a person drops, and is near 11, which stays."""
    copies = [_found(faces, "duplicate", 3, 10), _found(faces, "near-duplicate", 3, 11)]
    found = _audit_of(faces, *copies)
    review = Review(found.hash, {str(faces.ids[10]): "drop"})
    cleaned = clean(faces, found, drop=("duplicate", "near-duplicate"), review=review)
    assert _gone(faces, cleaned) == [3, 10]


def test_no_audit_can_relabel_a_test_face(faces: FaceSet) -> None:
    found = _audit_of(faces, Finding("label", 10, str(faces.ids[10]), None, 1.0, 0.9, SAD))
    assert clean(faces, found, relabel=0.5).relabelled == 0


def test_what_was_cleaned_prints_itself_in_a_line(faces: FaceSet, found: Audit) -> None:
    cleaned = clean(faces, found, drop=("blank", "leak"), relabel=0.6)
    assert repr(cleaned) == "<Cleaned 9 faces: dropped 1 blank, 2 leak, relabelled 1>"
    assert repr(clean(faces, found)) == "<Cleaned 12 faces: dropped none, relabelled 0>"
