"""The batch of one training step: faces of the train split, augmented and mixed as the recipe says."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mien.train.inputs.augment import Augment, augment_faces
from mien.train.inputs.camera import NO_CAMERA, Camera, photograph
from mien.train.inputs.mixup import Mix, draw_mix


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
    """

    faces: Tensor
    rows: Tensor
    mix: Mix | None


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
) -> Iterator[Batch]:
    """Make the batches of an epoch one by one.

    images: (N, 48, 48) uint8, the train faces. order: (steps, B) int64, the rows of each step.

    The faces of several steps may be augmented in one call, which saves a GPU launches; each batch is mixed by itself.
    """
    if steps_at_once == 1:
        for rows in order:
            yield make_batch(images, rows, augment, side=side, generator=generator, camera=camera)
        return
    for part in order.split(steps_at_once):
        faces = photograph(
            augment_faces(images[part.flatten()], augment, side=side, generator=generator), camera, generator
        )
        for rows, own in zip(part, faces.split(order.shape[1]), strict=True):
            mix = draw_mix(len(rows), augment, side=side, generator=generator)
            yield Batch(own if mix is None else mix.apply(own), rows, mix)
