"""A recipe: everything that decides what a training run does, as frozen dataclasses. `spelling` reads TOML."""

import dataclasses
import json
import math
from dataclasses import dataclass, field, fields
from typing import Literal

from mien.errors import RecipeError


@dataclass(frozen=True)
class Swift:
    """Our small residual net (`nets/swift.py`)."""

    name: Literal["swift"] = "swift"
    widths: tuple[int, ...] = (40, 80, 160, 320)  # channels of each stage; a stage has half the side of the one before
    blocks: int = 2  # residual blocks a stage
    stem_side: int = 5  # pixels: side of the first convolution's filters
    stem_stride: int = 2  # pixels: 2 halves the face at once
    squeeze: int = 8  # squeeze-and-excitation: channels over this in its middle layer; 0: none
    activation: Literal["relu", "silu", "gelu", "hardswish"] = "relu"
    dropout: float = 0.0  # between the convolutions of a block

    def __post_init__(self) -> None:
        _check_net(self.widths, self.dropout)
        _check(self.blocks > 0, "net.blocks must be 1 or more", self.blocks)
        _check(self.stem_side in (3, 5, 7, 9), "net.stem_side must be 3, 5, 7 or 9", self.stem_side)
        _check(self.stem_stride in (1, 2), "net.stem_stride must be 1 or 2", self.stem_stride)
        _check(self.squeeze >= 0, "net.squeeze must be 0 or more", self.squeeze)


@dataclass(frozen=True)
class ResNet:
    """ResNet-18 or ResNet-34, as torchvision has them, for one channel (`nets/resnet.py`)."""

    name: Literal["resnet18", "resnet34"] = "resnet18"
    stem: Literal["7x7", "3x3"] = "7x7"  # 7x7: stride 2, then a pool of stride 2; 3x3: stride 1 and no pool
    dropout: float = 0.0  # between the convolutions of a block

    def __post_init__(self) -> None:
        _check_net((64,), self.dropout)


@dataclass(frozen=True)
class Cnn:
    """A plain convolutional net: a 3x3 convolution and a pool a stage (`nets/plain.py`)."""

    name: Literal["cnn"] = "cnn"
    widths: tuple[int, ...] = (32, 64, 128)  # channels of each stage
    norm: bool = True  # batch normalisation behind each convolution
    dropout: float = 0.0  # behind each stage

    def __post_init__(self) -> None:
        _check_net(self.widths, self.dropout)


@dataclass(frozen=True)
class Vgg:
    """VGG: several 3x3 convolutions and a pool a stage; by default the four stages of Khaireddin and Chen (2021)."""

    name: Literal["vgg"] = "vgg"
    widths: tuple[int, ...] = (64, 128, 256, 512)  # channels of each stage
    convolutions: int = 2  # a stage
    norm: bool = True  # batch normalisation behind each convolution
    dropout: float = 0.0  # behind each stage

    def __post_init__(self) -> None:
        _check_net(self.widths, self.dropout)
        _check(self.convolutions > 0, "net.convolutions must be 1 or more", self.convolutions)


@dataclass(frozen=True)
class AlexNet:
    """AlexNet's five convolutions, for small grey faces (`nets/plain.py`)."""

    name: Literal["alexnet"] = "alexnet"
    norm: bool = False  # batch normalisation behind each convolution
    dropout: float = 0.0  # behind each pool

    def __post_init__(self) -> None:
        _check_net((64,), self.dropout)


Net = Swift | ResNet | Cnn | Vgg | AlexNet


