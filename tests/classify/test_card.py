"""A card comes back from its text, also from that of older files; anything else is refused."""

import json

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.classify.card import ModelCard, read_metadata
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


# The metadata of a model file, read without loading it


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5), st.integers(0, 2**40))
def test_metadata_is_what_the_library_writes(pairs: dict[str, str], version: int) -> None:
    model = onnx.ModelProto(ir_version=9, producer_name="me", model_version=version)
    onnx.helper.set_model_props(model, pairs)
    assert read_metadata(model.SerializeToString()) == pairs


@given(st.binary(max_size=300))
def test_what_is_no_model_has_no_metadata_and_no_traceback(content: bytes) -> None:
    assert isinstance(read_metadata(content), dict)


@given(st.data())
def test_a_card_comes_back_whatever_its_values(data: st.DataObject) -> None:
    text = st.text(max_size=30)
    names = data.draw(st.lists(text, unique=True, max_size=8))
    figures = data.draw(st.dictionaries(text, st.floats(-1e12, 1e12), max_size=4))
    card = ModelCard(data.draw(text), tuple(names), note=data.draw(text), scores=figures)
    assert ModelCard.from_json(card.to_json()) == card
