"""Distillation: the probabilities of teachers, by which a net is taught (Hinton et al., 2015)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.classify.ensemble import Ensemble, base_classifiers, classifier_name
from mien.classify.onnx import OnnxClassifier, load, shipped
from mien.classify.tta import with_tta
from mien.data.scores_file import FaceScores, load_scores
from mien.errors import DataError, RunError
from mien.io.atomic_write import is_dir, is_file
from mien.train.inputs.batch import BatchTeacher
from mien.types import Classifier, FaceSet, Progress, batches

Teacher = Classifier | FaceScores

_BATCH = 256  # faces between two reports of progress


@dataclass(frozen=True)
class TeacherProbs:
    """The probabilities that a teacher gives to the train faces.

    Parameters
    ----------
    teacher
        Its name and the hashes of its files; where it has none, the hash of the probabilities.
    of_batches
        Answers in each step about the very batch, instead of before; `probs` has no columns then.
    probs
        (N, classes) float32; a classifier's are the mean of those for a face and for its mirror image. Or of V views of
        each face: (V, N, classes) float16.
    """

    teacher: str
    probs: NDArray[Any]
    of_batches: BatchTeacher | None = None


def load_teacher(names: Sequence[str], *, threads: int = 0) -> Teacher:
    """Load the mean of one or several models, each by its name or file; or one file of scores (.npz).

    A model that knows several priors teaches by the one that it learnt, since its student gets a prior of its own.

    Raises
    ------
    ModelError
        As `load` does.
    RunError
        Where scores cannot be read, or are not alone.
    """
    if any(name.endswith(".npz") for name in names):
        if len(names) > 1:
            raise RunError(f"a file of scores must be the only one of loss.teachers, got {', '.join(names)}")
        try:
            return load_scores(names[0])
        except DataError as error:
            raise RunError(f"{error}; held-out scores come from: mien train RECIPE --faces FACES --folds 4") from error
    loaded = [_load_as_learnt(name, threads=threads) for name in names]
    return loaded[0] if len(loaded) == 1 else Ensemble(*loaded)


def _load_as_learnt(name: str, *, threads: int) -> OnnxClassifier:
    model = load(name, threads=threads)
    learnt = model.card.question
    return load(name, threads=threads, prior=learnt) if learnt in model.card.priors else model


def teacher_hashes(names: Sequence[str]) -> list[str]:
    """SHA-256 (hex) of the file behind each name that `load_teacher` takes. Raises as that does where one is none."""
    ships = shipped()
    for name in names:
        if name not in ships and not is_file(_file_of(name)):
            load_teacher([name])  # says what is wrong
    files = [ships[name] if name in ships else _file_of(name) for name in names]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def _file_of(name: str) -> Path:
    """Return a teacher's file: of the folder of a run, its best epoch."""
    return Path(name) / "best.safetensors" if is_dir(name) else Path(name)


def ask_teacher(
    teacher: Teacher, faces: FaceSet, *, class_names: Sequence[str], progress: Progress | None = None
) -> TeacherProbs:
    """Ask a teacher about faces; the columns are in the order of the net's classes, `class_names`.

    Raises
    ------
    RunError
        Where the teacher knows other classes, or scores are not of all these faces.
    """
    if isinstance(teacher, FaceScores):
        scored, probs = teacher.match(faces)
        if len(scored) < len(faces):
            raise RunError(f"the teacher's scores must be of all {len(faces)} train faces, got those of {len(scored)}")
        return TeacherProbs(f"scores {_hash(probs)}", probs)
    probs = np.zeros((len(faces), len(class_names)), np.float32)
    both = with_tta(teacher, "mirror")
    for rows in batches(len(faces), _BATCH):
        probs[rows] = class_probs(both, faces.images[rows], class_names, teacher=teacher)
        if progress is not None:
            progress(rows.stop, len(faces))
    return TeacherProbs(_with_hashes(teacher, probs), probs)


def class_probs(
    classifier: Classifier, images: NDArray[np.uint8], class_names: Sequence[str], *, teacher: Classifier | None = None
) -> NDArray[np.float32]:
    """Ask a classifier about faces, (N, 48, 48) uint8 -> (N, classes), its columns in the order of `class_names`.

    teacher: what to call the classifier by in the RunError that is raised where it knows other classes.
    """
    scores = classifier(images)
    if sorted(scores.class_names) != sorted(class_names):
        name, known = classifier_name(teacher or classifier), ", ".join(scores.class_names)
        raise RunError(f"the teacher {name} must tell {', '.join(class_names)}, got one that tells {known}")
    return scores.probs[:, [scores.class_names.index(name) for name in class_names]]


def name_teacher(teacher: Classifier, faces: FaceSet) -> str:
    """Return a teacher's name and the hashes of its files; where it has none, of its answers to some of the faces."""
    return _with_hashes(teacher, None) or _with_hashes(teacher, teacher(faces.images[:_BATCH]).probs)


def _with_hashes(teacher: Classifier, probs: NDArray[np.float32] | None) -> str:
    """Return a teacher's name and the hashes of its files, or of its answers; empty where it has neither."""
    hashes = [str(getattr(part, "hash", "")) for part in base_classifiers(teacher)]
    if not all(hashes):
        if probs is None:
            return ""
        hashes = [_hash(probs)]
    return " ".join((classifier_name(teacher), *hashes))


def _hash(probs: NDArray[np.float32]) -> str:
    return hashlib.sha256(probs.tobytes()).hexdigest()
