"""A recipe: everything that decides what a training run does, as frozen dataclasses. `recipe_toml` reads TOML."""

import dataclasses
import json
from dataclasses import dataclass, field, fields
from typing import Annotated

from mien.train.inputs.augment import Augment
from mien.train.inputs.camera import Camera
from mien.train.loss.settings import Loss
from mien.train.nets import FaceNet, Net, build_net
from mien.train.nets.heads import Head
from mien.train.nets.normalise import Normalise
from mien.train.nets.swift import Swift
from mien.train.optim.settings import Optim
from mien.train.settings import Interval, Settings, require


@dataclass(frozen=True)
class Recipe(Settings):
    """A whole training run except its faces. Raises RecipeError where a value does not fit."""

    seed: Annotated[int, Interval("[0, 4294967295]")] = 1
    net: Net = field(default_factory=Swift)
    head: Head = field(default_factory=Head)
    normalise: Normalise = field(default_factory=Normalise)
    loss: Loss = field(default_factory=Loss)
    augment: Augment = field(default_factory=Augment)
    camera: Camera = field(default_factory=Camera)
    optim: Optim = field(default_factory=Optim)

    def __post_init__(self) -> None:
        super().__post_init__()
        side, stages = min(self.optim.sides), len(self.net.widths)
        halves = f"each of the {stages} stages of {self.net.name} halves a face"
        require(
            side >= self.net.min_side,
            f"sides in optim.image_sizes must be {self.net.min_side} or more, since {halves}",
            side,
        )
        last = max(self.head.fuse, default=0)
        require(last < stages, f"head.fuse must count stages before the last of {stages}", self.head.fuse)
        mixed = self.loss.teacher_views and self.augment.mix != "none"
        require(not mixed, "loss.teacher_views needs augment.mix = none", self.augment.mix)
        linear = self.head.classifier == "linear"
        if self.loss.kind != "prototypical":
            message = "head.classifier other than linear needs loss.kind = prototypical"
            require(linear, message, self.head.classifier)
            return
        aux, mix = self.loss.aux_ferplus_weight, self.augment.mix
        require(not linear, "a prototypical loss needs head.classifier = euclidean or cosine", self.head.classifier)
        require(not aux, "a prototypical loss needs loss.aux_ferplus_weight = 0", aux)
        require(mix == "none", "a prototypical loss needs augment.mix = none", mix)

    def build_net(self, *, classes: int) -> FaceNet:
        """Build the net, its weights drawn from the seed."""
        return build_net(
            self.net,
            self.head,
            self.normalise,
            classes=classes,
            votes=self.loss.aux_ferplus_weight > 0,
            question=self.loss.question,
            seed=self.seed,
        )

    def to_toml(self) -> str:
        """The recipe as TOML text that `load_recipe` reads back to an equal recipe."""
        lines = [f"seed = {self.seed}"]
        for section in fields(self)[1:]:
            lines += ["", f"[{section.name}]"]
            content = dataclasses.asdict(getattr(self, section.name))
            lines += [f"{key} = {_toml(value)}" for key, value in content.items()]
        return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """A value as TOML: as JSON, whose texts may have a DEL that TOML's may not."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
