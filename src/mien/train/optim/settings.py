"""A recipe's [optim]."""

from dataclasses import dataclass
from typing import Annotated, Literal

from mien.train.settings import Interval, Settings, require

Epochs = Annotated[int, Interval("[1, 1000000]")]
Below1 = Annotated[float, Interval("[0, 1)")]
SideAndShare = tuple[Annotated[int, Interval("[16, 96]")], Annotated[float, Interval("(0, 1]")]]


@dataclass(frozen=True)
class Optim(Settings, section="optim"):
    """The optimizer, its schedule, and what else decides how the weights move."""

    name: Literal["sgd", "adam", "adamw", "muon"] = "sgd"
    epochs: Epochs = 36
    batch: Annotated[int, Interval("[2, 65536]")] = 128  # faces
    lr: Annotated[float, Interval("(0, 100]")] = 0.12  # the highest learning rate
    schedule: Literal["constant", "linear", "cosine", "step", "restarts", "one-cycle", "plateau"] = "cosine"
    warmup: Below1 = 0.1  # share of the training in which the learning rate climbs from 0; for one-cycle 0 means 0.3
    step_epochs: Epochs = 9  # step: epochs between two falls
    restart_epochs: Epochs = 9  # restarts: epochs of each cosine
    plateau_patience: Epochs = 9  # plateau: epochs without a better validation accuracy before a fall
    gamma: Annotated[float, Interval("(0, 1)")] = 0.4  # step, plateau: what the learning rate is multiplied by
    momentum: Below1 = 0.9  # of adam and adamw: their first beta
    nesterov: bool = True
    weight_decay: Annotated[float, Interval("[0, 10]")] = 1e-3
    decay_all: bool = False  # also norms and biases, which are spared otherwise
    max_grad_norm: Annotated[float, Interval("[0, 1e6]")] = 0.0  # longest gradient, over all weights; 0: no limit
    ema: Below1 = (
        0.998  # the model is this moving average of the weights, taken at each step; 0: the weights themselves
    )
    image_sizes: Annotated[tuple[SideAndShare, ...], Interval("[1, 100]")] = ((48, 1.0),)  # sides in pixels, in order
    # Share of the train faces that are held back, to choose the epoch by them and not by the valid faces.
    hold_out: Annotated[float, Interval("[0, 0.5]")] = 0.0
    early_stop_patience: Annotated[int, Interval("[0, 1000000]")] = 0  # epochs without a better one; 0: never stop
    # bf16-mixed: nearly twice as fast where the processor has bfloat16; auto: that there, elsewhere 32-true
    precision: Literal["32-true", "16-mixed", "bf16-mixed", "auto"] = "32-true"

    def __post_init__(self) -> None:
        super().__post_init__()
        total = sum(share for _, share in self.image_sizes)
        require(abs(total - 1) < 1e-6, "the shares in optim.image_sizes must sum to 1", total)

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides that faces have, in pixels, each once, in order."""
        return tuple(dict.fromkeys(side for side, _ in self.image_sizes))
