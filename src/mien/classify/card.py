"""The card of a model: what a model file says of itself."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from mien.errors import ModelError
from mien.types import FACE_SIDE
from mien.types.html_repr import table_html, titled_html

_OLD_KEYS = {"labels": "class_names"}  # keys of files that were written before the key had its name of today
_METADATA = 14  # the number of the field `metadata_props` in ONNX's ModelProto
_LARGEST = 1e15  # of a card's numbers, either way from 0


@dataclass(frozen=True)
class ModelCard:
    """The card of a model: what its file says of itself, as JSON in the ONNX metadata, under the key `mien`.

    Parameters
    ----------
    name
        The model's name.
    class_names
        The names of the classes, in the order of the probabilities.
    side
        Pixels; the model takes (N, side, side) uint8.
    temperature
        The logits are divided by this before the softmax.
    question
        Which question it answers, a key of `mien.labels.QUESTIONS`; "": it is not known.
    prior, priors
        The name of the prior inside the model, and the numbers of that and of each other prior that it can be given by
        name: how often each class is expected before a face is seen. They stand in the order of the classes, and sum to
        1. "" and none: it is not known.
    parameters
        How many numbers were learned.
    recipe
        The recipe it was trained by, as TOML text.
    faces_hash, measured_on
        `FaceSet.hash` of the faces it was trained on, and of those that `scores` were measured on.
    commit, version
        Of mien: the commit when its training began, and the version when it was exported.
    note
        Anything that a reader should know, licence and data included.
    scores
        Measured figures by name, such as `valid_accuracy`.
    """

    name: str
    class_names: tuple[str, ...]
    side: int = FACE_SIDE
    temperature: float = 1.0
    question: str = ""
    prior: str = ""
    priors: dict[str, tuple[float, ...]] = field(default_factory=dict)
    parameters: int = 0
    recipe: str = ""
    faces_hash: str = ""
    measured_on: str = ""
    commit: str = ""
    version: str = ""
    note: str = ""
    scores: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<ModelCard {self.name}: {len(self.class_names)} classes, {self.parameters:,} parameters>"

    def _repr_html_(self) -> str:
        facts = {
            name: value for name, value in asdict(self).items() if name not in ("recipe", "scores", "priors") and value
        }
        rows = [[name, ", ".join(value) if isinstance(value, tuple) else str(value)] for name, value in facts.items()]
        return titled_html(repr(self), table_html(["", ""], rows + [[k, f"{v:.4g}"] for k, v in self.scores.items()]))

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> "ModelCard":
        """Read a card from JSON text. Raises ModelError where it holds none."""
        try:
            content = {_OLD_KEYS.get(key, key): value for key, value in json.loads(text).items()}
            if not isinstance(content["class_names"], list):
                raise TypeError("class_names must be a list of names")
            priors = {name: tuple(numbers) for name, numbers in content.get("priors", {}).items()}
            card = ModelCard(**{**content, "class_names": tuple(content["class_names"]), "priors": priors})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ModelError(f"the model's card is not one that this version of mien reads: {error}") from error
        if not _values_are_sound(card):
            raise ModelError("the model's card is not one that this version of mien reads: a value is of another kind")
        return card

    def with_scores(self, **scores: float) -> "ModelCard":
        """Return the same card with figures added or replaced."""
        return replace(self, scores={**self.scores, **scores})


def read_metadata(model: bytes) -> dict[str, str]:
    """Return the metadata of an ONNX model from its file's content, without loading the model.

    The file is one protobuf message, whose field 14 repeats pairs of a key (1) and a value (2); all else is skipped.
    """
    metadata = {}
    for number, content in _protobuf_fields(model):
        if number == _METADATA:
            pair = dict(_protobuf_fields(content))
            metadata[pair.get(1, b"").decode("utf-8", "replace")] = pair.get(2, b"").decode("utf-8", "replace")
    return metadata


def _protobuf_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and content of each field of a protobuf message that has a length, up to where it is damaged."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        match tag & 7:
            case 0:
                _, place = _varint(message, place)
            case 1:
                place += 8
            case 2:
                length, place = _varint(message, place)
                yield tag >> 3, message[place : place + length]
                place += length
            case 5:
                place += 4
            case _:
                return


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return the number that starts at a place, 7 bits a byte, lowest first, and the place behind it."""
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            break
    return value, place


def _values_are_sound(card: ModelCard) -> bool:
    """Tell whether each value of a card is of the kind that its field must have."""
    kinds = {str: _is_text, int: _is_whole, float: _is_number}
    scores: Any = card.scores
    return (
        all(kinds[each.type](getattr(card, each.name)) for each in fields(card) if each.type in kinds)
        and isinstance(scores, dict)
        and all(map(_is_text, [*card.class_names, *scores, *card.priors]))
        and all(map(_is_number, scores.values()))
        and all(_is_prior(numbers, len(card.class_names)) for numbers in card.priors.values())
    )


def _is_text(value: Any) -> bool:
    """Tell whether a value is text that a file takes: without half of a surrogate pair, which JSON lets through."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and _is_number(value)


def _is_number(value: Any) -> bool:
    """Tell whether a value is a finite number that a float holds; JSON has larger ones."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_prior(numbers: tuple[Any, ...], classes: int) -> bool:
    """Tell whether these are a positive number for each class."""
    return len(numbers) == classes and all(_is_number(number) and number > 0 for number in numbers)
