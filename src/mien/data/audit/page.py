"""The findings of an audit as one HTML page that needs no network: look, choose, download the choices."""

import base64
import io
from collections import defaultdict
from typing import Any

import numpy as np
from PIL import Image

from mien.data.audit.duplicates import connected_components
from mien.data.audit.findings import KINDS, Audit, Finding
from mien.io.html import fill_page
from mien.labels import COLOURS, EXPRESSIONS, SPLITS, VOTES
from mien.types import FACE_SIDE, FaceSet, Progress, batches

_COLUMNS = 16  # faces across and down a sheet
_QUALITY = 82  # of WebP: half the size of a JPEG that looks as good


def audit_page(audit: Audit, faces: FaceSet, *, title: str = "faces", progress: Progress | None = None) -> str:
    """The page as HTML text; equal audits give equal pages.

    A card holds a face that something is wrong with, and all that are its twins. Thumbnails lie in sheets of 256,
    which a browser decodes when it comes to them. The page downloads a review for `mien.data.audit.clean`.
    title: what the faces are called. Raises DataError where the audit is of other faces.
    """
    audit.require_of(faces)
    cards = _cards(audit)
    shown = np.array([row for card in cards for row in card], np.int64)
    place = {row: number for number, row in enumerate(shown.tolist())}
    by_row: dict[int, list[Finding]] = defaultdict(list)
    for finding in audit.findings:
        by_row[finding.row].append(finding)
    content = {
        "title": title,
        "audit_hash": audit.hash,
        "faces_hash": audit.faces_hash,
        "settings": audit.settings,
        "summary": {name: value for name, value in audit.summary.items() if isinstance(value, int)},
        "kinds": KINDS,
        "splits": SPLITS,
        "expressions": EXPRESSIONS,
        "colours": [f"rgb{COLOURS[name]}" for name in EXPRESSIONS],
        "cards": [[place[row] for row in card] for card in cards],
        "faces": [_face(faces, row, by_row[row]) for row in shown.tolist()],
        "columns": _COLUMNS,
        "sheets": _sheets(faces, shown, progress),
    }
    return fill_page("audit.html", content=content)


def _cards(audit: Audit) -> list[list[int]]:
    """The rows that belong together by their findings, in rising order."""
    pairs = [(finding.row, finding.row if finding.other is None else finding.other) for finding in audit.findings]
    groups = connected_components(audit.summary["faces"], np.array(pairs, np.int64).reshape(-1, 2))
    shown = sorted({row for pair in pairs for row in pair})
    cards: dict[int, list[int]] = defaultdict(list)
    for row in shown:
        cards[int(groups[row])].append(row)
    return list(cards.values())


def _face(faces: FaceSet, row: int, findings: list[Finding]) -> list[Any]:
    """Id, split, label, findings (kind, severity, measure, suggestion) and, where there are any, the votes."""
    told = [
        [KINDS.index(each.kind), round(each.severity, 3), round(each.measure, 3), each.suggestion] for each in findings
    ]
    votes = []
    if faces.votes is not None:
        order = np.argsort(-faces.votes[row], kind="stable")[:3].tolist()
        votes = [f"{VOTES[vote]} {faces.votes[row, vote]:g}" for vote in order if faces.votes[row, vote] > 0]
    return [str(faces.ids[row]), SPLITS.index(faces.splits[row]), int(faces.labels[row]), told, ", ".join(votes)]


def _sheets(faces: FaceSet, rows: np.ndarray[Any, np.dtype[np.int64]], progress: Progress | None) -> list[str]:
    """Pictures of 256 faces each, as base64 of WebP."""
    sheets = []
    for part in batches(len(rows), _COLUMNS**2):
        sheet = np.zeros((_COLUMNS**2, FACE_SIDE, FACE_SIDE), np.uint8)
        sheet[: part.stop - part.start] = faces.images[rows[part]]
        side = _COLUMNS * FACE_SIDE
        tiled = sheet.reshape(_COLUMNS, _COLUMNS, FACE_SIDE, FACE_SIDE).swapaxes(1, 2).reshape(side, side)
        stream = io.BytesIO()
        Image.fromarray(tiled).save(stream, "WEBP", quality=_QUALITY, method=4)
        sheets.append(base64.b64encode(stream.getvalue()).decode())
        if progress:
            progress(part.stop, len(rows))
    return sheets
