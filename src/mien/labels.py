"""The expressions, their order and their spellings elsewhere. No other module holds a label list of its own.

The order is FER2013's (Goodfellow et al., 2013). Folder copies of the data set sort their classes
alphabetically, so a class is always found by its name, never by its place in a listing.
"""

from collections.abc import Sequence

EXPRESSIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

# What a FER+ annotator could vote for (Barsoum et al., 2016): the seven expressions, and three that FER2013 lacks.
VOTES: tuple[str, ...] = (*EXPRESSIONS, "contempt", "unknown", "nonface")

# Sets of classes that have a name of their own.
CLASS_SETS: dict[str, tuple[str, ...]] = {"fer2013": EXPRESSIONS, "ferplus8": (*EXPRESSIONS, "contempt")}

# What a model answers, by the key in its card. The two differ: FER2013's labels call many neutral faces sad or angry.
QUESTIONS: dict[str, str] = {
    "ferplus": "which expression would people name?",
    "fer2013": "which label would FER2013 give?",
}

SPLITS: tuple[str, ...] = ("train", "valid", "test")

# A colour for each expression (red, green, blue) that colour-blind readers tell apart: after Okabe and Ito (2008).
COLOURS: dict[str, tuple[int, int, int]] = {
    "angry": (213, 94, 0),
    "disgust": (0, 158, 115),
    "fear": (204, 121, 167),
    "happy": (240, 228, 66),
    "sad": (0, 114, 178),
    "surprise": (230, 159, 0),
    "neutral": (160, 160, 160),
}

_SPELLINGS: dict[str, tuple[str, ...]] = {
    "angry": ("anger", "an"),
    "disgust": ("disgusted", "di"),
    "fear": ("fearful", "afraid", "scared", "fe"),
    "happy": ("happiness", "happily", "joy", "ha"),
    "sad": ("sadness", "sa"),
    "surprise": ("surprised", "su"),
    "neutral": ("ne", "calm"),
    "contempt": (),
    "unknown": (),
    "nonface": ("nf", "noface", "not a face"),
}

_VOTE_OF_SPELLING: dict[str, str] = {
    spelling: name for name, others in _SPELLINGS.items() for spelling in (name, *others)
}


def parse_vote(name: str) -> str | None:
    """Return the entry of `VOTES` that the name of a column or folder means, whatever its case, or None."""
    return _VOTE_OF_SPELLING.get(name.strip().lower().replace("_", " "))


def class_name(text: str) -> str:
    """Return the name of a class as mien spells it: `happy` for `Happiness`; a class of one's own stays as it is."""
    return parse_vote(text) or " ".join(text.split())


def parse_class(name: str, class_names: Sequence[str]) -> int | None:
    """Return the index in `class_names` of the class that a name means, whatever its case and spelling, or None."""
    meant = [class_name(each).lower() for each in class_names]
    wanted = class_name(name).lower()
    return meant.index(wanted) if wanted in meant else None


def parse_expression(name: str) -> int | None:
    """Return the index in `EXPRESSIONS` of the class that a name (`Anger`, `HAPPINESS`, `surprised`) means, or None."""
    vote = parse_vote(name)
    return EXPRESSIONS.index(vote) if vote in EXPRESSIONS else None
