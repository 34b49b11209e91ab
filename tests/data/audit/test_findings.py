"""Audits and reviews: they come back from their JSON, print themselves, and damaged ones are refused in one line."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from mien.data.audit.clean import Review, load_review
from mien.data.audit.findings import Audit, Finding, load_audit
from mien.errors import DataError
from strategies import audits, reviews


@settings(max_examples=50, deadline=None)
@given(audits())
def test_any_audit_comes_back_from_its_json(audit: Audit) -> None:
    read = Audit.from_json(audit.to_json())
    assert read.findings == audit.findings
    assert (read.faces_hash, read.settings, read.summary) == (audit.faces_hash, audit.settings, audit.summary)
    assert read.hash == audit.hash


@settings(max_examples=50, deadline=None)
@given(reviews)
def test_any_review_comes_back_from_its_file(review: Review) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "review.json")
        path.write_text(review.to_json(), encoding="utf-8")
        assert load_review(path) == review


def test_values_print_themselves_in_a_line() -> None:
    findings = (
        Finding("blank", 0, "a.png", None, 0.5, 3.25),
        Finding("conflict", 1, "b.png", 4, 0.5, 0.75, 3),
        Finding("blank", 2, "c.png", None, 0.5, 1.0),
    )
    audit = Audit("0" * 64, {}, {"faces": 1234}, findings)
    assert repr(audit) == "<Audit of 1,234 faces: blank 2, conflict 1>"
    assert "<td>2</td>" in audit._repr_html_()
    assert repr(Audit("", {}, {"faces": 0}, ())) == "<Audit of 0 faces: no findings>"
    assert repr(findings[0]) == "<Finding blank: a.png, measure 3.25>"
    assert repr(findings[1]) == "<Finding conflict: b.png with row 4, measure 0.75, rather label 3>"
    review = Review("f" * 64, {"a": "drop", "b": "sad", "c": "drop"})
    assert repr(review) == "<Review of audit ffffffffffff: 2 drop, 1 relabel>"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "ugly"},
        {"kind": []},
        {"row": -1},
        {"row": 10**30},
        {"row": True},
        {"row": 1.5},
        {"id": None},
        {"id": "\ud800"},
        {"other": "2"},
        {"severity": float("nan")},
        {"severity": 7},
        {"measure": None},
        {"measure": float("inf")},
        {"measure": 10**400},
        {"suggestion": -1},
    ],
    ids=str,
)
def test_a_finding_of_other_values_is_refused(change: dict[str, Any]) -> None:
    sound: dict[str, Any] = {
        "kind": "label",
        "row": 1,
        "id": "a",
        "other": None,
        "severity": 0.5,
        "measure": 0.5,
        "suggestion": 2,
    }
    with pytest.raises(DataError) as raised:
        Finding(**(sound | change))
    assert "\n" not in str(raised.value)


SOUND = """{"faces_hash": "f", "settings": {"kinds": ["blank"]}, "summary": {"faces": 3}, "findings": [
{"kind": "blank", "row": 1, "id": "a", "other": null, "severity": 0.5, "measure": 2.5, "suggestion": null}]}"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.5", "null"),
        ("2.5", "1" + "0" * 400),
        ("2.5", "1" + "0" * 5000),
        ("2.5", "1e999"),
        ('"a"', '"\\ud800"'),
        ('["blank"]', "7"),
        ('["blank"]', '[["blank"]]'),
        ('{"faces": 3}', "[]"),
        ('{"faces": 3}', '{"faces": null}'),
        ('{"faces": 3}', '{"faces": 1e12}'),
        ('{"faces": 3}', '{"faces": 3, "labels": ' + "[" * 20_000 + "]" * 20_000 + "}"),
        ('{"faces": 3}', '{"faces": 3, "labels": ' + "[" * 50 + "]" * 50 + "}"),
        ('"other": null, ', ""),
        ('"kind": "blank",', '"kind": "blank", "colour": "blue",'),
        ('"f"', "null"),
    ],
    ids=lambda text: text[:24],
)
def test_a_damaged_audit_is_refused_in_one_line(tmp_path: Path, old: str, new: str) -> None:
    assert len(Audit.from_json(SOUND).findings) == 1
    assert old in SOUND
    path = tmp_path / "audit.json"
    path.write_text(SOUND.replace(old, new, 1))
    with pytest.raises(DataError, match=r"audit\.json: this is no audit of mien") as raised:
        load_audit(path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"audit_hash": 5, "choices": {}}',
        '{"audit_hash": "a", "choices": {"a": null}}',
        '{"audit_hash": "a", "choices": {"a": ["keep"]}}',
        '{"audit_hash": "a", "choices": {"\\ud800": "keep"}}',
        '{"audit_hash": "a", "choices": 7}',
        '{"audit_hash": "a", "choices": ' + "1" * 5000 + "}",
    ],
    ids=lambda text: text[:40],
)
def test_a_damaged_review_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "review.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"review\.json is no review") as raised:
        load_review(path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000


@pytest.mark.linux
def test_a_device_without_an_end_is_refused() -> None:
    for read in (load_audit, load_review):
        with pytest.raises(DataError, match="must be UTF-8 text of less than"):
            read("/dev/zero")


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xff\xfe\x00")
    for read in (load_audit, load_review):
        with pytest.raises(DataError, match="must be UTF-8 text"):
            read(path)
        with pytest.raises(DataError, match="No such file"):
            read(tmp_path / "none.json")