@dataclass(frozen=True)
class Head:
    """From the maps of the net's stages to the scores of the classes.

    The last stage's maps are averaged, or cut into grid x grid parts of which each is averaged, mixed with those of
    other stages, taken through hidden layers, and classified.
    """

    grid: int = 1  # parts across and down
    fuse: tuple[int, ...] = ()  # other stages, counted from 1, whose pooled features are mixed with the last stage's
    fuse_weights: Literal["fixed", "learned"] = "fixed"  # a weighted mean either way
    fuse_share: float = 0.5  # of the mixture, for the other stages together; where learned, at the start
    hidden: tuple[int, ...] = ()  # widths of fully connected layers before the last: one makes 2 layers, two make 3
    dropout: float = 0.3  # before each fully connected layer
    classify: Literal["linear", "euclidean", "cosine"] = "linear"  # the others: nearness to each class's prototype
    scale: float = 10.0  # what the cosine is multiplied by

    def __post_init__(self) -> None:
        _check(1 <= self.grid <= 12, "head.grid must be in [1, 12]", self.grid)
        _check(all(stage > 0 for stage in self.fuse), "head.fuse must count stages from 1", self.fuse)
        _check(0 <= self.fuse_share <= 1, "head.fuse_share must be in [0, 1]", self.fuse_share)
        fixed = self.fuse_weights == "fixed"
        _check(fixed or 0 < self.fuse_share < 1, "a learned head.fuse_share must start in (0, 1)", self.fuse_share)
        _check(all(width > 0 for width in self.hidden), "head.hidden must be positive numbers", self.hidden)
        _check(0 <= self.dropout < 1, "head.dropout must be in [0, 1)", self.dropout)
        _check(self.scale > 0, "head.scale must be over 0", self.scale)


@dataclass(frozen=True)
class Normalise:
    """What happens to a face's pixels first: brought to a mean and a standard deviation."""

    by: Literal["face", "fixed", "train"] = (
        "face"  # each face's own figures; those of FER2013's training faces; those measured on this run's train faces
    )
    mean: float = 0.0  # what they are brought to
    std: float = 1.0
    equalise: bool = False  # before that: spread each face's grey levels evenly (histogram equalisation)

    def __post_init__(self) -> None:
        _check(self.std > 0, "normalise.std must be over 0", self.std)


@dataclass(frozen=True)
class Loss:
    """What is minimised, in nats."""

    kind: Literal["cross-entropy", "prototypical"] = "cross-entropy"  # prototypical: episodes (Snell et al., 2017)
    smoothing: float = 0.1  # this share of each target is spread evenly over other classes (Szegedy et al., 2016)
    smoothing_over: Literal["all", "wrong"] = "all"  # all K classes get smoothing/K; or K - 1 get smoothing/(K - 1)
    class_weights: Literal["none", "inverse", "sqrt"] | tuple[float, ...] = "none"  # by a class's count, or one a class
    votes: float = 0.0  # share of the FER+ annotators' votes in the target; the label has the rest
    auxiliary: float = 0.0  # weight of the loss of a second output, on all ten kinds of FER+ votes, only in training
    teachers: tuple[str, ...] = ()  # models by name or file, whose mean is mixed into the target; or a file of scores
    teacher_share: float = 0.5  # of the target
    teacher_temperature: float = 1.0  # over 1 softens the teacher's probabilities, and the net's against them
    teacher_views: int = 0  # 0: teachers are heard of each face as it is; else of this many augmented versions of it
    teacher_votes: bool = False  # teach each label's chance, given the FER+ votes and what teachers say
    support: int = 5  # prototypical: faces of each class that make its prototype
    queries: int = 10  # prototypical: faces of each class that are classified; a batch is all of these, not optim.batch

    def __post_init__(self) -> None:
        _check(0 <= self.smoothing < 1, "loss.smoothing must be in [0, 1)", self.smoothing)
        for name in ("votes", "teacher_share"):
            _check(0 <= getattr(self, name) <= 1, f"loss.{name} must be in [0, 1]", getattr(self, name))
        _check(self.auxiliary >= 0, "loss.auxiliary must be 0 or more", self.auxiliary)
        _check(self.teacher_temperature > 0, "loss.teacher_temperature must be over 0", self.teacher_temperature)
        _check(self.teacher_views >= 0, "loss.teacher_views must be 0 or more", self.teacher_views)
        _check(
            not (self.teacher_views and self.teacher_votes),
            "loss.teacher_votes judges faces as they are and needs loss.teacher_views = 0",
            self.teacher_views,
        )
        for name in ("support", "queries"):
            _check(getattr(self, name) > 0, f"loss.{name} must be 1 or more", getattr(self, name))
        if isinstance(self.class_weights, tuple):
            least = min(self.class_weights, default=-1.0)
            _check(least >= 0, "loss.class_weights must be 0 or more, one a class", self.class_weights)
            _check(max(self.class_weights) > 0, "one of loss.class_weights must be over 0", self.class_weights)


