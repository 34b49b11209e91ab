"""Quality words: whether a found face can be relied on, and what makes its expression doubtful."""

import numpy as np
from numpy.typing import NDArray

from mien.detect.align import roll_angle
from mien.detect.covered import covered_probability
from mien.types import Detections

GOOD = "good"
SMALL = 20.0  # pixels: a narrower face shows too little
UNSURE = 0.75  # confidence of the detector, below which it may be no face
SIDEWAYS = 45.0  # degrees: a face that leans further lies on its side or stands on its head
# How near to an eye the nose's tip may be, as a share of the eyes' distance. Heads turned by 30 degrees have 0.2 (the
# tip stands out by about half the eyes' distance). Of 1,800 PublicTest faces 5% have less, and swift is right on 53% of
# these, on 70% of all.
TURNED = 0.2


def quality(faces: Detections, crops: NDArray[np.uint8] | None = None, doubt: str = "") -> tuple[str, ...]:
    """Return for each of M faces `good`, or what is wrong with it, joined by `+`.

    small
        Narrower than 20 pixels.
    sideways:90
        The face leans by so many degrees clockwise, more than 45: it lies on its side (90, -90) or stands on its head
        (180). It was turned upright for the classifier. Only told where there are landmarks.
    turned
        The head is turned to the side, by about 30 degrees or more. Only told where there are landmarks.
    covered
        A mask, a scarf or a hand hides the mouth. Only told where there are crops, of heads that are not
        turned and faces that are not small.
    unsure
        The detector's confidence is under 0.75, or it finds no face in what is given as a face crop.
    uncropped
        The face takes less than half of what is given as a face crop.

    Parameters
    ----------
    faces
        The faces of one picture.
    crops
        (M, 48, 48) uint8, as the classifier takes them.
    doubt
        A word about the whole picture, which each face gets; see `mien.detect.whole_image.doubt_crop`.
    """
    turned, small = _is_turned(faces), faces.boxes[:, 2] - faces.boxes[:, 0] < SMALL
    covered = np.zeros(len(faces), np.bool_)
    if crops is not None:
        covered = (covered_probability(crops) > 0.5) & ~turned & ~small
    words = {
        "small": small,
        "turned": turned,
        "covered": covered,
        "unsure": faces.confidence < UNSURE,
    }
    told = [
        [word for word, which in words.items() if which[face]] + [doubt] * bool(doubt) for face in range(len(faces))
    ]
    if faces.landmarks is not None:
        for face, points in enumerate(faces.landmarks):
            degrees = roll_angle(points)
            if abs(degrees) > SIDEWAYS:
                told[face].insert(0, f"sideways:{degrees:.0f}")
    return tuple("+".join(each) or GOOD for each in told)


def _is_turned(faces: Detections) -> NDArray[np.bool_]:
    """Return (M,) bool: where the nose's tip, seen along the line between the eyes, is near an eye or beyond it."""
    if faces.landmarks is None:
        return np.zeros(len(faces), np.bool_)
    one, other, nose = faces.landmarks[:, 0], faces.landmarks[:, 1], faces.landmarks[:, 2]
    across = other - one
    apart = (across**2).sum(axis=1)
    place = ((nose - one) * across).sum(axis=1)  # 0 at one eye, `apart` at the other
    near: NDArray[np.bool_] = (place < TURNED * apart) | (place > (1 - TURNED) * apart)
    return near
