"""The order of the expressions is FER2013's, and a name means the same in every copy of the data set."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.labels import COLOURS, EXPRESSIONS, SPLITS, VOTES, parse_expression, parse_vote

# What folder copies, FER+'s header and other data sets call them.
SPELLINGS = {
    "angry": ["angry", "Angry", "ANGER", "anger", "AN"],
    "disgust": ["disgust", "Disgusted", "DISGUST", " disgust "],
    "fear": ["fear", "Fearful", "afraid", "scared", "FEAR"],
    "happy": ["happy", "Happiness", "HAPPINESS", "joy"],
    "sad": ["sad", "Sadness", "SADNESS"],
    "surprise": ["surprise", "Surprised", "SURPRISE"],
    "neutral": ["neutral", "Neutral", "calm", "NE"],
    "contempt": ["contempt", "Contempt"],
    "unknown": ["unknown"],
    "nonface": ["nonface", "NF", "not_a_face", "NoFace"],
}


def test_the_order_is_that_of_fer2013s_csv() -> None:
    assert EXPRESSIONS == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert tuple(sorted(EXPRESSIONS)) != EXPRESSIONS
    assert (*EXPRESSIONS, "contempt", "unknown", "nonface") == VOTES
    assert SPLITS == ("train", "valid", "test")


@pytest.mark.parametrize(("name", "spelling"), [(name, each) for name, many in SPELLINGS.items() for each in many])
def test_spellings_mean_what_they_say(name: str, spelling: str) -> None:
    assert parse_vote(spelling) == name
    assert parse_expression(spelling) == (EXPRESSIONS.index(name) if name in EXPRESSIONS else None)


def test_every_vote_has_spellings_here() -> None:
    assert tuple(SPELLINGS) == VOTES


@pytest.mark.parametrize("name", ["", "happyish", "train", "0", "3", "un happy"])
def test_other_names_mean_nothing(name: str) -> None:
    assert parse_vote(name) is None
    assert parse_expression(name) is None


def test_each_expression_has_a_colour_of_its_own() -> None:
    assert tuple(COLOURS) == EXPRESSIONS
    for one, other in combinations(COLOURS.values(), 2):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 60
    assert all(0 <= part <= 255 for colour in COLOURS.values() for part in colour)


@given(st.text())
def test_any_text_means_one_vote_or_none(text: str) -> None:
    vote, index = parse_vote(text), parse_expression(text)
    assert vote is None or vote in VOTES
    assert index == (EXPRESSIONS.index(vote) if vote in EXPRESSIONS else None)
    if vote is not None:
        assert parse_vote(vote) == parse_vote(f" {text.upper()} ") == vote
