"""The page of a model's card, as Markdown and as text."""

import re
from dataclasses import replace

from mien.classify.card import ModelCard
from mien.classify.card_page import card_markdown, card_text
from mien.labels import EXPRESSIONS

SCORES = {
    "epochs": 24.0,
    "minutes": 88.2,
    "valid_accuracy": 0.6088,
    "valid_accuracy_low": 0.5927,
    "valid_accuracy_high": 0.6246,
    "valid_faces": 3589.0,
    "valid_ece": 0.2343,
    "valid_people_accuracy": 0.8544,
    "valid_people_faces": 3372.0,
    "valid_people_ece": 0.0151,
    **{f"valid_recall_{name}": 0.5 for name in EXPRESSIONS},
    **{f"valid_people_recall_{name}": 0.25 for name in EXPRESSIONS},
    "confidence_for_error_0.1": 0.859,
    "coverage_for_error_0.1": 0.371,
    "valid_corrupted_accuracy": 0.526,
    "valid_corrupted_accuracy_low": 0.5,
    "valid_corrupted_accuracy_high": 0.553,
    "valid_corrupted_faces": 1000.0,
    "valid_corrupted_clean": 0.66,
    "valid_corrupted_mask": 0.456,
    "valid_corrupted_low_light": 0.25,
}
CARD = ModelCard(
    "m",
    EXPRESSIONS,
    question="ferplus",
    temperature=0.66,
    prior="everyday",
    priors={"everyday": (1 / 7,) * 7, "uniform": (1 / 7,) * 7},
    parameters=1234567,
    recipe="[optim]\nlr = 0.1\n",
    faces_hash="f00d",
    note="Learned from FER2013.",
    scores=SCORES,
)


def cells(page: str) -> list[list[str]]:
    """The rows of the tables of a page."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]


def test_the_page_has_what_the_card_has() -> None:
    page = card_markdown(CARD, "abc123")
    rows = cells(page)
    for row in (
        ["hash", "abc123"],
        ["parameters", "1,234,567"],
        ["trained", "24 epochs, 88 minutes"],
        ["accuracy, by the labels", "60.9%", "59.3 to 62.5"],
        ["as people say (clear FER+ votes)", "85.4%", ""],
        ["fear", "50.0%", "25.0%"],
        ["ECE, by people's answers", "0.015"],
        ["confidence from which at most 10% are wrong", "0.859, 37.1% of the answers"],
        ["mask", "45.6%"],
        ["low light", "25.0%"],
    ):
        assert row in rows
    assert "52.6% (50.0% to 55.3%)" in page
    assert "which expression most people would name" in page
    assert page.index("as people say") < page.index("accuracy, by the labels")
    other = card_markdown(replace(CARD, question="fer2013"), "abc123")
    assert other.index("as people say") > other.index("accuracy, by the labels")
    assert "The prior inside is `everyday`; others: uniform." in page
    assert "hash `f00d`" in page
    assert "```toml\n[optim]\nlr = 0.1\n```" in page
    titles = re.findall(r"^## (.*)$", page, flags=re.MULTILINE)
    assert titles[:2] == ["Intended use", "Data"]
    assert titles[-6:] == ["Calibration", "Robustness", "Limits", "Law", "Licence", "Recipe"]
    assert "Article 5" in page
    prose = [line for line in page.split("```")[0].splitlines() if not line.startswith("|")]
    assert max(map(len, prose)) <= 120


def test_the_text_says_the_same_as_the_markdown() -> None:
    plain = re.sub(r"[`|#\s-]+|toml", " ", card_markdown(CARD, "abc123")).lower().split()
    text = re.sub(r"[`|#\s-]+", " ", card_text(CARD, "abc123")).lower().split()
    assert set(plain) == set(text)
    before_recipe = card_text(CARD, "abc123").split("RECIPE")[0]
    assert max(map(len, before_recipe.splitlines())) <= 100


def test_an_empty_card_says_what_is_not_known() -> None:
    page = card_markdown(ModelCard("m", ("a", "b")), "")
    assert "Not measured; `mien evaluate --corrupt` does." in page
    assert "FER2013" not in page
    assert "The licence is what whoever made the file says" in page
    assert "Figures on" not in page
