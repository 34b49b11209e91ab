"""`mien data audit` and `mien data clean`, as their user runs them; the page in a real browser, where there is one."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from browser import browsing, console_errors
from mien.data.audit.clean import Review
from mien.data.audit.findings import load_audit
from mien.data.formats.npz import load_faces, load_history, save_faces
from mien.data.scores_file import FaceScores, save_scores
from mien.io.atomic_write import write_text
from mien.labels import EXPRESSIONS
from mien.types import FaceSet, Scores
from support import Outcome, drawn_faces, python_of, random_faces, run_mien, tiny_model


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Thirty train faces and five test faces: 0 and 1 are blank, 2 is 3, 4 is also in test; two labels are wrong."""
    whole = FaceSet.concatenate([drawn_faces(30), drawn_faces(5, seed=1, split="test")])
    images, labels = whole.images.copy(), np.where(whole.splits == "test", -1, whole.labels)
    images[0], images[1] = 10, 20
    images[3] = images[2]
    images[4] = images[30]
    labels[[8, 9]] = 6
    return replace(whole, images=images, labels=labels)


@pytest.fixture
def file(faces: FaceSet, tmp_path: Path) -> Path:
    save_faces(faces, tmp_path / "f.npz")
    return tmp_path / "f.npz"


def _scores(faces: FaceSet, path: Path) -> Path:
    probs = np.full((len(faces), 7), 0.02)
    probs[np.arange(len(faces)), faces.labels.clip(0)] = 0.8
    probs[[8, 9]], probs[8, 1], probs[9, 2] = 0.01, 0.94, 0.94
    probs /= probs.sum(axis=1, keepdims=True)
    save_scores(FaceScores(faces.ids, Scores(probs.astype(np.float32)), held_out=True), path)
    return path


def _audit(file: Path, *options: str | Path) -> Outcome:
    return run_mien("data", "audit", file, "-o", file.with_name("audit.json"), "--no-detect", *options)


def test_audit_says_what_it_found_and_writes_it(file: Path, faces: FaceSet) -> None:
    done = _audit(file, "--html", file.with_name("audit.html"))
    assert done.code == 0, done.err
    words = " ".join(done.out.split())
    for line in (
        "35 faces",
        "groups of duplicates 2 0",
        "test faces with a duplicate in train 1 0",
        "blank 2, 2 of them",
    ):
        assert line in words
    assert "no --scores or --model" in words
    content = json.loads(file.with_name("audit.json").read_text())
    assert content["faces_hash"] == faces.hash
    assert content["summary"]["blank"] == 2
    assert "mien data clean" in done.err
    assert file.with_name("audit.html").stat().st_size > 10_000


def test_audit_by_scores_or_by_a_model(file: Path, faces: FaceSet) -> None:
    scores = _scores(faces, file.with_name("s.npz"))
    assert _audit(file, "--scores", scores).code == 0
    found = load_audit(file.with_name("audit.json"))
    assert {each.row: each.suggestion for each in found.of_kind("label")} == {8: 1, 9: 2}
    assert found.settings["scores"] == "held out"
    done = _audit(file, "--model", tiny_model(file.with_name("m.onnx")))
    assert done.code == 0
    assert "finds fewer than held-out scores" in " ".join(done.err.split())
    assert load_audit(file.with_name("audit.json")).settings["scores"] == "not held out"


def test_the_detector_looks_where_nobody_voted(tmp_path: Path) -> None:
    save_faces(random_faces(3), tmp_path / "f.npz")
    assert run_mien("data", "audit", tmp_path / "f.npz", "-o", tmp_path / "a.json", "--kinds", "nonface").code == 0
    assert sorted(each.row for each in load_audit(tmp_path / "a.json").findings) == [0, 1, 2]


def test_clean_says_what_it_did_and_does_it_again_to_the_byte(file: Path, faces: FaceSet) -> None:
    _audit(file)
    audit, clean = file.with_name("audit.json"), file.with_name("clean.npz")
    done = run_mien("data", "clean", file, audit, "-o", clean, "--drop", "blank,leak")
    assert done.code == 0, done.err
    assert "dropped     2 by blank" in done.out
    assert "dropped     1 by leak" in done.out
    assert "32 faces; fewer: train 3" in done.out
    once = clean.read_bytes()
    assert run_mien("data", "clean", file, audit, "-o", clean, "--drop", "leak, blank").code == 0
    assert clean.read_bytes() == once
    assert set(faces.ids) - set(load_faces(clean).ids) == set(faces.ids[[0, 1, 4]])
    assert json.loads(load_history(clean)[0])["clean"]["audit"] == load_audit(audit).hash


