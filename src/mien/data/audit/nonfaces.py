"""A search for pictures that show no face: by FER+'s votes and, where nobody voted, by a face detector."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mien.data.audit.findings import Finding
from mien.labels import VOTES
from mien.types import FACE_SIDE, Detector, FaceSet, Progress

NONFACE_VOTES = 0.5  # share of the votes from which a picture shows no face
LEAST_CONFIDENCE = 0.05  # of the detector, below which a picture shows no face; docs/audit.md says how good that is
_LEAST_AREA = 0.1  # share of the picture that a face must cover


def find_nonfaces(
    faces: FaceSet, detector: Detector | None = None, *, progress: Progress | None = None
) -> Iterator[Finding]:
    """Find the pictures that show no face.

    A finding's measure is the share of annotators who say so, or 1 minus the detector's confidence.

    Parameters
    ----------
    faces
        The faces.
    detector
        Looks at the faces that nobody voted on. It should also tell of faces that it is hardly sure of. Without it the
        votes alone tell.
    progress
        Called with the faces that the detector has seen and how many there are.
    """
    votes = np.zeros(len(faces)) if faces.votes is None else faces.votes.sum(axis=1)
    voted = np.flatnonzero(votes > 0)
    if faces.votes is not None:
        shares = faces.votes[voted, VOTES.index("nonface")] / votes[voted]
        for row, share in zip(voted.tolist(), shares.tolist(), strict=True):
            if share >= NONFACE_VOTES:
                yield Finding("nonface", row, str(faces.ids[row]), None, share, share)
    if detector is None:
        return
    rest = np.flatnonzero(votes == 0).tolist()
    for done, row in enumerate(rest, 1):
        confidence = face_confidence(faces.images[row], detector)
        if confidence < LEAST_CONFIDENCE:
            yield Finding("nonface", row, str(faces.ids[row]), None, 1 - confidence, 1 - confidence)
        if progress:
            progress(done, len(rest))


def face_confidence(image: NDArray[np.uint8], detector: Detector) -> float:
    """Return a detector's confidence, in [0, 1], that a picture (48, 48) shows a face that fills a good part of it."""
    found = detector(np.repeat(image[:, :, None], 3, axis=2))
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    large = sides.prod(axis=1) >= _LEAST_AREA * FACE_SIDE**2
    return float(found.confidence[large].max(initial=0))
