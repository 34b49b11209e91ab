"""What one step of training sees: faces of the train split, augmented, repeated and mixed as the recipe says."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mien.train.augment import augment
from mien.train.losses import Targets
from mien.train.mixing import Mix, draw_mix
from mien.train.recipe import Augment


@dataclass(frozen=True)
class Batch:
    """The faces of one step.

    faces: (B, 1, S, S) float32 in 0 to 255.
    rows:  (B,) int64, which train face each is; with a mix, the first of the two.
    mix:   how they were mixed, or None.
    """

    faces: Tensor
    rows: Tensor
    mix: Mix | None

    def targets(self, of_all: Targets) -> Targets:
        """Theirs, out of those of all train faces."""
        own = of_all[self.rows]
        return own if self.mix is None else own.mixed(self.mix.partners, self.mix.shares)


def make_batch(images: Tensor, rows: Tensor, how: Augment, *, side: int, generator: torch.Generator) -> Batch:
    """(N, 48, 48) uint8 train faces and which of them, (B,) int64 -> what the net sees of those, B x repeats faces."""
    rows = rows.repeat(how.repeats)
    faces = augment(images[rows], how, side=side, generator=generator)
    mix = draw_mix(len(rows), how, side=side, generator=generator)
    return Batch(faces if mix is None else mix.of(faces), rows, mix)