def test_cleaning_what_is_clean_goes_on_with_its_history(file: Path) -> None:
    one, two = file.with_name("1.npz"), file.with_name("2.npz")
    run_mien("data", "clean", file, "-o", one, "--drop", "blank")
    run_mien("data", "clean", one, "-o", two, "--drop", "duplicate", "--only", "train")
    history = [json.loads(line)["clean"] for line in load_history(two)]
    assert [story["drop"] for story in history] == [["blank"], ["duplicate"]]
    assert history[1]["faces"] == load_faces(one).hash


def test_clean_relabels(file: Path, faces: FaceSet) -> None:
    _audit(file, "--scores", _scores(faces, file.with_name("s.npz")))
    clean = file.with_name("clean.npz")
    done = run_mien("data", "clean", file, file.with_name("audit.json"), "-o", clean, "--relabel", "0.9")
    assert "relabelled  2" in done.out
    assert load_faces(clean).labels[[8, 9]].tolist() == [1, 2]


def test_the_cleaning_of_the_report_in_one_command(file: Path, faces: FaceSet) -> None:
    """Pixels that deviate by less than 10, then a person's choice, here: drop the first, keep the second."""
    with mock.patch.object(sys, "stdin", io.StringIO("y\nn\n")):
        done = run_mien("data", "clean", file, "-o", file.with_name("clean.npz"), "--drop", "blank", "--interactive")
    assert done.code == 0, done.err
    assert done.err.count("▀") == 2 * 24 * 48
    assert f"1/2 {faces.ids[0]} (train, angry): blank. Drop it?" in " ".join(done.err.split())
    assert set(faces.ids) - set(load_faces(file.with_name("clean.npz")).ids) == {faces.ids[0]}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("audit", "FACES", "-o", "nowhere/a.json"), 1, "there is no folder"),
        (("audit", "FACES", "-o", "a.json", "--html", "nowhere/a.html"), 1, "there is no folder"),
        (("audit", "FACES", "-o", "a.json", "--kinds", "blnk"), 1, "got blnk"),
        (("audit", "FACES", "-o", "a.json", "--scores", "none.npz"), 1, "cannot read none.npz"),
        (("audit", "FACES", "-o", "a.json", "--scores", "s.npz", "--model", "swift"), 2, "goes without --scores"),
        (("audit", "FACES", "-o", "FACES"), 1, "it is an input"),
        (("audit", "FACES", "-o", "a.json", "--html", "FACES"), 1, "it is an input"),
        (("audit", "FACES", "-o", "a.json", "--html", "a.json"), 1, "two outputs have this name"),
        (("audit", "FACES", "-o", "a.json", "--kinds", "blank", "--model", "swift"), 2, "must have label among them"),
        (("audit", "FACES", "-o", "a.json", "--near", "0.5"), 2, "greater than or equal to 0.6"),
        (("clean", "FACES", "a.json", "r.json", "-o", "c.npz", "--interactive"), 2, "goes without a REVIEW"),
        (("clean", "FACES", "a.json", "-o", "c.npz", "--relabel", "0.9", "--interactive"), 2, "goes without --relabel"),
        (("clean", "FACES", "-o", "c.npz"), 2, "there is nothing to do"),
        (("clean", "FACES", "-o", "FACES", "--drop", "blank"), 1, "it is an input"),
        (("clean", "FACES", "-o", "c.csv", "--drop", "blank"), 1, "must end in .npz"),
        (("clean", "FACES", "-o", "c.parquet", "--drop", "blank"), 2, "must end in .npz"),
        (("clean", "FACES", "-o", "c.npz", "--drop", "label"), 2, "needed to find wrong labels"),
        (("clean", "FACES", "-o", "c.npz", "--drop", "blank", "--only", "tain"), 2, "must be among train"),
        (("clean", "FACES", "FACES", "-o", "c.npz", "--drop", "blank"), 1, "cannot read"),
    ],
)
def test_refused(
    file: Path, arguments: tuple[str, ...], code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    done = run_mien("data", *(str(file) if each == "FACES" else each for each in arguments))
    assert (done.code, message in " ".join(done.err.replace("│", " ").split())) == (code, True), done.err
    assert list(file.parent.iterdir()) == [file]


def test_an_audit_and_a_clean_never_replace_what_they_read(file: Path, faces: FaceSet) -> None:
    scores = _scores(faces, file.with_name("s.npz"))
    model = tiny_model(file.with_name("m.onnx"))
    _audit(file)
    audit, review = file.with_name("audit.json"), file.with_name("r.npz")
    review.write_text(Review(load_audit(audit).hash, {}).to_json())
    file.with_name("hard.npz").hardlink_to(file)
    before = {path: path.read_bytes() for path in file.parent.iterdir()}
    page = file.with_name("p.html")
    for arguments in (
        ("audit", file, "--scores", scores, "-o", scores),
        ("audit", file, "--model", model, "-o", model),
        ("audit", file, "--model", model, "-o", "a.json", "--html", model),
        ("audit", file, "-o", file.with_name("hard.npz")),
        ("clean", file, audit, review, "-o", review),
        ("clean", file, audit, "--drop", "blank", "-o", file.with_name("hard.npz")),
    ):
        done = run_mien("data", *arguments)
        assert (done.code, "it is an input" in done.err) == (1, True), (arguments, done.err)
    assert not page.exists()
    assert {path: path.read_bytes() for path in file.parent.iterdir()} == before


# The audit, with Ctrl-C pressed when a part of it is done.
INTERRUPTED = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been started with interrupts ignored
from mien.cli.main import main
from mien.data.audit import run as audit

def found(faces, detector, *, progress):
    progress(1, 2)
    os.kill(os.getpid(), signal.SIGINT)
    progress(2, 2)
    return []

audit.find_nonfaces = found
main()
"""


def test_interrupted_it_leaves_nothing(tmp_path: Path) -> None:
    save_faces(drawn_faces(20), tmp_path / "f.npz")
    command = [sys.executable, "-c", INTERRUPTED, "data", "audit", "f.npz", "-o", "a.json"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == 130, ended.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "f.npz"]


@pytest.mark.browser
def test_a_person_chooses_on_the_page_and_cleans_with_it(file: Path, faces: FaceSet, tmp_path: Path) -> None:
    scores = _scores(faces, file.with_name("s.npz"))
    page = tmp_path / "audit.html"
    assert _audit(file, "--html", page, "--scores", scores).code == 0
    ids = faces.ids.tolist()
    with browsing(tmp_path) as browser:
        browser.get(page.as_uri())
        assert browser.execute_script("return document.querySelectorAll('.card').length") == 6
        browser.find_element(By.CSS_SELECTOR, '[data-kind="blank"]').click()
        assert (
            browser.execute_script("return [...document.querySelectorAll('.face')].map(f => f.dataset.id)") == ids[:2]
        )
        browser.find_element(By.CSS_SELECTOR, f'[data-id="{ids[0]}"] .drop').click()
        browser.find_element(By.CSS_SELECTOR, f'[data-id="{ids[1]}"] .keep').click()
        browser.find_element(By.CSS_SELECTOR, '[data-kind="label"]').click()
        browser.execute_script(f"document.querySelector('[data-id=\"{ids[8]}\"]').focus()")
        ActionChains(browser).send_keys(
            "r", Keys.ARROW_RIGHT, "2"
        ).perform()  # the suggestion; to the right; the second
        browser.find_element(By.CSS_SELECTOR, '[data-kind="leak"]').click()
        assert browser.execute_script(f"return document.querySelector('[data-id=\"{ids[30]}\"] select')") is None
        assert (
            browser.execute_script("return document.querySelector('#chosen').textContent")
            == "1 drop · 1 keep · 2 relabel"
        )
        browser.find_element(By.CSS_SELECTOR, "#download").click()
        review = WebDriverWait(browser, 20).until(
            lambda _: next((each for each in tmp_path.glob("review*.json") if each.stat().st_size), None)
        )
        assert review is not None
        assert console_errors(browser) == []
    assert review is not None
    chosen = {ids[0]: "drop", ids[1]: "keep", ids[8]: EXPRESSIONS[1], ids[9]: EXPRESSIONS[1]}
    assert json.loads(review.read_text())["choices"] == chosen
    clean = tmp_path / "clean.npz"
    audit = file.with_name("audit.json")
    assert run_mien("data", "clean", file, audit, review, "-o", clean, "--drop", "blank,leak").code == 0
    cleaned = load_faces(clean)
    assert set(ids) - set(cleaned.ids.tolist()) == {ids[0], ids[4]}
    assert cleaned.labels[np.isin(cleaned.ids, [ids[8], ids[9]])].tolist() == [1, 1]


def test_the_documentation_runs(file: Path, faces: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `mien data` command of docs/audit.md, where small files of those names lie."""
    monkeypatch.chdir(file.parent)
    file.rename("faces.npz")
    _scores(faces, Path("scores.npz"))
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    commands = [line.split("#")[0].split()[1:] for line in page.splitlines() if line.startswith("    mien data ")]
    assert len(commands) == 8
    for command in commands:
        if "review.json" in command:
            write_text("review.json", Review(load_audit("audit.json").hash, {}).to_json())
        with mock.patch.object(sys, "stdin", io.StringIO("y\n" * 9)):
            done = run_mien(*command)
        assert done.code == 0, f"{command}: {done.err}"
    exec(python_of("audit.md"), {})  # noqa: S102


def test_audit_says_what_it_did_not_look_for(file: Path) -> None:
    assert "no face not looked for" in " ".join(_audit(file).out.split())
    done = _audit(file, "--kinds", "blank")
    assert "wrong labels not looked for" in " ".join(done.out.split())
    cleaned = run_mien(
        "data", "clean", file, file.with_name("audit.json"), "-o", file.with_name("c.npz"), "--drop", "leak"
    )
    assert cleaned.err == ("mien: the audit did not look for leak, which shall be dropped: audit the faces again\n")