@dataclass(frozen=True)
class Augment:
    """What happens to each training face, anew in each epoch. All zero: nothing."""

    pad_crop: float = 0.0  # probability that a face is padded and cut out of that at a place drawn evenly
    pad: int = 2  # pixels of black around a 48-pixel face
    crop: int = 48  # side in pixels of what is cut out, then brought back to the face's size
    mirror: float = 0.5  # probability of a left-right flip
    rotate_degrees: float = 15.0  # drawn evenly from -this to +this
    scale: float = 0.15  # factor drawn evenly from 1 - this to 1 + this
    shift_pixels: float = 3.0  # across and down, of a 48-pixel face
    contrast: float = 0.4  # factor about the face's mean, from 1 - this to 1 + this
    brightness: float = 0.0  # factor, from 1 - this to 1 + this
    erase: float = 0.5  # probability that a square is replaced by the face's mean (Zhong et al., 2020)
    erase_side: float = 0.35  # side of that square, as a share of the face's
    mix: Literal["none", "mixup", "cutmix"] = "none"  # faces in pairs, and their targets (Zhang 2018; Yun 2019)
    mix_probability: float = 0.5  # of each batch
    mix_alpha: float = 0.2  # the share is drawn from Beta(this, this)
    repeats: int = 1  # each face of a batch appears this many times, each time augmented anew (Hoffer et al., 2020)

    def __post_init__(self) -> None:
        for name in ("pad_crop", "mirror", "erase", "erase_side", "mix_probability"):
            _check(0 <= getattr(self, name) <= 1, f"augment.{name} must be in [0, 1]", getattr(self, name))
        for name in ("scale", "contrast", "brightness"):
            _check(0 <= getattr(self, name) < 1, f"augment.{name} must be in [0, 1)", getattr(self, name))
        for name in ("rotate_degrees", "shift_pixels", "pad"):
            _check(getattr(self, name) >= 0, f"augment.{name} must be 0 or more", getattr(self, name))
        _check(16 <= self.crop <= 48 + 2 * self.pad, "augment.crop must be 16 to 48 + 2 x pad", self.crop)
        _check(self.mix_alpha > 0, "augment.mix_alpha must be over 0", self.mix_alpha)
        _check(self.repeats > 0, "augment.repeats must be 1 or more", self.repeats)


