"""The result of an audit: a `Finding` is one fault of one face, an `Audit` is all of them with counts."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.json_file import is_text, is_whole, parse_json, read_text
from mien.errors import DataError
from mien.labels import EXPRESSIONS
from mien.types import FaceSet, require_class_names
from mien.types.html_repr import table_html, titled_html

# The faults that a face may have; docs/audit.md explains each. A `near-` kind holds what its plain kind does not.
KINDS: tuple[str, ...] = (
    "blank", "nonface", "duplicate", "near-duplicate", "leak", "near-leak", "conflict", "near-conflict", "label",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Finding:
    """One fault of one face.

    Parameters
    ----------
    kind
        One of `KINDS`.
    row, id
        The face, by its place in the set and by its id.
    other
        The row of the face that it is a duplicate of, or that it contradicts. None if there is none.
    severity
        In [0, 1]; the worst findings of a kind come first.
    measure
        The figure that was measured. Of a blank it is the standard deviation in grey levels; of a duplicate the
        correlation; of a conflict and of a label the probability of the suggestion; of a non-face the certainty that it
        is none.
    suggestion
        A better label, an index into the classes of the faces, or None. A test face never has one.

    Raises
    ------
    DataError
        Where a value is none of these.
    """

    kind: str
    row: int
    id: str
    other: int | None
    severity: float
    measure: float
    suggestion: int | None = None

    def __post_init__(self) -> None:
        require_kinds([self.kind])
        others = [number for number in (self.other, self.suggestion) if number is not None]
        sound = (
            all(is_whole(number) for number in (self.row, *others))
            and is_text(self.id)
            and _is_figure(self.severity, most=1.001)  # as float32 rounds
            and _is_figure(self.measure, most=math.inf)
        )
        if not sound:
            raise DataError(
                f"a finding must have whole numbers as rows and finite figures, got {str(asdict(self))[:200]}"
            )

    def __repr__(self) -> str:
        beside = "" if self.other is None else f" with row {self.other}"
        better = "" if self.suggestion is None else f", rather label {self.suggestion}"
        return f"<Finding {self.kind}: {self.id}{beside}, measure {self.measure:.3g}{better}>"


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """The faults of a set of faces, and a description of the set.

    Parameters
    ----------
    faces_hash
        `FaceSet.hash` of the set.
    settings
        The settings of the audit by name; `class_names` only for other classes than FER2013's seven.
    summary
        Counts and figures by name; `faces` is the number of faces.
    findings
        The findings by kind, in the order of `KINDS`, the worst first.

    Raises
    ------
    DataError
        Where a finding is of a row that the set does not have, or a setting is of another kind.
    """

    faces_hash: str
    settings: dict[str, Any]
    summary: dict[str, Any]
    findings: tuple[Finding, ...]

    def __post_init__(self) -> None:
        kinds = self.settings.get("kinds", [])
        if not isinstance(self.faces_hash, str) or not isinstance(kinds, list):
            raise DataError("faces_hash must be text, and the setting kinds a list")
        require_kinds(kinds)
        if not is_whole(self.summary.get("faces")):
            raise DataError(f"the summary must have the number of faces, got {self.summary.get('faces')!r}")
        count: int = self.summary["faces"]
        if any(max(finding.row, finding.other or 0) >= count for finding in self.findings):
            raise DataError("a finding is of a row that is not there")
        require_class_names(self.class_names)
        if any((finding.suggestion or 0) >= len(self.class_names) for finding in self.findings):
            raise DataError(f"a suggestion must be 0 to {len(self.class_names) - 1}")

    def __repr__(self) -> str:
        counts = Counter(finding.kind for finding in self.findings)
        told = ", ".join(f"{kind} {counts[kind]:,}" for kind in KINDS if counts[kind])
        return f"<Audit of {self.summary['faces']:,} faces: {told or 'no findings'}>"

    def _repr_html_(self) -> str:
        counts = Counter(finding.kind for finding in self.findings)
        return titled_html(repr(self), table_html(KINDS, [[f"{counts[kind]:,}" for kind in KINDS]]))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of the faces."""
        return tuple(self.settings.get("class_names", EXPRESSIONS))

    def of_kind(self, *kinds: str) -> tuple[Finding, ...]:
        """Return the findings of some kinds."""
        return tuple(finding for finding in self.findings if finding.kind in kinds)

    def keep(self, *, drop: Collection[str]) -> NDArray[np.bool_]:
        """Return which faces have no finding of the kinds in `drop`: (N,) bool. Raises DataError for another kind."""
        require_kinds(drop)
        kept = np.ones(self.summary["faces"], np.bool_)
        kept[[finding.row for finding in self.of_kind(*drop)]] = False
        return kept

    def require_of(self, faces: FaceSet) -> None:
        """Raise DataError where the audit is of other faces."""
        if faces.hash != self.faces_hash or len(faces) != self.summary["faces"]:
            raise DataError(
                f"the audit must be of these faces, whose hash begins {faces.hash[:12]}, got one of "
                f"{self.faces_hash[:12]}; audit these with: mien data audit FACES -o audit.json"
            )

    @cached_property
    def hash(self) -> str:
        """The SHA-256 (hex) of the audit as JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the audit as JSON text, a line a finding; expressions stand there by name."""
        head = {"faces_hash": self.faces_hash, "settings": self.settings, "summary": self.summary}
        names = self.class_names
        lines = ",\n".join(json.dumps(_to_row(finding, names), ensure_ascii=False) for finding in self.findings)
        return f'{json.dumps(head, ensure_ascii=False, indent=1)[:-2]},\n "findings": [\n{lines}\n]}}\n'

    @staticmethod
    def from_json(text: str) -> "Audit":
        """Read an audit from JSON text. Raises DataError where it holds none."""
        try:
            content = parse_json(text)
            names = content["settings"].get("class_names", EXPRESSIONS)
            findings = tuple(_from_row(row, names) for row in content["findings"])
            return Audit(content["faces_hash"], dict(content["settings"]), dict(content["summary"]), findings)
        except (DataError, ValueError, TypeError, KeyError, AttributeError) as error:
            why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
            raise DataError(f"this is no audit of mien: {why}; make one with: mien data audit") from error


def load_audit(path: Path | str) -> Audit:
    """Read a file that holds `Audit.to_json`. Raises DataError where it is missing or something else."""
    text = read_text(path)
    try:
        return Audit.from_json(text)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def require_kinds(kinds: Collection[str]) -> None:
    """Raise DataError where a kind is not one of `KINDS`."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise DataError(f"kinds of findings must be among {', '.join(KINDS)}, got {min(map(str, unknown))}")


def _is_figure(value: object, *, most: float) -> bool:
    """Return whether a value is a finite number from 0, as far as rounding leaves it, to `most`."""
    return isinstance(value, float | int) and not isinstance(value, bool) and -1e-3 <= value <= min(most, 1e9)


def _to_row(finding: Finding, class_names: Sequence[str]) -> dict[str, Any]:
    row = asdict(finding)
    for key in ("severity", "measure"):
        row[key] = round(row[key], 6)
    if finding.suggestion is not None:
        row["suggestion"] = class_names[finding.suggestion]
    return row


def _from_row(row: dict[str, Any], class_names: Sequence[str]) -> Finding:
    name = row["suggestion"]
    return Finding(**{**row, "suggestion": None if name is None else class_names.index(name)})
