"""Distillation: what classifiers say of the train faces, or held-out nets have said, which a net is then taught."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.classify.ensemble import Ensemble, base_classifiers, classifier_name
from mien.classify.onnx import load, shipped
from mien.classify.tta import with_tta
from mien.data.scores_file import FaceScores, load_scores
from mien.errors import DataError, RunError
from mien.io.atomic_write import is_file
from mien.train.inputs.batch import Batch, whole_faces
from mien.train.loss.losses import softened
from mien.train.recipe import Recipe
from mien.types import Classifier, FaceSet, Progress, batches

Teacher = Classifier | FaceScores

_BATCH = 256  # faces between two reports of progress


class Views:
    """What a teacher says of each batch as the net sees it, augmented and mixed (Beyer et al., 2022), but not erased.

    how: the recipe, whose loss.teacher_views is the count of versions of each face. The epochs take turns with these,
    so that each is heard once; a run that goes on hears them anew.
    images: (N, 48, 48) uint8, all train faces. names: the net's classes, in the order of the columns.
    Raises RunError where the teacher tells other classes, or is a file of scores, which cannot be asked.
    """

    def __init__(self, teacher: Teacher, how: Recipe, *, images: Tensor, names: Sequence[str]) -> None:
        if isinstance(teacher, FaceScores):
            raise RunError("with loss.teacher_views the teachers must be models, got a file of scores")
        self.teacher, self.how, self.images, self.names = teacher, how, images, names
        self.count = how.loss.teacher_views
        self._heard: dict[tuple[int, ...], Tensor] = {}

    def taught(self, batch: Batch, *which: int) -> Batch:
        """A batch with what the teacher says of it. which: numbers that are equal for equal batches alone."""
        if which not in self._heard:
            faces = whole_faces(batch, self.images, self.how.augment)
            said = _said(self.teacher, faces.numpy(), self.names)
            self._heard[which] = softened(said, self.how.loss.teacher_temperature)
        return replace(batch, taught=self._heard[which])


@dataclass(frozen=True)
class Lesson:
    """What a net is taught by a teacher.

    teacher: its name and the hashes of its files; where it has none, the hash of the probabilities.
    probs:   (N, classes) float32, of each train face, heard before training; a classifier's are the mean of those for a
             face and for its mirror image. None where views are heard instead.
    views:   what it is asked in each step, or None.
    """

    teacher: str
    probs: NDArray[np.float32] | None
    views: Views | None = None


def load_teacher(names: Sequence[str], *, threads: int = 0) -> Teacher:
    """The mean of one or several models, each by its name or file; or what one file of scores (.npz) says.

    Raises ModelError as `load` does, RunError where scores cannot be read, or are not alone.
    """
    if any(name.endswith(".npz") for name in names):
        if len(names) > 1:
            raise RunError(f"a file of scores must be the only one of loss.teachers, got {', '.join(names)}")
        try:
            return load_scores(names[0])
        except DataError as error:
            raise RunError(f"{error}; held-out scores come from: mien train RECIPE --faces FACES --folds 4") from error
    loaded = [load(name, threads=threads) for name in names]
    return loaded[0] if len(loaded) == 1 else Ensemble(*loaded)


def fingerprints(names: Sequence[str]) -> list[str]:
    """SHA-256 (hex) of the file behind each name that `load_teacher` takes. Raises as that does where one is none."""
    ships = shipped()
    for name in names:
        if name not in ships and not is_file(name):
            load_teacher([name])  # says what is wrong
    files = [ships[name] if name in ships else Path(name) for name in names]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def prepare(
    teacher: Teacher, faces: FaceSet, how: Recipe, *, names: Sequence[str], progress: Progress | None = None
) -> Lesson:
    """The lesson that a recipe asks for. Raises RunError as `hear` and `Views` do."""
    if not how.loss.teacher_views:
        return hear(teacher, faces, names=names, progress=progress)
    views = Views(teacher, how, images=torch.from_numpy(faces.images.copy()), names=names)
    known = hear(teacher, faces[:_BATCH], names=names)  # some faces are enough to know a teacher by
    return Lesson(known.teacher, None, views)


def hear(teacher: Teacher, faces: FaceSet, *, names: Sequence[str], progress: Progress | None = None) -> Lesson:
    """What a teacher says of faces; `names` are the net's classes, in the order of the columns.

    Raises RunError where the teacher tells other classes, or scores are not of all these faces.
    """
    if isinstance(teacher, FaceScores):
        scored, heard = teacher.of(faces)
        if len(scored) < len(faces):
            raise RunError(f"the teacher's scores must be of all {len(faces)} train faces, got those of {len(scored)}")
        return Lesson(f"scores {_hash(heard)}", heard)
    probs = np.zeros((len(faces), len(names)), np.float32)
    for rows in batches(len(faces), _BATCH):
        probs[rows] = _said(teacher, faces.images[rows], names, mirrored=True)
        if progress is not None:
            progress(rows.stop, len(faces))
    hashes = [str(getattr(part, "hash", "")) for part in base_classifiers(teacher)]
    return Lesson(" ".join((classifier_name(teacher), *(hashes if all(hashes) else [_hash(probs)]))), probs)


def _said(
    teacher: Classifier, images: NDArray[np.uint8], names: Sequence[str], *, mirrored: bool = False
) -> NDArray[np.float32]:
    """(N, classes), in the order of the names."""
    scores = with_tta(teacher, "mirror" if mirrored else "none")(images)
    if sorted(scores.class_names) != sorted(names):
        got = ", ".join(scores.class_names)
        raise RunError(f"the teacher {classifier_name(teacher)} must tell {', '.join(names)}, got one that tells {got}")
    return scores.probs[:, [scores.class_names.index(name) for name in names]]


def _hash(probs: NDArray[np.float32]) -> str:
    return hashlib.sha256(probs.tobytes()).hexdigest()
