"""An audit as one HTML page that needs no network: a person looks, chooses, and downloads the choices."""

import base64
import io
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.data.audit.duplicates import connected_components
from mien.data.audit.findings import KINDS, Audit, Finding
from mien.io.html import fill_page
from mien.labels import COLOURS, SPLITS, VOTES
from mien.types import FACE_SIDE, FaceSet, Progress, batches

_COLUMNS = 16  # faces across and down a sheet
_OTHER = (96, 96, 112)  # the colour of a class that has none
_QUALITY = 82  # of WebP: half the size of a JPEG that looks as good


def audit_page(audit: Audit, faces: FaceSet, *, title: str = "faces", progress: Progress | None = None) -> str:
    """Return the page as HTML text; equal audits give equal pages.

    A card holds a face with a finding and all its duplicates. Thumbnails lie in sheets of 256, which a browser decodes
    when it comes to them. The page downloads a review for `mien.data.audit.clean`.

    Parameters
    ----------
    audit, faces
        An audit, and its faces.
    title
        The name of the faces on the page.
    progress
        Called with the thumbnails drawn and how many there are.

    Raises
    ------
    DataError
        Where the audit is of other faces.
    """
    audit.require_of(faces)
    cards = _group_rows(audit)
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
        "expressions": faces.class_names,
        "colours": [f"rgb{COLOURS.get(name, _OTHER)}" for name in faces.class_names],
        "cards": [[place[row] for row in card] for card in cards],
        "faces": [_describe_face(faces, row, by_row[row]) for row in shown.tolist()],
        "columns": _COLUMNS,
        "sheets": _draw_sheets(faces, shown, progress),
    }
    return fill_page("audit.html", content=content)


def _group_rows(audit: Audit) -> list[list[int]]:
    """Return the rows of each card: those that findings join, in rising order."""
    pairs = [(finding.row, finding.row if finding.other is None else finding.other) for finding in audit.findings]
    groups = connected_components(audit.summary["faces"], np.array(pairs, np.int64).reshape(-1, 2))
    shown = sorted({row for pair in pairs for row in pair})
    cards: dict[int, list[int]] = defaultdict(list)
    for row in shown:
        cards[int(groups[row])].append(row)
    return list(cards.values())


def _describe_face(faces: FaceSet, row: int, findings: list[Finding]) -> list[Any]:
    """Return id, split, label, findings (kind, severity, measure, suggestion) and the votes, if there are any."""
    told = [
        [KINDS.index(each.kind), round(each.severity, 3), round(each.measure, 3), each.suggestion] for each in findings
    ]
    votes = []
    if faces.votes is not None:
        order = np.argsort(-faces.votes[row], kind="stable")[:3].tolist()
        votes = [f"{VOTES[vote]} {faces.votes[row, vote]:g}" for vote in order if faces.votes[row, vote] > 0]
    return [str(faces.ids[row]), SPLITS.index(faces.splits[row]), int(faces.labels[row]), told, ", ".join(votes)]


def _draw_sheets(faces: FaceSet, rows: NDArray[np.int64], progress: Progress | None) -> list[str]:
    """Draw pictures of 256 faces each, as base64 of WebP."""
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
