"""The batch of one training step: faces of the train split, augmented and mixed as the recipe says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mien.train.inputs.augment import Augment, augment_faces
from mien.train.inputs.camera import NO_CAMERA, Camera, photograph
from mien.train.inputs.mixup import Mix, draw_mix
from mien.train.inputs.views import augment_pair

# Says of (B, 1, 48, 48) float32 faces, from 0 to 255, how likely each class is: (B, classes) float32.
BatchTeacher = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """The faces of one step.

    Parameters
    ----------
    faces
        (B, 1, S, S) float32 in 0 to 255.
    rows
        (B,) int64, the row of each face in the train split; of mixed faces, the first one's.
    mix
        How they were mixed, or None.
    teacher_probs
        (B, classes) float32, what a teacher says of these very faces; None where it was asked before, or there is none.
    """

    faces: Tensor
    rows: Tensor
    mix: Mix | None
    teacher_probs: Tensor | None = None


def make_batch(
    images: Tensor,
    rows: Tensor,
    augment: Augment,
    *,
    side: int,
    generator: torch.Generator,
    camera: Camera = NO_CAMERA,
) -> Batch:
    """Make a batch of some train faces: (N, 48, 48) uint8 and their rows, (B,) int64."""
    faces = augment_faces(images[rows], augment, side=side, generator=generator)
    faces = photograph(faces, camera, generator)
    mix = draw_mix(len(rows), augment, side=side, generator=generator)
    return Batch(faces if mix is None else mix.apply(faces), rows, mix)


def draw_batches(
    images: Tensor,
    order: Tensor,
    augment: Augment,
    *,
    side: int,
    generator: torch.Generator,
    camera: Camera = NO_CAMERA,
    steps_at_once: int = 1,
    teacher: BatchTeacher | None = None,
) -> Iterator[Batch]:
    """Make the batches of an epoch one by one.

    Parameters
    ----------
    images
        (N, 48, 48) uint8, the train faces.
    order
        (steps, B) int64, the rows of each step.
    augment, camera, side, generator
        As `make_batch` takes them.
    steps_at_once
        The faces of so many steps are augmented in one call, which saves a GPU launches. Each batch is mixed by itself.
    teacher
        Is asked about the very faces of the batches, augmented and mixed.
    """
    if steps_at_once == 1 and teacher is None:
        for rows in order:
            yield make_batch(images, rows, augment, side=side, generator=generator, camera=camera)
        return
    for part in order.split(steps_at_once):
        yield from _draw_several(images, part, augment, camera, side=side, generator=generator, teacher=teacher)


def _draw_several(
    images: Tensor,
    order: Tensor,
    augment: Augment,
    camera: Camera,
    *,
    side: int,
    generator: torch.Generator,
    teacher: BatchTeacher | None,
) -> Iterator[Batch]:
    """Make the batches of some steps together."""
    chosen = images[order.flatten()]
    if teacher is None:
        faces = photograph(augment_faces(chosen, augment, side=side, generator=generator), camera, generator)
        whole = faces
    else:
        faces, whole = augment_pair(chosen, augment, camera, side=side, generator=generator)
    size = order.shape[1]
    mixes = [draw_mix(size, augment, side=side, generator=generator) for _ in order]
    own = [each if mix is None else mix.apply(each) for mix, each in zip(mixes, faces.split(size), strict=True)]
    probs: list[Tensor] | list[None] = [None] * len(order)
    if teacher is not None:
        seen = [each if mix is None else mix.apply(each) for mix, each in zip(mixes, whole.split(size), strict=True)]
        probs = list(teacher(torch.cat(seen)).split(size))
    for rows, made, mix, said in zip(order, own, mixes, probs, strict=True):
        yield Batch(made, rows, mix, said)