@dataclass(frozen=True)
class Optim:
    """How the weights move."""

    name: Literal["sgd", "adam", "adamw", "muon"] = "sgd"
    epochs: int = 36
    batch: int = 128  # faces
    lr: float = 0.12  # the highest learning rate
    schedule: Literal["constant", "linear", "cosine", "step", "restarts", "one-cycle", "plateau"] = "cosine"
    warmup: float = 0.1  # share of the training in which the learning rate climbs from 0; for one-cycle 0 means 0.3
    every: int = 9  # epochs: between the falls of step, the restarts, and how long plateau waits without a better one
    factor: float = 0.4  # what the learning rate is multiplied by at a fall of step and plateau
    momentum: float = 0.9  # of adam and adamw: their first beta
    nesterov: bool = True
    weight_decay: float = 1e-3
    decay_all: bool = False  # also norms and biases, which are spared otherwise
    clip: float = 0.0  # longest gradient, over all weights together; 0: no limit
    ema: float = 0.998  # the model is this moving average of the weights, taken at each step; 0: the weights themselves
    tail: float = 0.0  # share of the training, at its end, in which the model is the plain mean of the weights instead
    sharpness: float = 0.0  # each step is by the gradient this far uphill (SAM, Foret et al., 2021), for twice the time
    sizes: tuple[tuple[int, float], ...] = ((48, 1.0),)  # (side in pixels, share of the epochs), in order
    patience: int = 0  # epochs without a better validation accuracy after which training ends early; 0: never
    # bf16-mixed: nearly twice as fast where the processor has bfloat16; auto: that there, elsewhere 32-true
    precision: Literal["32-true", "16-mixed", "bf16-mixed", "auto"] = "32-true"

    def __post_init__(self) -> None:
        _check(self.epochs > 0, "optim.epochs must be 1 or more", self.epochs)
        _check(self.batch > 1, "optim.batch must be 2 or more", self.batch)
        _check(self.lr > 0, "optim.lr must be over 0", self.lr)
        _check(self.every > 0, "optim.every must be 1 or more", self.every)
        _check(0 < self.factor < 1, "optim.factor must be in (0, 1)", self.factor)
        for name in ("weight_decay", "clip", "patience", "sharpness"):
            _check(getattr(self, name) >= 0, f"optim.{name} must be 0 or more", getattr(self, name))
        for name in ("warmup", "momentum", "ema", "tail"):
            _check(0 <= getattr(self, name) < 1, f"optim.{name} must be in [0, 1)", getattr(self, name))
        _check(bool(self.sizes), "optim.sizes must have one or more pairs of side and share", self.sizes)
        _check(all(16 <= side <= 96 for side, _ in self.sizes), "sides in optim.sizes must be 16 to 96", self.sizes)
        _check(all(share > 0 for _, share in self.sizes), "the shares in optim.sizes must be over 0", self.sizes)
        total = sum(share for _, share in self.sizes)
        _check(abs(total - 1) < 1e-6, "the shares in optim.sizes must sum to 1", total)


@dataclass(frozen=True)
class Recipe:
    """A whole training run but for its faces. Raises RecipeError where a value is out of range."""

    seed: int = 1
    net: Net = field(default_factory=Swift)
    head: Head = field(default_factory=Head)
    normalise: Normalise = field(default_factory=Normalise)
    loss: Loss = field(default_factory=Loss)
    augment: Augment = field(default_factory=Augment)
    optim: Optim = field(default_factory=Optim)

    def __post_init__(self) -> None:
        _check(0 <= self.seed < 1 << 32, "seed must be 0 to 4294967295", self.seed)
        for section in fields(self)[1:]:
            for key, value in dataclasses.asdict(getattr(self, section.name)).items():
                parts = value if isinstance(value, tuple) else (value,)
                finite = all(math.isfinite(part) for part in parts if isinstance(part, float))
                _check(finite, f"{section.name}.{key} must be a finite number", value)
        episodic = self.loss.kind == "prototypical"
        _check(
            not episodic or self.head.classify != "linear",
            "a prototypical loss needs head.classify = euclidean or cosine",
            self.head.classify,
        )
        _check(
            episodic or self.head.classify == "linear",
            "head.classify other than linear needs loss.kind = prototypical",
            self.head.classify,
        )
        loss, mix, repeats = "a prototypical loss needs", self.augment.mix, self.augment.repeats
        _check(not episodic or not self.loss.auxiliary, f"{loss} loss.auxiliary = 0", self.loss.auxiliary)
        _check(not episodic or mix == "none", f"{loss} augment.mix = none", mix)
        _check(not episodic or repeats == 1, f"{loss} augment.repeats = 1", repeats)

    def to_toml(self) -> str:
        """The recipe as TOML text that `load_recipe` reads back to an equal recipe."""
        lines = [f"seed = {self.seed}"]
        for section in fields(self)[1:]:
            lines += ["", f"[{section.name}]"]
            content = dataclasses.asdict(getattr(self, section.name))
            lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
        return "\n".join(lines) + "\n"


def _check_net(widths: tuple[int, ...], dropout: float) -> None:
    _check(len(widths) > 0 and min(widths) > 0, "net.widths must be one or more positive numbers", widths)
    _check(0 <= dropout < 1, "net.dropout must be in [0, 1)", dropout)


def _check(condition: bool, message: str, value: object) -> None:
    if not condition:
        raise RecipeError(f"{message}, got {value}")
