"""Duplicate groups: which face is kept, leaks, contradicts, and that test labels decide nothing."""

import numpy as np
import pytest

from mien.data.audit.duplicate_groups import DuplicateGroups, find_identical_groups, find_near_groups
from mien.data.audit.duplicates import first_identical_row
from mien.labels import EXPRESSIONS
from mien.types import FaceSet
from support import drawn_faces

ANGRY, HAPPY, SAD = (EXPRESSIONS.index(name) for name in ("angry", "happy", "sad"))


def _set(*faces: tuple[int, str, int]) -> FaceSet:
    """Faces as (picture, split, label)."""
    pictures, splits, labels = zip(*faces, strict=True)
    images = drawn_faces(10).images[list(pictures)]
    return FaceSet(images, np.array(labels), np.array(splits), np.array([f"f{row}" for row in range(len(faces))]))


def _found(faces: FaceSet) -> tuple[DuplicateGroups, list[tuple[str, int, int | None, int | None]]]:
    groups = find_identical_groups(faces, first_identical_row(faces.images))
    return groups, [(each.kind, each.row, each.other, each.suggestion) for each in groups.findings]


def test_without_copies_there_is_nothing() -> None:
    groups, found = _found(_set((0, "train", ANGRY), (1, "test", -1)))
    assert (groups.groups, groups.redundant, groups.leaked, groups.conflict_groups, found) == (0, 0, frozenset(), 0, [])


def test_the_one_in_the_latest_split_stays() -> None:
    groups, found = _found(_set((0, "train", SAD), (0, "valid", SAD), (0, "test", -1), (0, "train", SAD)))
    assert found == [
        ("duplicate", 0, 2, None),
        ("duplicate", 1, 2, None),
        ("duplicate", 3, 2, None),
        ("leak", 0, 2, None),
        ("leak", 1, 2, None),
        ("leak", 3, 2, None),
    ]
    assert (groups.groups, groups.redundant, groups.leaked) == (1, 3, frozenset({1, 2}))


def test_a_valid_face_in_test_but_not_in_train_is_no_leaked_one() -> None:
    groups, found = _found(_set((0, "valid", SAD), (0, "test", -1)))
    assert groups.leaked == frozenset()
    assert ("leak", 0, 1, None) in found


def test_the_label_of_most_is_kept_and_the_odd_one_contradicts() -> None:
    groups, found = _found(_set((0, "train", ANGRY), (0, "train", HAPPY), (0, "train", HAPPY)))
    assert found == [("duplicate", 0, 1, None), ("duplicate", 2, 1, None), ("conflict", 0, 1, HAPPY)]
    (conflict,) = (each for each in groups.findings if each.kind == "conflict")
    assert conflict.measure == pytest.approx(2 / 3)
    assert conflict.severity == pytest.approx(2 / 3)


def test_at_a_tie_all_contradict_and_nothing_is_suggested() -> None:
    groups, found = _found(_set((0, "train", ANGRY), (0, "train", HAPPY)))
    assert found[1:] == [("conflict", 0, 1, None), ("conflict", 1, 0, None)]
    assert [each.measure for each in groups.findings[1:]] == [0, 0]


def test_train_copies_give_a_test_face_no_label() -> None:
    groups, found = _found(_set((0, "train", SAD), (0, "train", SAD), (0, "test", -1)))
    assert groups.conflict_groups == 0
    assert all(suggestion is None for *_, suggestion in found)


def test_labels_of_test_faces_decide_about_test_faces_alone() -> None:
    for label in (SAD, HAPPY, -1):
        _, found = _found(_set((0, "train", SAD), (0, "test", label), (0, "test", label)))
        assert not [each for each in found if each[0] == "conflict"]
        _, found = _found(_set((0, "train", SAD), (0, "valid", HAPPY), (0, "test", label)))
        assert [each for each in found if each[0] == "conflict"] == [("conflict", 0, 1, None), ("conflict", 1, 0, None)]


def test_test_faces_that_contradict_one_another_are_told() -> None:
    groups, found = _found(_set((0, "test", HAPPY), (0, "test", SAD), (0, "test", SAD)))
    assert [each for each in found if each[0] == "conflict"] == [("conflict", 0, 1, None)]
    assert groups.conflict_groups == 1


def _near(
    faces: FaceSet, pairs: list[list[int]], correlation: list[float]
) -> tuple[DuplicateGroups, list[tuple[str, int, int | None]]]:
    first = first_identical_row(faces.images)
    known = find_identical_groups(faces, first)
    near = find_near_groups(faces, first, np.array(pairs), np.array(correlation, np.float32), known)
    return near, [(each.kind, each.row, each.other) for each in near.findings]


def test_near_groups_are_chained_by_their_strongest_link() -> None:
    faces = _set((0, "train", SAD), (1, "train", SAD), (2, "train", SAD), (3, "train", SAD))
    near, found = _near(faces, [[0, 1], [1, 2]], [0.8, 0.9])
    assert found == [("near-duplicate", 1, 0), ("near-duplicate", 2, 0)]
    assert [each.measure for each in near.findings] == pytest.approx([0.9, 0.9])
    assert (near.groups, near.redundant) == (1, 2)


def test_find_near_groups_hold_only_what_identical_ones_do_not() -> None:
    faces = _set((0, "train", SAD), (0, "test", -1), (1, "train", HAPPY), (1, "valid", SAD))
    near, found = _near(faces, [[0, 2]], [0.75])
    assert found == [("near-duplicate", 2, 1), ("near-duplicate", 3, 1), ("near-leak", 3, 1)]
    assert near.redundant == 1
    assert near.leaked == frozenset()
    assert near.conflict_groups == 0


def test_near_conflicts_and_leaks() -> None:
    faces = _set((0, "train", SAD), (1, "valid", HAPPY), (2, "test", -1), (3, "train", SAD))
    near, found = _near(faces, [[0, 1], [1, 2], [0, 3]], [0.8, 0.8, 0.8])
    assert near.leaked == {1, 2}
    assert near.conflict_groups == 1
    assert [each for each in found if each[0] == "near-leak"] == [("near-leak", row, 2) for row in (0, 1, 3)]
    (conflict,) = (each for each in near.findings if each.kind == "near-conflict")
    assert (conflict.row, conflict.suggestion) == (1, SAD)


def _stays(*faces: tuple[str, int]) -> int:
    """Which of the same picture, as (split, label), stays."""
    _, found = _found(_set(*((0, *face) for face in faces)))
    (stays,) = {other for kind, _, other, _ in found if kind == "duplicate"}
    assert stays is not None
    return stays


def test_a_face_without_a_label_stays_only_where_none_has_one() -> None:
    for split in ("train", "test"):
        assert _stays((split, -1), (split, HAPPY), (split, HAPPY)) == 1
    assert _stays(("train", -1), ("train", -1)) == 0
    assert _stays(("train", -1), ("train", HAPPY), ("train", SAD)) == 1  # at a tie the first that has one


def test_train_labels_do_not_decide_which_test_face_stays() -> None:
    assert _stays(("test", SAD), ("test", HAPPY), ("train", HAPPY)) == 0
