"""The answers of a teacher to views of the train faces, asked once and kept in a file (`loss.teacher_views`).

The file is an .npz archive: version (1), key (a SHA-256 in hex, of all that the answers depend on) and probs,
(V, N, classes) float16, of the views that are done. It grows by a view at a time, and is whole at every moment.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.data.formats.npz import read_arrays, write_arrays
from mien.errors import DataError, RunError
from mien.io.atomic_write import exists
from mien.train.inputs.augment import Augment
from mien.train.inputs.camera import Camera
from mien.train.inputs.views import iterate_view
from mien.train.loss.distillation import class_probs, name_teacher
from mien.types import FACE_SIDE, Classifier, FaceSet, Progress

_VERSION = 1


class TeacherViews:
    """A teacher's answers to the first views of the train faces, in a file.

    Parameters
    ----------
    path
        The file. It is read where it is there, and written by `ask`.
    teacher
        The classifier that is asked.
    faces
        The train faces.
    augment, camera, seed
        What the views are made by.

    Raises
    ------
    RunError
        Where the file is damaged, or of another teacher, other faces, another seed or another augmentation.
    """

    def __init__(
        self, path: Path, teacher: Classifier, faces: FaceSet, *, augment: Augment, camera: Camera, seed: int
    ) -> None:
        self.path, self.faces, self.augment, self.camera, self.seed = path, faces, augment, camera, seed
        self._teacher = teacher
        self.teacher = name_teacher(teacher, faces)
        self.probs: NDArray[np.float16] = np.zeros((0, len(faces), len(faces.class_names)), np.float16)
        if exists(path):
            self.probs = self._read()

    def __len__(self) -> int:
        return len(self.probs)

    def ask(self, progress: Progress | None = None, *, total: int = 0) -> None:
        """Ask about the next view and write the file. Raises RunError as `class_probs` does, or OutputError.

        progress: is told how many faces are done, and how many `total` views have.
        """
        images = torch.from_numpy(self.faces.images.copy())
        view, count = len(self), len(images)
        parts = iterate_view(images, self.augment, self.camera, seed=self.seed, view=view, side=FACE_SIDE)
        answers = np.zeros(self.probs.shape[1:], np.float16)
        for rows, part in parts:
            answers[rows] = class_probs(self._teacher, part.numpy(), self.faces.class_names)
            if progress is not None:
                progress(view * count + rows.stop, total * count)
        self.probs = np.concatenate([self.probs, answers[None]])
        arrays = {"version": np.array(_VERSION), "key": np.array([self.key.encode()]), "probs": self.probs}
        write_arrays(self.path, arrays)

    @property
    def key(self) -> str:
        """The SHA-256 (hex) of all that the answers depend on, except how many views there are."""
        settings = [dataclasses.asdict(each) for each in (self.augment, self.camera)]
        images = hashlib.sha256(self.faces.images.tobytes()).hexdigest()
        known = [self.teacher, self.seed, self.faces.class_names, images]
        return hashlib.sha256(json.dumps([_VERSION, *known, *settings]).encode()).hexdigest()

    def _read(self) -> NDArray[np.float16]:
        try:
            arrays = read_arrays(self.path, what="file of a teacher's answers", required=("version", "key", "probs"))
        except DataError as error:
            raise RunError(f"{error}: delete it, and the teacher is asked anew") from error
        probs: NDArray[np.float16] = arrays["probs"]
        if arrays["version"].tolist() != _VERSION or arrays["key"].tolist() != [self.key.encode()]:
            raise RunError(
                f"{self.path} has the answers of another teacher, or to other views (faces, augmentation, seed): delete"
                " it, or name another folder"
            )
        if probs.dtype != np.float16 or probs.shape[1:] != self.probs.shape[1:]:
            raise RunError(f"{self.path} is damaged: delete it, and the teacher is asked anew")
        return probs
