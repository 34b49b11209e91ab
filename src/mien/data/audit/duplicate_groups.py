"""Findings about faces that are the same picture: redundant copies, leaks between splits, conflicting labels.

In each group of twins one face stays: of the latest split (test, then valid, then train), so that what models are
measured on stays whole; of these, one that has a label, and but for test faces that which most of the group have; of
these, the first.

A label is never suggested for a test face, nor taken from one, nor does any decide which test face stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.duplicates import connected_components, members
from mien.data.audit.findings import Finding
from mien.labels import EXPRESSIONS, SPLITS
from mien.types import FaceSet

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Twins:
    """What groups of twins come to.

    groups:          how many there are.
    redundant:       pictures but for one of each group.
    leaked:          rows of valid and test faces that have a twin in train.
    conflict_groups: groups in which known labels differ, those of test faces and the others each among themselves.
    """

    groups: int
    redundant: int
    leaked: frozenset[int]
    conflict_groups: int
    findings: tuple[Finding, ...]


def identical_twins(faces: FaceSet, first: Rows) -> Twins:
    """Twins with the very same pixels; first: as `duplicates.identical` returns it."""
    groups = members(first)
    findings, conflicts = [], 0
    for rows in groups:
        stays = _stayer(faces, rows)
        findings += [_twin("duplicate", faces, row, stays, 1.0) for row in rows.tolist() if row != stays]
        findings += [_twin("leak", faces, row, stays, 1.0) for row in _earlier(faces, rows, stays)]
        contradictions = _conflicts("conflict", faces, rows)
        conflicts += bool(contradictions)
        findings += contradictions
    redundant = sum(len(rows) - 1 for rows in groups)
    return Twins(len(groups), redundant, _leaked(faces, groups), conflicts, tuple(findings))


def near_twins(faces: FaceSet, first: Rows, pairs: Rows, correlation: NDArray[np.float32], known: Twins) -> Twins:
    """Twins by near-identical pairs of pictures, chained.

    known: the identical ones; leaks and conflicts that they account for are not told, nor counted, again.
    """
    strongest = np.zeros(len(faces))
    np.maximum.at(strongest, pairs.ravel(), np.repeat(correlation.clip(0, 1), 2))
    strongest = strongest[first]
    copies = np.stack([np.arange(len(first)), first], axis=1)
    chained = members(connected_components(len(faces), np.concatenate([pairs, copies])))
    groups = [rows for rows in chained if len(np.unique(first[rows])) > 1]
    told = {(finding.kind, finding.row) for finding in known.findings}
    findings, conflicts = [], 0
    for rows in groups:
        stays = _stayer(faces, rows)
        others = rows[first[rows] != first[stays]].tolist()
        earlier = [row for row in _earlier(faces, rows, stays) if ("leak", row) not in told]
        findings += [_twin("near-duplicate", faces, row, stays, strongest[row]) for row in others]
        findings += [_twin("near-leak", faces, row, stays, strongest[row]) for row in earlier]
        contradictions = _conflicts("near-conflict", faces, rows)
        contradictions = [finding for finding in contradictions if ("conflict", finding.row) not in told]
        conflicts += bool(contradictions)
        findings += contradictions
    redundant = sum(len(np.unique(first[rows])) - 1 for rows in groups)
    return Twins(len(groups), redundant, _leaked(faces, groups) - known.leaked, conflicts, tuple(findings))


def _twin(kind: str, faces: FaceSet, row: int, stays: int, correlation: float) -> Finding:
    return Finding(kind, row, str(faces.ids[row]), stays, float(correlation), float(correlation))


def _earlier(faces: FaceSet, rows: Rows, stays: int) -> list[int]:
    """The rows of an earlier split than the one that stays."""
    ranks = _ranks(faces, rows)
    earlier: list[int] = rows[ranks < ranks[rows == stays]].tolist()
    return earlier


def _leaked(faces: FaceSet, groups: list[Rows]) -> frozenset[int]:
    learnt = [rows for rows in groups if (faces.splits[rows] == "train").any()]
    return frozenset(row for rows in learnt for row in rows[faces.splits[rows] != "train"].tolist())


def _conflicts(kind: str, faces: FaceSet, rows: Rows) -> list[Finding]:
    """The faces of a group whose label is not the one that most have; at a tie, all that have a label.

    Test faces are compared with one another alone, so that neither their labels decide about others nor others' about
    them.
    """
    known = rows[faces.labels[rows] >= 0]
    test = faces.splits[known] == "test"
    return [*_differing(kind, faces, known[~test]), *_differing(kind, faces, known[test])]


def _differing(kind: str, faces: FaceSet, rows: Rows) -> Iterator[Finding]:
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
    """The label that more faces have than any other; -1 at a tie or where there is none."""
    counts = np.bincount(labels[labels >= 0], minlength=len(EXPRESSIONS))
    top = counts.max()
    return int(counts.argmax()) if top > 0 and (counts == top).sum() == 1 else -1


def _stayer(faces: FaceSet, rows: Rows) -> int:
    labels, test = faces.labels[rows], faces.splits[rows] == "test"
    most = _majority(labels[~test])
    order = np.lexsort((rows, (labels != most) & ~test & (most >= 0), labels < 0, -_ranks(faces, rows)))
    return int(rows[order[0]])


def _ranks(faces: FaceSet, rows: Rows) -> Rows:
    return np.array([SPLITS.index(split) for split in faces.splits[rows].tolist()], np.int64)
