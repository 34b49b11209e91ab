"""The cleaning of a face set: faces are dropped or relabelled by their findings and by a person's choice."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.duplicates import connected_components, list_groups
from mien.data.audit.findings import KINDS, Audit, require_kinds
from mien.data.audit.json_file import is_text, parse_json, read_text
from mien.errors import DataError
from mien.labels import EXPRESSIONS, SPLITS, parse_class
from mien.types import FaceSet

_COPIES = ("duplicate", "near-duplicate", "leak", "near-leak")  # the face goes in favour of another one
_ABOUT_LABELS = ("label", "conflict", "near-conflict")


@dataclass(frozen=True, repr=False)
class Review:
    """A person's choice for some faces.

    Parameters
    ----------
    audit_hash
        `Audit.hash` of the audit that was reviewed.
    choices
        For ids of faces "keep", "drop" or the class that the face shows.
    class_names
        The classes of the faces.

    Raises
    ------
    DataError
        Where a choice is none of these.
    """

    audit_hash: str
    choices: Mapping[str, str]
    class_names: tuple[str, ...] = EXPRESSIONS

    def __post_init__(self) -> None:
        if not is_text(self.audit_hash) or not all(is_text(name) for name in self.choices):
            raise DataError("audit_hash and the ids must be text")
        for name, choice in self.choices.items():
            if choice not in ("keep", "drop", *self.class_names):
                classes = ", ".join(self.class_names)
                raise DataError(f"the choice for {name} must be keep, drop or one of {classes}, got {choice!r}")

    def __repr__(self) -> str:
        counts = Counter(choice if choice in ("keep", "drop") else "relabel" for choice in self.choices.values())
        told = ", ".join(f"{counts[name]:,} {name}" for name in ("drop", "keep", "relabel") if counts[name])
        return f"<Review of audit {self.audit_hash[:12]}: {told or 'no choices'}>"

    def to_json(self) -> str:
        """Return the review as JSON text."""
        choices = {name: self.choices[name] for name in sorted(self.choices)}
        return json.dumps({"audit_hash": self.audit_hash, "choices": choices}, ensure_ascii=False, indent=1) + "\n"


def load_review(path: Path | str, *, class_names: Sequence[str] = EXPRESSIONS) -> Review:
    """Read the file that an audit's page downloads, for faces of these classes.

    Raises DataError where it is missing or something else.
    """
    text = read_text(path)
    try:
        content = parse_json(text)
        return Review(content["audit_hash"], dict(content["choices"]), tuple(class_names))
    except (DataError, ValueError, TypeError, KeyError) as error:
        why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise DataError(f"{path} is no review: {why}; one is downloaded from the page of an audit") from error


@dataclass(frozen=True, eq=False, repr=False)
class Cleaned:
    """Clean faces, and how they came about.

    Parameters
    ----------
    faces
        The faces that were kept, in the order that they had.
    dropped
        How many faces each reason took away: a kind of finding, or "review". The first reason of a face counts.
    by_split
        How many faces each split lost.
    relabelled
        How many faces have a new label.
    history
        One line of JSON: the hashes of the faces and of the audit, the policy, the counts. It holds no time of day, so
        that cleaning again gives the same bytes.
    """

    faces: FaceSet
    dropped: dict[str, int]
    by_split: dict[str, int]
    relabelled: int
    history: str

    def __repr__(self) -> str:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
        return f"<Cleaned {len(self.faces):,} faces: dropped {reasons or 'none'}, relabelled {self.relabelled:,}>"


def clean(
    faces: FaceSet,
    audit: Audit,
    *,
    drop: Collection[str] = (),
    relabel: float | None = None,
    review: Review | None = None,
    only: Collection[str] = SPLITS,
) -> Cleaned:
    """Drop and relabel faces by an audit of them. Test faces are never relabelled.

    Parameters
    ----------
    faces, audit
        The faces, and an audit of them.
    drop
        The kinds of findings whose faces are dropped. Of a group of duplicates one face is kept, with the label that
        most of them have; if that face is dropped for another reason, the next face that has no such reason is kept.
    relabel
        Faces with a suggestion of at least this probability get it, and are no longer dropped for their label.
    review
        A person's choices, which come before both.
    only
        The splits that `drop` and `relabel` change.

    Raises
    ------
    DataError
        Where the audit or the review is of something else, or the audit did not look for what shall be dropped.
    """
    audit.require_of(faces)
    require_kinds(drop)
    _require_looked_for(audit, faces, drop, relabel=relabel is not None)
    if relabel is not None and not 0 < relabel <= 1:
        raise DataError(f"relabel must be over 0 and at most 1, got {relabel}")
    open_rows = np.isin(faces.splits, list(only))
    labels = faces.labels.copy() if relabel is None else _relabel(audit, faces, relabel, open_rows)
    wrong = [
        finding
        for finding in audit.of_kind(*drop)
        if open_rows[finding.row]
        and not (finding.kind in _ABOUT_LABELS and labels[finding.row] != faces.labels[finding.row])
    ]
    reasons = np.full(len(faces), "", dtype="U16")
    faulty = np.zeros(len(faces), np.bool_)
    for finding in wrong:
        reasons[finding.row] = reasons[finding.row] or finding.kind
        faulty[finding.row] |= finding.kind not in _COPIES
    if review is not None:
        _apply_review(review, audit, faces, labels, reasons)
    pairs = [(each.row, each.other) for each in wrong if each.kind in _COPIES and each.other is not None]
    _keep_one_of_each_group(faces, np.array(pairs, np.int64).reshape(-1, 2), reasons, faulty | (reasons == "review"))
    return _collect(faces, audit, labels, reasons, _policy(drop, relabel, review, only))


def _keep_one_of_each_group(
    faces: FaceSet, pairs: NDArray[np.int64], reasons: NDArray[np.str_], faulty: NDArray[np.bool_]
) -> None:
    """Keep a face of each group of duplicates that would go as a whole, if one of them is a duplicate and no more.

    pairs: (M, 2), a face and the one in whose favour it goes. faulty: (N,) which faces go for another reason.
    """
    for group in list_groups(connected_components(len(faces), pairs)):
        sound = [row for row in group.tolist() if not faulty[row]]
        if sound and all(reasons[group]):
            reasons[max(sound, key=lambda row: (SPLITS.index(str(faces.splits[row])), -row))] = ""


def _require_looked_for(audit: Audit, faces: FaceSet, drop: Collection[str], *, relabel: bool) -> None:
    """Raise DataError where the audit did not look for what shall be dropped: no finding of it would say nothing."""
    looked_for = set(audit.settings.get("kinds", KINDS))
    if not audit.settings.get("scores"):
        looked_for -= {"label"}
    if faces.votes is None and not audit.settings.get("detector"):
        looked_for -= {"nonface"}
    missing = [kind for kind in KINDS if kind in drop and kind not in looked_for]
    if missing:
        option = {"label": " with --scores or --model", "nonface": " without --no-detect"}.get(missing[0], "")
        raise DataError(
            f"the audit did not look for {missing[0]}, which shall be dropped: audit the faces again{option}"
        )
    if relabel and looked_for.isdisjoint(_ABOUT_LABELS):
        raise DataError("the audit looked for nothing that suggests a label: audit the faces again")


def _relabel(audit: Audit, faces: FaceSet, least: float, open_rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the labels, with the surest suggestion for each face in place of its own."""
    labels = faces.labels.copy()
    may_change = open_rows & (faces.splits != "test")
    for finding in sorted(audit.findings, key=lambda finding: finding.measure):
        if finding.suggestion is not None and finding.measure >= least and may_change[finding.row]:
            labels[finding.row] = finding.suggestion
    return labels


