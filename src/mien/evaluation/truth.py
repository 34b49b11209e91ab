"""The truth that answers are compared with: the labels of the faces, or what most of their annotators named."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mien.classify.ensemble import base_classifiers
from mien.errors import DataError
from mien.types import Classifier, FaceSet

Against = Literal["auto", "labels", "votes"]


@dataclass(frozen=True, eq=False)
class Truth:
    """The right class of each face.

    Parameters
    ----------
    name
        `labels`, or `votes` for the expression with the most FER+ votes.
    classes
        (N,) int64; -1 where there is none, such as at a tie of votes.
    """

    name: str
    classes: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"<Truth {self.name} of {int(self.known.sum()):,} faces>"

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) bool: which faces have one."""
        return self.classes >= 0


def find_truth(faces: FaceSet, classifier: Classifier | None = None, against: Against = "auto") -> Truth:
    """Choose what answers are compared with.

    Parameters
    ----------
    faces
        The faces.
    classifier
        Its card says which question it answers, for `auto`.
    against
        `labels`, `votes`, or `auto`: votes where the faces have them and the classifier was made to say what people
        would name, else labels.

    Raises
    ------
    DataError
        Where votes are asked for, and no face has a clear one.
    """
    voted = faces.votes is not None and bool((faces.plurality >= 0).any())
    if against == "votes" and not voted:
        raise DataError("these faces have no clear FER+ votes, so answers cannot be compared with them")
    if against == "votes" or (against == "auto" and voted and _names_what_people_name(classifier)):
        return Truth("votes", faces.plurality)
    return Truth("labels", faces.labels)


def _names_what_people_name(classifier: Classifier | None) -> bool:
    if classifier is None:
        return False
    cards = [getattr(base, "card", None) for base in base_classifiers(classifier)]
    return all(getattr(card, "question", "") == "ferplus" for card in cards)
