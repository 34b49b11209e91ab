"""The page: whole in one file, the same each time, with the faces that it says it has."""

import base64
import io
import json
import re
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.data.audit.findings import KINDS, Audit, Finding
from mien.data.audit.page import audit_page
from mien.data.audit.run import audit
from mien.errors import DataError
from mien.types import FaceSet
from support import drawn_faces


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    drawn = drawn_faces(400)
    images = drawn.images.copy()
    images[200:] = images[:200]
    images[7] = 50
    ids = drawn.ids.copy()
    ids[7] = "</script><script>alert(1)</script>"
    return replace(drawn, images=images, ids=ids)


def _content(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script id="content" type="application/json">(.*?)</script>', page, re.DOTALL)
    content: dict[str, Any] = json.loads(text)
    return content


def test_every_finding_and_every_thumbnail_is_in_it(faces: FaceSet) -> None:
    found = audit(faces)
    page = audit_page(found, faces, title="these")
    assert page == audit_page(found, faces, title="these")
    content = _content(page)
    assert content["audit_hash"] == found.hash
    told = sorted((id_, KINDS[kind]) for id_, _, _, findings, _ in content["faces"] for kind, *_ in findings)
    assert told == sorted((each.id, each.kind) for each in found.findings)
    cards = [{content["faces"][place][0] for place in card} for card in content["cards"]]
    assert {str(faces.ids[row]) for row in (3, 203)} in cards
    assert {str(faces.ids[7])} in cards
    row_of = {name: row for row, name in enumerate(faces.ids.tolist())}
    sheets = [np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet))).convert("L")) for sheet in content["sheets"]]
    for place, (name, *_) in enumerate(content["faces"]):
        sheet, at = divmod(place, 256)
        top, left = (48 * side for side in divmod(at, 16))
        thumbnail = sheets[sheet][top : top + 48, left : left + 48].astype(float)
        assert np.abs(thumbnail - faces.images[row_of[name]]).mean() < 6


def test_it_needs_no_network(faces: FaceSet) -> None:
    page = audit_page(audit(faces), faces)
    assert not re.findall(r"https?://|//cdn|@import|<link|src=", page)
    assert "default-src 'none'" in page


def test_votes_are_told(faces: FaceSet) -> None:
    votes = np.zeros((400, 10), np.float32)
    votes[7, [1, 4]] = 3, 7
    content = _content(audit_page(audit(replace(faces, votes=votes)), replace(faces, votes=votes)))
    assert next(face[4] for face in content["faces"] if face[0] == faces.ids[7]) == "sad 7, disgust 3"


def test_of_other_faces_it_is_refused(faces: FaceSet) -> None:
    with pytest.raises(DataError, match="must be of these faces"):
        audit_page(audit(faces), faces[1:])


def test_many_findings_are_quick_and_small() -> None:
    faces = drawn_faces(5000)
    findings = tuple(Finding("label", row, str(faces.ids[row]), None, 0.9, 0.9, 2) for row in range(5000))
    started = time.perf_counter()
    page = audit_page(Audit(faces.hash, {}, {"faces": 5000}, findings), faces)
    assert time.perf_counter() - started < 20
    assert len(page) < 10e6
