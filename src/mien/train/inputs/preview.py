"""A preview of training: some faces as a run's batches would show them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mien.errors import DataError
from mien.train.inputs.augment import Augment
from mien.train.inputs.batch import Batch, make_batch
from mien.train.inputs.camera import NO_CAMERA, Camera
from mien.types import FACE_SIDE, FaceSet


@dataclass(frozen=True)
class PreviewFace:
    """A face as a net sees it, before normalisation.

    Parameters
    ----------
    image
        (S, S) uint8.
    side
        S, in pixels.
    labels
        Its class and 1; of two mixed faces, both classes and their weights.
    """

    image: NDArray[np.uint8]
    side: int
    labels: tuple[tuple[str, float], ...]


def preview(
    augment: Augment,
    faces: FaceSet,
    *,
    sides: Sequence[int],
    seed: int,
    versions: int = 8,
    camera: Camera = NO_CAMERA,
) -> list[list[PreviewFace]]:
    """Make for each face a row: the face itself, then about `versions` of what training makes of it.

    The versions are at each of the sides in turn. The faces are one batch, so that they are mixed with each other.

    Raises
    ------
    DataError
        Where there is no face, or one has no label.
    """
    labelled = int((faces.labels >= 0).sum())
    if not len(faces) or labelled < len(faces):
        raise DataError(
            f"a preview of training needs labelled faces, got {len(faces)}, {labelled} of them with a label"
        )
    images, rows = torch.from_numpy(faces.images.copy()), torch.arange(len(faces))
    generator = torch.Generator().manual_seed(seed)
    plain = zip(faces.images, faces.labels, strict=True)
    columns = [[PreviewFace(image, FACE_SIDE, ((faces.class_names[label], 1.0),)) for image, label in plain]]
    for side in sides:
        for _ in range(max(1, versions // len(sides))):
            batch = make_batch(images, rows, augment, side=side, generator=generator, camera=camera)
            levels = batch.faces[:, 0].round().clamp(0, 255).to(torch.uint8).numpy()
            columns.append(
                [PreviewFace(level, side, _labels_of(batch, row, faces)) for row, level in enumerate(levels)]
            )
    return [list(row) for row in zip(*columns, strict=True)]


def _labels_of(batch: Batch, row: int, faces: FaceSet) -> tuple[tuple[str, float], ...]:
    own = faces.class_names[faces.labels[row]]
    if batch.mix is None:
        return ((own, 1.0),)
    lam = float(batch.mix.lam[row])
    return (own, lam), (faces.class_names[faces.labels[batch.mix.partners[row]]], 1 - lam)
