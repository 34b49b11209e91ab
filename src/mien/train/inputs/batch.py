"""What one step of training sees: faces of the train split, augmented, repeated and mixed as the recipe says."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mien.train.inputs.augment import augment
from mien.train.inputs.mixup import Mix, draw_mix
from mien.train.loss.losses import Targets
from mien.train.recipe import Augment
from mien.types import FACE_SIDE


@dataclass(frozen=True)
class Batch:
    """The faces of one step.

    faces:  (B, 1, S, S) float32 in 0 to 255.
    rows:   (B,) int64, which train face each is; with a mix, the first of the two.
    mix:    how they were mixed, or None.
    drawn:  the state of the generator from which all this was drawn.
    taught: (B, classes) float32, what a teacher says of them as they are here; None where it was heard before.
    """

    faces: Tensor
    rows: Tensor
    mix: Mix | None
    drawn: Tensor
    taught: Tensor | None = None

    def targets(self, of_all: Targets) -> Targets:
        """Theirs, out of those of all train faces."""
        own = of_all[self.rows]
        if self.mix is not None:
            own = own.mixed(self.mix.partners, self.mix.shares)
        return own if self.taught is None else replace(own, taught=self.taught)


def make_batch(images: Tensor, rows: Tensor, how: Augment, *, side: int, generator: torch.Generator) -> Batch:
    """(N, 48, 48) uint8 train faces and which of them, (B,) int64 -> what the net sees of those, B x repeats faces."""
    rows, drawn = rows.repeat(how.repeats), generator.get_state()
    faces = augment(images[rows], how, side=side, generator=generator)
    mix = draw_mix(len(rows), how, side=side, generator=generator)
    return Batch(faces if mix is None else mix.of(faces), rows, mix, drawn)


def whole_faces(batch: Batch, images: Tensor, how: Augment) -> Tensor:
    """(B, 48, 48) uint8: the faces of a batch as a classifier takes them, moved, lit and mixed alike, not erased."""
    again = torch.Generator()
    again.set_state(batch.drawn)
    faces = augment(images[batch.rows], replace(how, erase=0.0), side=FACE_SIDE, generator=again)
    if batch.mix is not None:
        faces = batch.mix.of(faces)
    return faces[:, 0].round().clamp(0, 255).to(torch.uint8)
