"""The audit of a face set: blanks, non-faces, duplicates, leaks, contradictions and probably wrong labels.

Each kind of finding comes from a function of its own; `audit` puts them together.
"""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.duplicate_groups import DuplicateGroups, find_identical_groups, find_near_groups
from mien.data.audit.duplicates import LOOSEST, NEAR, first_identical_row, near_pairs
from mien.data.audit.findings import KINDS, Audit, Finding, require_kinds
from mien.data.audit.label_errors import find_label_issues
from mien.data.audit.nonfaces import find_nonfaces
from mien.data.scores_file import FaceScores
from mien.errors import DataError
from mien.labels import EXPRESSIONS, SPLITS
from mien.types import Detector, FaceSet, Progress, batches

BLANK = 10.0  # grey levels of 255

_BINS = 20  # of the histograms of brightness and contrast


def audit(
    faces: FaceSet,
    *,
    kinds: Collection[str] = KINDS,
    blank_below: float = BLANK,
    near: float = NEAR,
    scores: FaceScores | None = None,
    detector: Detector | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Find what is wrong with faces.

    Parameters
    ----------
    faces
        The faces.
    kinds
        The kinds of findings to look for.
    blank_below
        A face is blank if the standard deviation of its pixels is less, in grey levels.
    near
        Pictures are near-identical from this correlation of their detail on; see `mien.data.audit.duplicates`.
    scores
        A model's scores of the faces, by which wrong labels are found. Without them none are.
    detector
        Looks for a face in each picture that nobody voted on. Without it the votes alone tell of non-faces.
    progress
        Called with the steps done and how many there are, for each part that takes long.

    Raises
    ------
    DataError
        Where a setting is out of range or the scores are of other faces.
    """
    require_kinds(kinds)
    if not blank_below >= 0:
        raise DataError(f"blank_below must be 0 or more, got {blank_below}")
    if not LOOSEST <= near <= 1:
        raise DataError(f"near must be {LOOSEST} to 1, got {near}")
    findings = [*find_blanks(faces, below=blank_below)]
    counts = {"blank": len(findings), "constant": int((_deviations(faces.images) == 0).sum())}
    for prefix, groups in _find_duplicates(faces, kinds, near, progress):
        findings += groups.findings
        counts |= _count(faces, groups, prefix)
    if "nonface" in kinds:
        findings += find_nonfaces(faces, detector, progress=progress)
    if scores is not None and "label" in kinds:
        findings += find_wrong_labels(faces, scores)
    findings = [finding for finding in findings if finding.kind in kinds]
    findings.sort(key=lambda finding: (KINDS.index(finding.kind), -finding.severity, finding.row))
    counts |= {kind: sum(finding.kind == kind for finding in findings) for kind in ("nonface", "label")}
    settings: dict[str, Any] = {
        "kinds": [kind for kind in KINDS if kind in kinds],
        "blank_below": float(blank_below),
        "near": float(near),
        "scores": None if scores is None else "held out" if scores.held_out else "not held out",
        "detector": detector is not None,
    }
    if faces.class_names != EXPRESSIONS:
        settings["class_names"] = list(faces.class_names)
    return Audit(faces.hash, settings, {"faces": len(faces), **counts, **describe(faces)}, tuple(findings))


def find_blanks(faces: FaceSet, *, below: float = BLANK) -> Iterator[Finding]:
    """Find faces whose pixels hardly deviate from their mean; measure: their standard deviation in grey levels."""
    deviations = _deviations(faces.images)
    for row in np.flatnonzero(deviations < below).tolist():
        measure = float(deviations[row])
        yield Finding("blank", row, str(faces.ids[row]), None, 1 - measure / below, measure)


def find_wrong_labels(faces: FaceSet, scores: FaceScores) -> Iterator[Finding]:
    """Find faces whose label is probably wrong by confident learning; measure: the probability of the suggestion.

    Test faces are left out: their labels are never judged, and judge no others.
    """
    rows, probs = scores.match(faces)
    judged = (faces.labels[rows] >= 0) & (faces.splits[rows] != "test")
    rows, probs = rows[judged], probs[judged]
    labels = faces.labels[rows]
    for place in find_label_issues(labels, probs).tolist():
        row, suggestion = int(rows[place]), int(probs[place].argmax())
        severity = 1 - float(probs[place, labels[place]])
        yield Finding("label", row, str(faces.ids[row]), None, severity, float(probs[place, suggestion]), suggestion)


def describe(faces: FaceSet) -> dict[str, Any]:
    """Describe a set of faces, as an audit's summary does. Pixels count from 0 to 1.

    Returns
    -------
    dict
        `labels`: counts by split and expression. `imbalance`: faces of the commonest expression in train for each one
        of the rarest; None if an expression has no face. `pixel_mean` and `pixel_std`. `brightness` and `contrast`: how
        many faces have a mean, and a standard deviation, in each twentieth from 0 to 1.
    """
    classes = (*enumerate(faces.class_names), (-1, "none"))
    labels = {
        split: {name: int(((faces.splits == split) & (faces.labels == index)).sum()) for index, name in classes}
        for split in SPLITS
    }
    known = [count for name, count in labels["train"].items() if name != "none"]
    means = faces.images.mean(axis=(1, 2), dtype=np.float64) / 255
    deviations = _deviations(faces.images) / 255
    mean = float(means.mean()) if len(faces) else 0.0
    return {
        "labels": labels,
        "imbalance": round(max(known) / min(known), 3) if min(known) else None,
        "pixel_mean": round(mean, 6),
        "pixel_std": round(float(np.sqrt((deviations**2 + (means - mean) ** 2).mean())), 6) if len(faces) else 0.0,
        "brightness": np.histogram(means, _BINS, (0, 1))[0].tolist(),
        "contrast": np.histogram(deviations, _BINS, (0, 1))[0].tolist(),
    }


def _find_duplicates(
    faces: FaceSet, kinds: Collection[str], near: float, progress: Progress | None
) -> Iterator[tuple[str, DuplicateGroups]]:
    """Yield the identical groups and, if they are wanted, the near-identical ones, each with a prefix of its counts."""
    first = first_identical_row(faces.images)
    identical = find_identical_groups(faces, first)
    yield "", identical
    if any(kind.startswith("near-") for kind in kinds):
        pairs, correlation = near_pairs(faces.images, near=near, progress=progress)
        yield "near_", find_near_groups(faces, first, pairs, correlation, identical)


def _count(faces: FaceSet, groups: DuplicateGroups, prefix: str) -> dict[str, int]:
    leaked = faces.splits[sorted(groups.leaked)].tolist() if groups.leaked else []
    counts = {
        "duplicate_groups": groups.groups,
        "redundant_copies": groups.redundant,
        "leak_valid": leaked.count("valid"),
        "leak_test": leaked.count("test"),
        "conflict_groups": groups.conflict_groups,
    }
    return {f"{prefix}{name}": count for name, count in counts.items()}


def _deviations(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the standard deviation of each face's pixels, in grey levels: (N,) float64."""
    parts = [images[rows].std(axis=(1, 2), dtype=np.float64) for rows in batches(len(images), 4096)]
    return np.concatenate(parts) if parts else np.zeros(0)
