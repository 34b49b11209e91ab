"""Findings about groups of the same picture: redundant copies, leaks between splits, conflicting labels.

One face of each group is kept. It is of the latest split (test, then valid, then train), so that the faces that models
are measured on stay whole. Among these it has a label, unless none has one, and outside test it is the label that most
of the group have. Among these it is the first.

No label is ever suggested for a test face. Labels of test faces decide nothing about other faces, and labels of other
faces nothing about test faces.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.duplicates import connected_components, list_groups
from mien.data.audit.findings import Finding
from mien.labels import SPLITS
from mien.types import FaceSet

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class DuplicateGroups:
    """The groups of duplicates of a face set.

    Parameters
    ----------
    groups
        How many groups there are.
    redundant
        How many pictures there are beyond one of each group.
    leaked
        The rows of valid and test faces that have a duplicate in train.
    conflict_groups
        How many groups have different labels, either among test faces or among the others.
    findings
        What is wrong with which face.
    """

    groups: int
    redundant: int
    leaked: frozenset[int]
    conflict_groups: int
    findings: tuple[Finding, ...]


def find_identical_groups(faces: FaceSet, first: Rows) -> DuplicateGroups:
    """Find the groups of faces with the very same pixels; `first` is (N,), the result of `first_identical_row`."""
    groups = list_groups(first)
    findings, conflicts = [], 0
    for rows in groups:
        kept = _choose_kept(faces, rows)
        findings += [_copy("duplicate", faces, row, kept, 1.0) for row in rows.tolist() if row != kept]
        findings += [_copy("leak", faces, row, kept, 1.0) for row in _earlier(faces, rows, kept)]
        contradictions = _find_conflicts("conflict", faces, rows)
        conflicts += bool(contradictions)
        findings += contradictions
    redundant = sum(len(rows) - 1 for rows in groups)
    return DuplicateGroups(len(groups), redundant, _leaked(faces, groups), conflicts, tuple(findings))


def find_near_groups(
    faces: FaceSet, first: Rows, pairs: Rows, correlation: NDArray[np.float32], known: DuplicateGroups
) -> DuplicateGroups:
    """Find the groups that chains of near-identical pairs make.

    Parameters
    ----------
    faces, first
        As for `find_identical_groups`.
    pairs, correlation
        (M, 2) and (M,), the result of `near_pairs`.
    known
        The identical groups. Leaks and conflicts that they hold are neither told nor counted again.
    """
    strongest = np.zeros(len(faces))
    np.maximum.at(strongest, pairs.ravel(), np.repeat(correlation.clip(0, 1), 2))
    strongest = strongest[first]
    copies = np.stack([np.arange(len(first)), first], axis=1)
    chained = list_groups(connected_components(len(faces), np.concatenate([pairs, copies])))
    groups = [rows for rows in chained if len(np.unique(first[rows])) > 1]
    told = {(finding.kind, finding.row) for finding in known.findings}
    findings, conflicts = [], 0
    for rows in groups:
        kept = _choose_kept(faces, rows)
        others = rows[first[rows] != first[kept]].tolist()
        earlier = [row for row in _earlier(faces, rows, kept) if ("leak", row) not in told]
        findings += [_copy("near-duplicate", faces, row, kept, strongest[row]) for row in others]
        findings += [_copy("near-leak", faces, row, kept, strongest[row]) for row in earlier]
        contradictions = _find_conflicts("near-conflict", faces, rows)
        contradictions = [finding for finding in contradictions if ("conflict", finding.row) not in told]
        conflicts += bool(contradictions)
        findings += contradictions
    redundant = sum(len(np.unique(first[rows])) - 1 for rows in groups)
    return DuplicateGroups(len(groups), redundant, _leaked(faces, groups) - known.leaked, conflicts, tuple(findings))


def _copy(kind: str, faces: FaceSet, row: int, kept: int, correlation: float) -> Finding:
    return Finding(kind, row, str(faces.ids[row]), kept, float(correlation), float(correlation))


def _choose_kept(faces: FaceSet, rows: Rows) -> int:
    """Choose the face of a group that is kept, as the top of this file says."""
    labels, test = faces.labels[rows], faces.splits[rows] == "test"
    most = _majority(labels[~test])
    of_another_label = (labels != most) & ~test & (most >= 0)
    order = np.lexsort((rows, of_another_label, labels < 0, -_split_ranks(faces, rows)))  # the last key counts first
    return int(rows[order[0]])


def _earlier(faces: FaceSet, rows: Rows, kept: int) -> list[int]:
    """Return the rows of an earlier split than that of the kept face."""
    ranks = _split_ranks(faces, rows)
    earlier: list[int] = rows[ranks < ranks[rows == kept]].tolist()
    return earlier


def _leaked(faces: FaceSet, groups: list[Rows]) -> frozenset[int]:
    trained_on = [rows for rows in groups if (faces.splits[rows] == "train").any()]
    return frozenset(row for rows in trained_on for row in rows[faces.splits[rows] != "train"].tolist())


def _find_conflicts(kind: str, faces: FaceSet, rows: Rows) -> list[Finding]:
    """Find the faces of a group whose label most others do not have; at a tie, all that have a label.

    Test faces are compared with one another alone.
    """
    known = rows[faces.labels[rows] >= 0]
    test = faces.splits[known] == "test"
    return [*_find_differing(kind, faces, known[~test]), *_find_differing(kind, faces, known[test])]


def _find_differing(kind: str, faces: FaceSet, rows: Rows) -> Iterator[Finding]:
    labels = faces.labels[rows]
    if len(np.unique(labels)) < 2:
        return
    most = _majority(labels)
    sure = float((labels == most).mean())
    for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
        if label == most:
            continue
        other = int(rows[labels == most][0] if most >= 0 else rows[labels != label][0])
        suggestion = None if most < 0 or faces.splits[row] == "test" else most
        measure = 0.0 if suggestion is None else sure
        severity = 1 - float((labels == label).mean())
        yield Finding(kind, row, str(faces.ids[row]), other, severity, measure, suggestion)


def _majority(labels: Rows) -> int:
    """Return the label that more faces have than any other; -1 at a tie or if no face has one."""
    counts = np.bincount(labels[labels >= 0], minlength=1)
    top = counts.max()
    return int(counts.argmax()) if top > 0 and (counts == top).sum() == 1 else -1


def _split_ranks(faces: FaceSet, rows: Rows) -> Rows:
    return np.array([SPLITS.index(split) for split in faces.splits[rows].tolist()], np.int64)
