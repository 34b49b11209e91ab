"""Hypothesis strategies for the values of mien.data."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mien.data.audit.clean import Review
from mien.data.audit.findings import KINDS, Audit, Finding
from mien.data.scores_file import FaceScores
from mien.labels import EXPRESSIONS, SPLITS, VOTES
from mien.types import FACE_SIDE, FaceSet, Scores

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@st.composite
def face_sets(draw: st.DrawFn, *, least: int = 0, most: int = 6) -> FaceSet:
    """Draw a set of faces with any pixels, labels, splits, ids and votes."""
    ids = draw(st.lists(texts, min_size=least, max_size=most, unique=True))
    count = len(ids)
    seed = draw(st.integers(0, 2**32 - 1))
    images = np.random.default_rng(seed).integers(0, 256, (count, FACE_SIDE, FACE_SIDE), dtype=np.uint8)
    if draw(st.booleans()):
        images = images // 255 * 255  # black and white alone
    return FaceSet(
        images=images,
        labels=draw(hnp.arrays(np.int64, count, elements=st.integers(-1, len(EXPRESSIONS) - 1))),
        splits=np.array(draw(st.lists(st.sampled_from(SPLITS), min_size=count, max_size=count)), np.str_),
        ids=np.array(ids, np.str_),
        votes=draw(st.none() | hnp.arrays(np.float32, (count, len(VOTES)), elements=st.integers(0, 10).map(float))),
    )


@st.composite
def face_scores(draw: st.DrawFn) -> FaceScores:
    """Draw scores of up to six faces in any order of the classes."""
    ids = draw(st.lists(texts, max_size=6, unique=True))
    weights = draw(hnp.arrays(np.float32, (len(ids), len(EXPRESSIONS)), elements=st.integers(1, 1000).map(float)))
    probs = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    names = tuple(draw(st.permutations(EXPRESSIONS)))
    return FaceScores(np.array(ids, np.str_), Scores(probs, names), draw(st.booleans()))


@st.composite
def audits(draw: st.DrawFn) -> Audit:
    """Draw an audit of up to 40 faces."""
    count = draw(st.integers(1, 40))
    rows = st.integers(0, count - 1)
    figures = st.integers(0, 10**6).map(lambda millionths: millionths / 1e6)  # an audit's file keeps six digits
    finding = st.builds(
        Finding,
        st.sampled_from(KINDS),
        rows,
        texts,
        st.none() | rows,
        figures,
        figures,
        st.none() | st.integers(0, len(EXPRESSIONS) - 1),
    )
    settings = {"kinds": list(KINDS), "near": 0.7, "scores": None}
    return Audit(draw(texts), settings, {"faces": count}, tuple(draw(st.lists(finding, max_size=8))))


reviews = st.builds(Review, texts, st.dictionaries(texts, st.sampled_from(("keep", "drop", *EXPRESSIONS))))
