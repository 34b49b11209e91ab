"""The expressions, their order and their names elsewhere. No other module holds a label list of its own.

The order is FER2013's (Goodfellow et al., 2013). Folder copies of the data set sort their classes
alphabetically, so a class is always found by its name, never by its place in a listing.
"""

EXPRESSIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

# What a FER+ annotator could vote for (Barsoum et al., 2016): the seven expressions, then what FER2013 has no name for.
VOTES: tuple[str, ...] = (*EXPRESSIONS, "contempt", "unknown", "nonface")

# What a model answers, by the key in its card. The two differ: FER2013's labels call many neutral faces sad or angry.
QUESTIONS: dict[str, str] = {
    "ferplus": "which expression would people name?",
    "fer2013": "which label would FER2013 give?",
}

SPLITS: tuple[str, ...] = ("train", "valid", "test")

# One colour an expression (red, green, blue), distinguishable for colour-blind readers: after Okabe and Ito (2008).
COLOURS: dict[str, tuple[int, int, int]] = {
    "angry": (213, 94, 0),
    "disgust": (0, 158, 115),
    "fear": (204, 121, 167),
    "happy": (240, 228, 66),
    "sad": (0, 114, 178),
    "surprise": (230, 159, 0),
    "neutral": (160, 160, 160),
}

_SYNONYMS: dict[str, tuple[str, ...]] = {
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

_VOTE_OF_NAME: dict[str, str] = {spelling: name for name, others in _SYNONYMS.items() for spelling in (name, *others)}


def parse_vote(name: str) -> str | None:
    """The entry of `VOTES` that a column or folder name means, whatever its case; None where it means none."""
    return _VOTE_OF_NAME.get(name.strip().lower().replace("_", " "))


def parse_expression(name: str) -> int | None:
    """The index in `EXPRESSIONS` of the class that a name (`Anger`, `HAPPINESS`, `surprised`) means, or None."""
    vote = parse_vote(name)
    return EXPRESSIONS.index(vote) if vote in EXPRESSIONS else None
