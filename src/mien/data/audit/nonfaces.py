"""Pictures that show no face: those FER+ annotators call so and, where nobody voted, those a detector finds none in."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.findings import Finding
from mien.labels import VOTES
from mien.types import FACE_SIDE, Detector, FaceSet, Progress

MOST = 0.5  # share of the votes from which a picture is no face
BLIND = 0.05  # confidence of the detector below which a picture is no face; docs/audit.md says how good that is
_LEAST = 0.1  # share of the picture that a face in it must cover


def find_nonfaces(
    faces: FaceSet, detector: Detector | None = None, *, progress: Progress | None = None
) -> Iterator[Finding]:
    """Faces that are none; measure: the share of annotators who say so, or 1 minus the detector's confidence.

    detector: for the faces that nobody voted on. One that tells of faces from a low confidence on serves best.
    """
    votes = np.zeros(len(faces)) if faces.votes is None else faces.votes.sum(axis=1)
    voted = np.flatnonzero(votes > 0)
    if faces.votes is not None:
        shares = faces.votes[voted, VOTES.index("nonface")] / votes[voted]
        for row, share in zip(voted.tolist(), shares.tolist(), strict=True):
            if share >= MOST:
                yield Finding("nonface", row, str(faces.ids[row]), None, share, share)
    if detector is None:
        return
    rest = np.flatnonzero(votes == 0).tolist()
    for done, row in enumerate(rest, 1):
        confidence = face_confidence(faces.images[row], detector)
        if confidence < BLIND:
            yield Finding("nonface", row, str(faces.ids[row]), None, 1 - confidence, 1 - confidence)
        if progress:
            progress(done, len(rest))


def face_confidence(image: NDArray[np.uint8], detector: Detector) -> float:
    """How sure a detector is, in [0, 1], that a picture (48, 48) shows a face that fills a good part of it."""
    found = detector(np.repeat(image[:, :, None], 3, axis=2))
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    large = sides.prod(axis=1) >= _LEAST * FACE_SIDE**2
    return float(found.confidence[large].max(initial=0))
