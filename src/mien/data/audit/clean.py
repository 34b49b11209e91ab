"""What becomes of an audit's findings: faces are dropped or relabelled, by kind and by a person's choice."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.findings import KINDS, Audit, read_text, require_kinds
from mien.errors import DataError
from mien.labels import EXPRESSIONS, SPLITS, parse_expression
from mien.types import FaceSet

_TWINS = ("duplicate", "near-duplicate", "leak", "near-leak")  # kinds of findings in favour of another face


@dataclass(frozen=True)
class Review:
    """A person's choice for some faces: `choices` maps an id to "keep", "drop" or the expression it shows.

    audit_hash: `Audit.hash` of the audit that was reviewed. Raises DataError where a choice is none of these.
    """

    audit_hash: str
    choices: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, choice in self.choices.items():
            if choice not in ("keep", "drop", *EXPRESSIONS):
                wanted = f"keep, drop or one of {', '.join(EXPRESSIONS)}"
                raise DataError(f"the choice for {name} must be {wanted}, got {choice!r}")

    def to_json(self) -> str:
        """The review as JSON text."""
        choices = {name: self.choices[name] for name in sorted(self.choices)}
        return json.dumps({"audit_hash": self.audit_hash, "choices": choices}, ensure_ascii=False, indent=1) + "\n"


def load_review(path: Path | str) -> Review:
    """Read the file that an audit's page downloads. Raises DataError where it is missing or something else."""
    text = read_text(path)
    try:
        content = json.loads(text)
        return Review(str(content["audit_hash"]), dict(content["choices"]))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is no review: {error!r}; one is downloaded from the page of an audit") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Clean faces, and how they came about.

    faces:      what was kept, in the order it had.
    dropped:    how many faces each reason took away: a kind of finding, or "review"; the first reason counts.
    by_split:   how many faces each split lost.
    relabelled: how many faces have a new label.
    history:    one line of JSON: the hashes of the faces and of the audit, the policy, the counts. No time of day, so
                that cleaning again gives the same bytes.
    """

    faces: FaceSet
    dropped: dict[str, int]
    by_split: dict[str, int]
    relabelled: int
    history: str


def clean(
    faces: FaceSet,
    audit: Audit,
    *,
    drop: Collection[str] = (),
    relabel: float | None = None,
    review: Review | None = None,
    only: Collection[str] = SPLITS,
) -> Cleaned:
    """Drop and relabel faces by an audit of them.

    drop:    the kinds of findings whose faces go. Of twins one stays, with the label that most of them have; where
             that one goes for another reason, the next that has none.
    relabel: faces that have a suggestion at least this sure get it, and no longer go for their label.
    review:  a person's choices, which come before both.
    only:    the splits that `drop` and `relabel` touch; the others stay as they are, but for the review.

    Test faces are never relabelled. Raises DataError where the audit or the review is of something else,
    or the audit did not look for what shall be dropped.
    """
    audit.require_of(faces)
    require_kinds(drop)
    _require_looked_for(audit, faces, drop, relabel=relabel is not None)
    if relabel is not None and not 0 < relabel <= 1:
        raise DataError(f"relabel must be over 0 and at most 1, got {relabel}")
    labels, reasons = faces.labels.copy(), np.full(len(faces), "", dtype="U16")
    open_rows = np.isin(faces.splits, list(only))
    if relabel is not None:
        _relabel(audit, labels, relabel, open_rows)
    contradicted = labels == faces.labels
    stays, faulty = np.full(len(faces), -1), np.zeros(len(faces), np.bool_)
    for finding in audit.of_kind(*drop):
        row, of_label = finding.row, finding.kind in ("label", "conflict", "near-conflict")
        if not open_rows[row] or (of_label and not contradicted[row]):
            continue
        if not reasons[row]:
            reasons[row] = finding.kind
        if finding.kind not in _TWINS:
            faulty[row] = True
        elif stays[row] < 0 and finding.other is not None:
            stays[row] = finding.other
    if review is not None:
        _follow(review, audit, faces, labels, reasons)
    _spare(faces, reasons, stays, faulty | (reasons == "review"))
    return _cleaned(faces, audit, labels, reasons, _policy(drop, relabel, review, only))


def _spare(faces: FaceSet, reasons: NDArray[np.str_], stays: NDArray[np.int64], faulty: NDArray[np.bool_]) -> None:
    """Where the face that should stay of its twins goes for a reason of its own, let the next one without one stay.

    stays: (N,) the twin in whose favour a face goes, or -1. faulty: (N,) which go, or would, for more than a twin.
    """
    groups: dict[int, list[int]] = {}
    for row in np.flatnonzero(stays >= 0).tolist():
        last, passed = row, {row}
        while stays[last] >= 0 and int(stays[last]) not in passed:
            last = int(stays[last])
            passed.add(last)
        groups.setdefault(last, []).append(row)
    for last, rows in groups.items():
        spared = [row for row in rows if not faulty[row]]
        if reasons[last] and spared and all(reasons[row] for row in rows):
            reasons[max(spared, key=lambda row: (SPLITS.index(str(faces.splits[row])), -row))] = ""


def _require_looked_for(audit: Audit, faces: FaceSet, drop: Collection[str], *, relabel: bool) -> None:
    """Raise DataError where the audit did not look for what shall be dropped: that it found none would say nothing."""
    looked_for = set(audit.settings.get("kinds", KINDS))
    if not audit.settings.get("scores"):
        looked_for -= {"label"}
    if faces.votes is None and not audit.settings.get("detector"):
        looked_for -= {"nonface"}
    missing = [kind for kind in KINDS if kind in drop and kind not in looked_for]
    if missing:
        how = {"label": " with --scores or --model", "nonface": " without --no-detect"}.get(missing[0], "")
        raise DataError(f"the audit did not look for {missing[0]}, which shall be dropped: audit the faces again{how}")
    if relabel and not looked_for & {"label", "conflict", "near-conflict"}:
        raise DataError("the audit looked for nothing that suggests a label: audit the faces again")


def _relabel(audit: Audit, labels: NDArray[np.int64], least: float, open_rows: NDArray[np.bool_]) -> None:
    """Write the surest suggestion for each face into `labels`."""
    suggested = [finding for finding in audit.findings if finding.suggestion is not None and finding.measure >= least]
    for finding in sorted(suggested, key=lambda finding: finding.measure):
        if open_rows[finding.row] and finding.suggestion is not None:
            labels[finding.row] = finding.suggestion


def _follow(review: Review, audit: Audit, faces: FaceSet, labels: NDArray[np.int64], reasons: NDArray[np.str_]) -> None:
    if review.audit_hash != audit.hash:
        raise DataError(
            f"the review must be of the audit whose hash begins {audit.hash[:12]}, got one of {review.audit_hash[:12]}"
        )
    row_of = {name: row for row, name in enumerate(faces.ids.tolist())}
    for name, choice in review.choices.items():
        if name not in row_of:
            raise DataError(f"the review has a choice for {name}, which is none of the faces")
        row = row_of[name]
        reasons[row] = "review" if choice == "drop" else ""
        label = parse_expression(choice)
        if label is not None and faces.splits[row] == "test":
            raise DataError(f"the review gives {name} the label {choice}, but test faces are never relabelled")
        labels[row] = faces.labels[row] if label is None else label


def _policy(
    drop: Collection[str], relabel: float | None, review: Review | None, only: Collection[str]
) -> dict[str, Any]:
    chosen = None if review is None else hashlib.sha256(review.to_json().encode()).hexdigest()
    return {"drop": sorted(drop), "relabel": relabel, "review": chosen, "only": sorted(only)}


def _cleaned(
    faces: FaceSet, audit: Audit, labels: NDArray[np.int64], reasons: NDArray[np.str_], policy: dict[str, Any]
) -> Cleaned:
    kept = reasons == ""
    names, counts = np.unique(reasons[~kept], return_counts=True)
    dropped = dict(zip(names.tolist(), counts.tolist(), strict=True))
    by_split = {split: int((~kept & (faces.splits == split)).sum()) for split in SPLITS}
    relabelled = int((kept & (labels != faces.labels)).sum())
    story = {"faces": faces.hash, "audit": audit.hash, **policy, "dropped": dropped, "relabelled": relabelled}
    return Cleaned(replace(faces, labels=labels)[kept], dropped, by_split, relabelled, json.dumps({"clean": story}))
