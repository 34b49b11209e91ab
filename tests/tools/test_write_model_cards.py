"""docs/models says what the cards in the model files say, and a file is measured without touching its graph."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import mien
from mien.classify.card import ModelCard
from mien.classify.onnx import shipped
from mien.evaluation.robustness import robustness
from mien.labels import EXPRESSIONS
from support import load_script, random_faces, tiny_model


@pytest.fixture(scope="module")
def tool() -> Any:
    """The tool as a module."""
    return load_script("tools/write_model_cards.py")


@pytest.mark.parametrize("name", shipped())
def test_the_pages_are_those_of_the_files(tool: Any, name: str) -> None:
    wanted = tool.page(tool.ASSETS / f"{name}.onnx")
    assert (tool.PAGES / f"{name}.md").read_text(encoding="utf-8") == wanted, "run: python tools/write_model_cards.py"


def test_the_shared_pages_are_those_of_the_cards(tool: Any) -> None:
    """A page of the report's net stands there exactly where its card has the hash of a file."""
    wanted = tool.shared_pages(tool.REPORT_CARD)
    names = (tool.REPORT_PAGE, tool.COMPARISON_PAGE)
    there = {name: (tool.PAGES / name).read_text(encoding="utf-8") for name in names if (tool.PAGES / name).exists()}
    assert there == wanted, "run: python tools/write_model_cards.py"
    assert (tool.REPORT_PAGE in wanted) == ("hash" in json.loads(tool.REPORT_CARD.read_text(encoding="utf-8")))


def test_one_command_writes_the_report_into_both_pages(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --measure, it also measures the file; the pages of the models that ship stay as they are."""
    monkeypatch.setattr(tool, "PAGES", tmp_path / "models")
    monkeypatch.setattr(tool, "REPORT_CARD", tmp_path / "card.json")
    card = ModelCard("the-report", EXPRESSIONS, note="of FER2013", recipe="[net]\n", parameters=12)
    file = tiny_model(tmp_path / "net.onnx", card=card, sharp=4)
    mien.save_faces(random_faces(30, votes=True), tmp_path / "faces.npz")
    words = ("--measure", tmp_path / "faces.npz", "--report", file, "--corrupt-faces", 10)
    monkeypatch.setattr(sys, "argv", ["it", *map(str, words)])
    assert tool.main() == 0
    scores = mien.load(file).card.scores
    kept = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert (kept["name"], kept["hash"], kept["scores"]) == ("the-report", mien.load(file).hash, scores)
    assert scores["valid_corrupted_faces"] == 10
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "models").iterdir()}
    assert set(written) == {"report-resnet18.md", "comparison.md"}
    assert written["report-resnet18.md"].startswith("# the-report\n")
    head, row = (
        next(line for line in written["comparison.md"].splitlines() if line.startswith(start)).split(" | ")
        for start in ("|  |", "| accuracy, by the labels")
    )
    assert head[-1] == "[the-report](report-resnet18.md) |"
    low, high = (100 * scores[f"valid_accuracy_{end}"] for end in ("low", "high"))
    assert row[-1] == f"{scores['valid_accuracy']:.1%} ({low:.1f} to {high:.1f}) |"
    assert len(head) == len(row) == 2 + len(shipped())


def test_a_file_is_measured_and_only_its_card_changes(tool: Any, tmp_path: Path) -> None:
    card = ModelCard("t", EXPRESSIONS, note="n", scores={"epochs": 3.0, "valid_votes_agreed": 0.5})
    file = tiny_model(tmp_path / "t.onnx", card=card, sharp=4)
    faces = random_faces(30, votes=True)
    graph, before = onnx.load(file).graph, mien.load(file)(faces.images).probs
    tool.measure(file, faces)
    after = mien.load(file)
    assert onnx.load(file).graph == graph
    assert np.array_equal(after(faces.images).probs, before)
    scores = after.card.scores
    wanted = robustness(after, faces).card_scores("valid")
    assert {name: scores[name] for name in wanted} == wanted
    assert scores["valid_accuracy"] == mien.evaluate(after, faces).accuracy.value
    assert 0 <= scores["valid_people_ece"] <= 1
    assert scores["epochs"] == 3
    assert "valid_votes_agreed" not in scores
    assert (after.card.question, after.card.note, after.card.measured_on) == ("fer2013", "n", faces.hash)
    assert f"| {EXPRESSIONS[1]} | {scores['valid_recall_disgust']:.1%} |" in tool.page(file)
