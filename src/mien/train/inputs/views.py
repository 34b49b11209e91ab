"""Views: versions of the train faces that are augmented once and for all, so that a teacher can be asked about each.

A view is the same whenever it is made, and shows the same at every side in pixels.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from mien.train.inputs.augment import Augment, augment_faces
from mien.train.inputs.camera import NO_CAMERA, Camera, photograph
from mien.types import FACE_SIDE, batches

_CHUNK = 256  # faces augmented at once; another number would make other views
_OTHER_SEEDS = 1 << 60  # keeps the seeds of views away from those of epochs


def augment_alike(images: Tensor, augment: Augment, camera: Camera, *, side: int, generator: torch.Generator) -> Tensor:
    """(B, 48, 48) uint8 -> (B, 1, side, side) float32 in 0 to 255: the same changes at every side.

    A generator in the same state gives the same view at 48 pixels, which teachers take, and at the student's side. What
    a camera does depends on the pixels; so where there is one, the face that it gives at 48 pixels is resized.
    """
    if camera == NO_CAMERA:
        return augment_faces(images, augment, side=side, generator=generator, erase_grid=FACE_SIDE)
    faces = photograph(augment_faces(images, augment, side=FACE_SIDE, generator=generator), camera, generator)
    if side == FACE_SIDE:
        return faces
    return functional.interpolate(faces, size=(side, side), mode="bilinear", align_corners=False)


def augment_pair(
    images: Tensor, augment: Augment, camera: Camera, *, side: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(B, 48, 48) uint8 -> the same view of them at the student's side, and at 48 pixels for a teacher."""
    before = generator.get_state()
    whole = augment_alike(images, augment, camera, side=FACE_SIDE, generator=generator)
    if side == FACE_SIDE:
        return whole, whole
    generator.set_state(before)
    return augment_alike(images, augment, camera, side=side, generator=generator), whole


def iterate_view(
    images: Tensor, augment: Augment, camera: Camera, *, seed: int, view: int, side: int
) -> Iterator[tuple[slice, Tensor]]:
    """Make a view of the train faces, (N, 48, 48) uint8, part by part: rows and their (B, side, side) uint8.

    It depends on the seed, the number of the view and the settings alone; nothing is mixed.
    """
    generator = torch.Generator().manual_seed(_OTHER_SEEDS + seed * 1_000_003 + view)
    for rows in batches(len(images), _CHUNK):
        faces = augment_alike(images[rows], augment, camera, side=side, generator=generator)
        yield rows, faces[:, 0].round_().clamp_(0, 255).to(torch.uint8)


def make_view(images: Tensor, augment: Augment, camera: Camera, *, seed: int, view: int, side: int) -> Tensor:
    """Make a view of the train faces as `iterate_view` does, whole: (N, side, side) uint8."""
    parts = iterate_view(images, augment, camera, seed=seed, view=view, side=side)
    return torch.cat([part for _, part in parts])
