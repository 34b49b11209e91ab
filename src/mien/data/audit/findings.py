"""What an audit finds: `Finding`, one thing that is wrong with one face, and `Audit`, all of them with the counts."""

import dataclasses
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.labels import EXPRESSIONS
from mien.types import FaceSet

# What may be wrong with a face; docs/audit.md explains each. A `near-` kind holds what its plain kind does not.
KINDS: tuple[str, ...] = (
    "blank", "nonface", "duplicate", "near-duplicate", "leak", "near-leak", "conflict", "near-conflict", "label",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one face.

    kind:       one of `KINDS`.
    row, id:    the face, as its place in the set and as its id.
    other:      the row of the face that it is a twin of, or that it contradicts; None where there is none.
    severity:   in [0, 1]; the worst of a kind come first.
    measure:    what was measured: of a blank, its standard deviation in grey levels; of a twin, the correlation; of a
                conflict and a label, how sure the suggestion is, in [0, 1]; of a nonface, how sure that is, in [0, 1].
    suggestion: the index in `EXPRESSIONS` of a better label, or None; never for a test face.
    """

    kind: str
    row: int
    id: str
    other: int | None
    severity: float
    measure: float
    suggestion: int | None = None


@dataclass(frozen=True, eq=False)
class Audit:
    """What is wrong with a set of faces, and what it holds.

    faces_hash: `FaceSet.hash` of the set. settings: what was asked for. summary: counts and figures by name.
    findings:   by kind, in the order of `KINDS`, the worst first.
    """

    faces_hash: str
    settings: dict[str, Any]
    summary: dict[str, Any]
    findings: tuple[Finding, ...]

    def of_kind(self, *kinds: str) -> tuple[Finding, ...]:
        """The findings of some kinds."""
        return tuple(finding for finding in self.findings if finding.kind in kinds)

    def keep(self, *, drop: Collection[str]) -> NDArray[np.bool_]:
        """(N,) bool: the faces without a finding of the kinds in `drop`. Raises DataError for an unknown kind."""
        require_kinds(drop)
        kept = np.ones(self.summary["faces"], np.bool_)
        kept[[finding.row for finding in self.of_kind(*drop)]] = False
        return kept

    def require_of(self, faces: FaceSet) -> None:
        """Raise DataError where the audit is of other faces."""
        if faces.hash != self.faces_hash:
            raise DataError(
                f"the audit must be of these faces, whose hash begins {faces.hash[:12]}, got one of "
                f"{self.faces_hash[:12]}; audit these with: mien data audit FACES -o audit.json"
            )

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the audit as JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The audit as JSON text, a line a finding; expressions by name."""
        head = {"faces_hash": self.faces_hash, "settings": self.settings, "summary": self.summary}
        lines = ",\n".join(json.dumps(_named(finding), ensure_ascii=False) for finding in self.findings)
        return f'{json.dumps(head, ensure_ascii=False, indent=1)[:-2]},\n "findings": [\n{lines}\n]}}\n'

    @staticmethod
    def from_json(text: str) -> "Audit":
        """The audit that JSON text holds. Raises DataError where it is none."""
        try:
            content = json.loads(text)
            findings = tuple(_finding(row) for row in content["findings"])
            audit = Audit(content["faces_hash"], content["settings"], content["summary"], findings)
            count = int(audit.summary["faces"])
            require_kinds({finding.kind for finding in findings})
            if any(not 0 <= finding.row < count for finding in findings):
                raise ValueError("a finding is of a row that is not there")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"this is no audit of mien: {error!r}; make one with: mien data audit") from error
        return audit


def load_audit(path: Path | str) -> Audit:
    """Read a file that holds `Audit.to_json`. Raises DataError where it is missing or something else."""
    text = read_text(path)
    try:
        return Audit.from_json(text)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_text(path: Path | str) -> str:
    """The text of a file. Raises DataError."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def require_kinds(kinds: Collection[str]) -> None:
    """Raise DataError where one is none of `KINDS`."""
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise DataError(f"kinds of findings must be among {', '.join(KINDS)}, got {unknown[0]}")


def _named(finding: Finding) -> dict[str, Any]:
    row = dataclasses.asdict(finding)
    for key in ("severity", "measure"):
        row[key] = round(row[key], 6)
    if finding.suggestion is not None:
        row["suggestion"] = EXPRESSIONS[finding.suggestion]
    return row


def _finding(row: dict[str, Any]) -> Finding:
    name = row["suggestion"]
    return Finding(**{**row, "suggestion": None if name is None else EXPRESSIONS.index(name)})
