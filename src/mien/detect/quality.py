"""Quality words: whether a found face can be relied on, and what makes its expression doubtful."""

import numpy as np
from numpy.typing import NDArray

from mien.types import Detections

GOOD = "good"
SMALL = 20.0  # pixels: a narrower face shows too little
UNSURE = 0.75  # confidence of the detector, below which it may be no face


def quality(faces: Detections) -> tuple[str, ...]:
    """Return for each of M faces `good`, or what is wrong with it, joined by `+`.

    small
        Narrower than 20 pixels.
    profile
        The nose's tip lies beyond an eye, seen along the line between the eyes: turned by about 45 degrees or more.
        Only told where there are landmarks.
    unsure
        The detector's confidence is under 0.75.
    """
    words = {
        "small": faces.boxes[:, 2] - faces.boxes[:, 0] < SMALL,
        "profile": _is_profile(faces),
        "unsure": faces.confidence < UNSURE,
    }
    return tuple("+".join(word for word, which in words.items() if which[face]) or GOOD for face in range(len(faces)))


def _is_profile(faces: Detections) -> NDArray[np.bool_]:
    """Return (M,) bool."""
    if faces.landmarks is None:
        return np.zeros(len(faces), np.bool_)
    left, right, nose = faces.landmarks[:, 0], faces.landmarks[:, 1], faces.landmarks[:, 2]
    across = right - left
    place = ((nose - left) * across).sum(axis=1)  # of the nose between the eyes: 0 to the square of their distance
    beyond: NDArray[np.bool_] = (place < 0) | (place > (across**2).sum(axis=1))
    return beyond
