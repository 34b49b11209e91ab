"""What training will see of some faces: the same batches that a run makes, to be looked at."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.errors import DataError
from mien.labels import EXPRESSIONS
from mien.train.inputs.batch import Batch, make_batch
from mien.train.recipe import Augment, Recipe
from mien.types import FACE_SIDE, FaceSet


@dataclass(frozen=True)
class Seen:
    """A face as a net sees it, before normalisation.

    image:  (S, S) uint8. side: S, in pixels.
    labels: its class and 1; of two mixed faces, both classes and their shares.
    """

    image: NDArray[np.uint8]
    side: int
    labels: tuple[tuple[str, float], ...]


def preview(recipe: Recipe, faces: FaceSet, *, versions: int = 8) -> list[list[Seen]]:
    """For each face a row: the face itself, then about `versions` of what training makes of it, at each size in turn.

    The faces are one batch: they are mixed with each other where the recipe mixes. Raises DataError where there is
    none, or one has no label.
    """
    labelled = int((faces.labels >= 0).sum())
    if not len(faces) or labelled < len(faces):
        raise DataError(
            f"a preview of training needs labelled faces, got {len(faces)}, {labelled} of them with a label"
        )
    sides = list(dict.fromkeys(side for side, _ in recipe.optim.sizes))
    images, generator = torch.from_numpy(faces.images.copy()), torch.Generator().manual_seed(recipe.seed)
    columns = [[Seen(image, FACE_SIDE, _named(label)) for image, label in zip(faces.images, faces.labels, strict=True)]]
    for side in sides:
        count = max(1, versions // len(sides))
        columns += _columns(images, faces.labels, recipe.augment, side=side, count=count, generator=generator)
    return [list(row) for row in zip(*columns, strict=True)]


def _columns(
    images: Tensor, labels: NDArray[np.int64], how: Augment, *, side: int, count: int, generator: torch.Generator
) -> list[list[Seen]]:
    """So many versions of all faces at one size."""
    rows, seen = torch.arange(len(images)), list[Seen]()
    while len(seen) < count * len(images):
        how = replace(how, repeats=min(how.repeats, count - len(seen) // len(images)))
        batch = make_batch(images, rows, how, side=side, generator=generator)
        levels = batch.faces[:, 0].round().clamp(0, 255).to(torch.uint8).numpy()
        seen += [Seen(level, side, _labels(batch, number, labels)) for number, level in enumerate(levels)]
    return [seen[start : start + len(images)] for start in range(0, len(seen), len(images))]


def _labels(batch: Batch, number: int, labels: NDArray[np.int64]) -> tuple[tuple[str, float], ...]:
    own = _named(labels[batch.rows[number]])
    if batch.mix is None:
        return own
    share, partner = float(batch.mix.shares[number]), batch.rows[batch.mix.partners[number]]
    return ((own[0][0], share), (EXPRESSIONS[labels[partner]], 1 - share))


def _named(label: np.int64) -> tuple[tuple[str, float], ...]:
    return ((EXPRESSIONS[label], 1.0),)
