"""Distillation: what one or several classifiers say of the train faces, which a net is then taught."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import RunError
from mien.infer.classifier import load
from mien.infer.compose import Ensemble, Mirrored, name_of, parts
from mien.types import Classifier, Progress, batches

_BATCH = 256  # faces between two reports of progress


@dataclass(frozen=True)
class Lesson:
    """What a teacher says of N faces.

    probs:   (N, classes) float32, the mean of its probabilities for a face and for its mirror image.
    teacher: its name and the hashes of its files; where it has none, the hash of the probabilities.
    """

    probs: NDArray[np.float32]
    teacher: str


def load_teacher(models: Sequence[str], *, threads: int = 0) -> Classifier:
    """The mean of one or several models, each by its name or file. Raises ModelError as `load` does."""
    loaded = [load(model, threads=threads) for model in models]
    return loaded[0] if len(loaded) == 1 else Ensemble(*loaded)


def hear(
    teacher: Classifier, images: NDArray[np.uint8], *, names: Sequence[str], progress: Progress | None = None
) -> Lesson:
    """What a teacher says of faces, (N, 48, 48) uint8; `names` are the net's classes, in the order of the columns.

    Raises RunError where the teacher tells other classes.
    """
    probs = np.zeros((len(images), len(names)), np.float32)
    for rows in batches(len(images), _BATCH):
        scores = Mirrored(teacher)(images[rows])
        if sorted(scores.names) != sorted(names):
            got = ", ".join(scores.names)
            raise RunError(f"the teacher {name_of(teacher)} must tell {', '.join(names)}, got one that tells {got}")
        probs[rows] = scores.probs[:, [scores.names.index(name) for name in names]]
        if progress is not None:
            progress(rows.stop, len(images))
    hashes = [str(getattr(part, "hash", "")) for part in parts(teacher)]
    if not all(hashes):
        hashes = [hashlib.sha256(probs.tobytes()).hexdigest()]
    return Lesson(probs, " ".join((name_of(teacher), *hashes)))
