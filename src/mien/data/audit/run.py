"""What is wrong with a set of faces: blanks, non-faces, twins, leaks, contradictions and probably wrong labels.

Each kind of finding comes from a function of its own; `audit` puts them together.
"""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.duplicate_groups import Twins, identical_twins, near_twins
from mien.data.audit.duplicates import LOOSEST, NEAR, first_identical_row, near_pairs
from mien.data.audit.findings import KINDS, Audit, Finding, require_kinds
from mien.data.audit.label_errors import find_label_issues
from mien.data.audit.nonfaces import find_nonfaces
from mien.data.scores_file import FaceScores
from mien.errors import DataError
from mien.labels import EXPRESSIONS, SPLITS
from mien.types import Detector, FaceSet, Progress, batches

BLANK = 10.0  # grey levels of 255

_LABELS = (*enumerate(EXPRESSIONS), (-1, "none"))


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

    kinds:       what to look for.
    blank_below: a face whose pixels deviate less, in grey levels, is blank.
    near:        the correlation of detail from which pictures are near-identical; see `mien.data.audit.duplicates`.
    scores:      what a model says of the faces, from which wrong labels are found; without it, none are.
    detector:    finds faces in those that nobody voted on; what it does not find is no face. Without it, votes alone
                 tell.
    Raises DataError where a setting is out of range or the scores are of other faces.
    """
    require_kinds(kinds)
    if not blank_below >= 0:
        raise DataError(f"blank_below must be 0 or more, got {blank_below}")
    if not LOOSEST <= near <= 1:
        raise DataError(f"near must be {LOOSEST} to 1, got {near}")
    findings = [*find_blanks(faces, below=blank_below)]
    counts = {"blank": len(findings), "constant": int((_deviations(faces.images) == 0).sum())}
    for prefix, twins in _twins(faces, kinds, near, progress):
        findings += twins.findings
        counts |= _counted(faces, twins, prefix)
    if "nonface" in kinds:
        findings += find_nonfaces(faces, detector, progress=progress)
    if scores is not None and "label" in kinds:
        findings += find_wrong_labels(faces, scores)
    findings = [finding for finding in findings if finding.kind in kinds]
    findings.sort(key=lambda finding: (KINDS.index(finding.kind), -finding.severity, finding.row))
    counts |= {kind: sum(finding.kind == kind for finding in findings) for kind in ("nonface", "label")}
    settings = {
        "kinds": [kind for kind in KINDS if kind in kinds],
        "blank_below": float(blank_below),
        "near": float(near),
        "scores": None if scores is None else "held out" if scores.held_out else "not held out",
        "detector": detector is not None,
    }
    return Audit(faces.hash, settings, {"faces": len(faces), **counts, **describe(faces)}, tuple(findings))


def find_blanks(faces: FaceSet, *, below: float = BLANK) -> Iterator[Finding]:
    """Faces whose pixels hardly deviate from their mean; measure: their standard deviation in grey levels."""
    deviations = _deviations(faces.images)
    for row in np.flatnonzero(deviations < below).tolist():
        measure = float(deviations[row])
        yield Finding("blank", row, str(faces.ids[row]), None, 1 - measure / below, measure)


def find_wrong_labels(faces: FaceSet, scores: FaceScores) -> Iterator[Finding]:
    """Faces whose label is probably wrong by confident learning; measure: the probability of the suggestion.

    Test faces are left out: no label of theirs is ever judged, nor used to judge others.
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
    """What the set holds: counts by split and expression, brightness and contrast. Pixels count from 0 to 1.

    imbalance: faces of the commonest expression in train for each one of the rarest; None where there is none.
    brightness, contrast: how many faces have a mean, and a standard deviation, in each twentieth from 0 to 1.
    """
    labels = {
        split: {name: int(((faces.splits == split) & (faces.labels == index)).sum()) for index, name in _LABELS}
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
        "brightness": np.histogram(means, 20, (0, 1))[0].tolist(),
        "contrast": np.histogram(deviations, 20, (0, 1))[0].tolist(),
    }


def _twins(
    faces: FaceSet, kinds: Collection[str], near: float, progress: Progress | None
) -> Iterator[tuple[str, Twins]]:
    """Identical twins and, where they are wanted, near-identical ones, with what their counts' names begin with."""
    first = first_identical_row(faces.images)
    same = identical_twins(faces, first)
    yield "", same
    if any(kind.startswith("near-") for kind in kinds):
        pairs, correlation = near_pairs(faces.images, near=near, progress=progress)
        yield "near_", near_twins(faces, first, pairs, correlation, same)


def _counted(faces: FaceSet, twins: Twins, prefix: str) -> dict[str, int]:
    leaked = faces.splits[sorted(twins.leaked)].tolist() if twins.leaked else []
    counts = {
        "duplicate_groups": twins.groups,
        "redundant_copies": twins.redundant,
        "leak_valid": leaked.count("valid"),
        "leak_test": leaked.count("test"),
        "conflict_groups": twins.conflict_groups,
    }
    return {f"{prefix}{name}": count for name, count in counts.items()}


def _deviations(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N,) float64: the standard deviation of each face's pixels, in grey levels."""
    parts = [images[rows].std(axis=(1, 2), dtype=np.float64) for rows in batches(len(images), 4096)]
    return np.concatenate(parts) if parts else np.zeros(0)
