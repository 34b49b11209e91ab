"""The lessons of a run: its teachers' answers, and the targets made of them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.data.scores_file import FaceScores
from mien.errors import RunError
from mien.io.atomic_write import is_dir, make_folder
from mien.train.loss.distillation import Teacher, TeacherProbs, ask_teacher, load_teacher
from mien.train.loss.losses import make_targets
from mien.train.loss.objective import Objective
from mien.train.loss.teacher_views import TeacherViews
from mien.train.recipe import Recipe
from mien.train.run.distributed import on_rank_zero
from mien.train.run.hardware import Hardware
from mien.train.run.run_dir import TEACHER_VIEWS, lock_folder
from mien.train.run.trained_net import TorchTeachers, load_torch_teachers
from mien.types import FaceSet, Progress

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def hear_teacher(
    recipe: Recipe,
    teacher: Teacher | TorchTeachers | None,
    faces: FaceSet,
    *,
    fabric: "Fabric",
    out: Path,
    hardware: Hardware,
    progress: Progress | None,
) -> TeacherProbs | None:
    """Ask the teacher of a run about its train faces, or about views of them; None where it has no teacher.

    Parameters
    ----------
    recipe
        The recipe of the run.
    teacher
        The teacher that `train` was given.
    faces
        The train faces.
    fabric, hardware
        What the run computes on.
    out
        The run's folder, which keeps the answers to views.
    progress
        Is told how many faces the teacher has answered for.

    Raises
    ------
    RunError
        Where there are two teachers, or one that cannot be asked, or the folder holds answers of another.
    """
    if recipe.loss.teachers and teacher is not None:
        raise RunError("a teacher must be given by loss.teachers or to train(), got both")
    if any(map(is_dir, recipe.loss.teachers)):
        teacher = load_torch_teachers(
            _run_folders(recipe), class_names=faces.class_names, device=fabric.device, autocast=fabric.autocast
        )
    elif recipe.loss.teachers:
        teacher = load_teacher(recipe.loss.teachers, threads=hardware.threads)
    if teacher is None:
        return None
    if isinstance(teacher, TorchTeachers):
        for key in ("teacher_views", "label_posterior"):
            if getattr(recipe.loss, key):
                raise RunError(f"loss.{key} needs models as teachers; nets of runs are asked about each batch")
        return TeacherProbs(teacher.name, np.zeros((len(faces), 0), np.float32), of_batches=teacher)
    if recipe.loss.teacher_views:
        return _ask_about_views(recipe, teacher, faces, fabric=fabric, out=out, progress=progress)
    return ask_teacher(teacher, faces, class_names=faces.class_names, progress=progress)


def _run_folders(recipe: Recipe) -> list[Path]:
    """Return the teachers of a recipe, which must all be folders of runs."""
    for name in recipe.loss.teachers:
        if not is_dir(name):
            raise RunError(f"loss.teachers must be models alone or folders of runs alone, got {name} among folders")
    return [Path(name) for name in recipe.loss.teachers]


def _ask_about_views(
    recipe: Recipe, teacher: Teacher, faces: FaceSet, *, fabric: "Fabric", out: Path, progress: Progress | None
) -> TeacherProbs:
    """Ask a teacher about the views that are needed and that the run's folder does not have: the first process does."""
    if isinstance(teacher, FaceScores):
        raise RunError("loss.teacher_views needs models as teachers, got a file of scores")
    count = min(recipe.loss.teacher_views, recipe.optim.epochs)
    views = TeacherViews(
        out / TEACHER_VIEWS, teacher, faces, augment=recipe.augment, camera=recipe.camera, seed=recipe.seed
    )

    def ask() -> None:
        make_folder(out)
        with lock_folder(out / "run.lock"):
            views.ask(progress, total=count)

    for _ in range(on_rank_zero(fabric, lambda: len(views)), count):
        on_rank_zero(fabric, ask)  # a view at a time: processes do not wait for each other for ever
    return TeacherProbs(views.teacher, on_rank_zero(fabric, lambda: views.probs[:count]))


def make_objective(recipe: Recipe, faces: FaceSet, taught: TeacherProbs | None) -> Objective:
    """Make the objective of a run from the labels and votes of its train faces and from what a teacher says."""
    probs = taught.probs if taught and not taught.of_batches else None
    of_views = probs is not None and probs.ndim == 3  # else of the faces as they are
    targets = make_targets(
        recipe.loss, faces, classes=len(faces.class_names), teacher_probs=None if of_views else probs
    )
    labels = torch.from_numpy(faces.labels.copy())
    return Objective(
        recipe.loss,
        labels=labels,
        targets=targets,
        batch=recipe.optim.batch,
        class_names=faces.class_names,
        view_probs=probs if of_views else None,
    )
