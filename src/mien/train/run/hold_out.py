"""Faces held back from training, to choose the epoch by and to fit confidence on, so that `valid` stays untouched."""

from dataclasses import replace

import numpy as np

from mien.data.splits import assign_folds
from mien.errors import RunError
from mien.train.nets import Question
from mien.types import FaceSet


def hold_out(faces: FaceSet, share: float, *, seed: int) -> FaceSet:
    """Return the labelled train faces alone, a share of them moved to `valid`; identical twins stay together.

    The share is rounded to one over a whole number: 0.1 is the first of ten folds, drawn by the seed. Raises RunError
    where there are too few faces.
    """
    train = faces[(faces.labels >= 0) & (faces.splits == "train")]
    folds = round(1 / share)
    if len(train) < folds:
        raise RunError(f"holding back {share:g} of the train faces needs {folds} or more, got {len(train)}")
    held = assign_folds(train, folds=folds, seed=seed) == 0
    return replace(train, splits=np.where(held, "valid", "train"))


def faces_with_answers(faces: FaceSet, question: Question) -> FaceSet:
    """Return the faces whose answer to a question is known, with the answers as their labels.

    For "fer2013" these are all labelled faces. For "ferplus" they are those with a plurality among the annotators; a
    set without votes has none.
    """
    if question == "fer2013":
        return faces[faces.labels >= 0]
    if faces.votes is None:
        return faces[:0]
    named = faces.plurality
    return replace(faces, labels=named)[named >= 0]
