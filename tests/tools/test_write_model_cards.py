"""docs/models says what the cards in the model files say, and a file is measured without touching its graph."""

import importlib.util
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
from support import random_faces, tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> Any:
    """The tool as a module."""
    spec = importlib.util.spec_from_file_location("write_model_cards", ROOT / "tools" / "write_model_cards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", shipped())
def test_the_pages_are_those_of_the_files(tool: Any, name: str) -> None:
    wanted = tool.page(tool.ASSETS / f"{name}.onnx")
    assert (tool.PAGES / f"{name}.md").read_text(encoding="utf-8") == wanted, "run: python tools/write_model_cards.py"


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
