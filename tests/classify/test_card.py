"""A card comes back from its text, also from that of older files; anything else is refused."""

import json

import pytest

from mien.classify.card import ModelCard
from mien.errors import ModelError
from mien.labels import EXPRESSIONS


def test_a_card_comes_back_from_its_text() -> None:
    card = ModelCard("m", EXPRESSIONS, temperature=1.25, parameters=9, recipe="lr = 1\n", note="é", scores={"a": 0.5})
    assert ModelCard.from_json(card.to_json()) == card
    assert card.with_scores(b=1.0).scores == {"a": 0.5, "b": 1.0}
    assert card.with_scores(b=1.0).name == "m"
    assert card.scores == {"a": 0.5}


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "3", "null", '{"name": "m"}', '{"name": "m", "labels": 3}', '{"labels": []}']
)
def test_a_text_that_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="card is not one that this version of mien reads"):
        ModelCard.from_json(text)


def test_the_key_labels_of_older_files_is_read() -> None:
    text = json.dumps({"name": "m", "labels": ["a", "b"]})
    assert ModelCard.from_json(text).class_names == ("a", "b")
    assert json.loads(ModelCard.from_json(text).to_json())["class_names"] == ["a", "b"]


def test_a_card_prints_itself_in_a_line() -> None:
    assert repr(ModelCard("swift", EXPRESSIONS, parameters=1234)) == "<ModelCard swift: 7 classes, 1,234 parameters>"
