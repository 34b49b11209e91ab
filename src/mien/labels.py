"""The expressions, their order and their spellings elsewhere. No other module holds a label list of its own.

The order is FER2013's (Goodfellow et al., 2013). Folder copies of the data set sort their classes
alphabetically, so a class is always found by its name, never by its place in a listing.
"""

EXPRESSIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

# What a FER+ annotator could vote for (Barsoum et al., 2016): the seven expressions, and three that FER2013 lacks.
VOTES: tuple[str, ...] = (*EXPRESSIONS, "contempt", "unknown", "nonface")

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


def parse_expression(name: str) -> int | None:
    """Return the index in `EXPRESSIONS` of the class that a name (`Anger`, `HAPPINESS`, `surprised`) means, or None."""
    vote = parse_vote(name)
    return EXPRESSIONS.index(vote) if vote in EXPRESSIONS else None