def _apply_review(
    review: Review, audit: Audit, faces: FaceSet, labels: NDArray[np.int64], reasons: NDArray[np.str_]
) -> None:
    """Write a person's choices into `labels` and `reasons`."""
    if review.class_names != faces.class_names:
        raise DataError(f"the review must be of {', '.join(faces.class_names)}, got {', '.join(review.class_names)}")
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
        label = None if choice in ("keep", "drop") else parse_class(choice, faces.class_names)
        if label is not None and faces.splits[row] == "test":
            raise DataError(f"the review gives {name} the label {choice}, but test faces are never relabelled")
        labels[row] = faces.labels[row] if label is None else label


def _policy(
    drop: Collection[str], relabel: float | None, review: Review | None, only: Collection[str]
) -> dict[str, Any]:
    chosen = None if review is None else hashlib.sha256(review.to_json().encode()).hexdigest()
    return {"drop": sorted(drop), "relabel": relabel, "review": chosen, "only": sorted(only)}


def _collect(
    faces: FaceSet, audit: Audit, labels: NDArray[np.int64], reasons: NDArray[np.str_], policy: dict[str, Any]
) -> Cleaned:
    kept = reasons == ""
    names, counts = np.unique(reasons[~kept], return_counts=True)
    dropped = dict(zip(names.tolist(), counts.tolist(), strict=True))
    by_split = {split: int((~kept & (faces.splits == split)).sum()) for split in SPLITS}
    relabelled = int((kept & (labels != faces.labels)).sum())
    story = {"faces": faces.hash, "audit": audit.hash, **policy, "dropped": dropped, "relabelled": relabelled}
    return Cleaned(replace(faces, labels=labels)[kept], dropped, by_split, relabelled, json.dumps({"clean": story}))
