"""The networks: `NETS` names them, `build_net` makes one whole, from raw pixels to logits."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.labels import VOTES
from mien.train.nets.backbone import Body
from mien.train.nets.heads import HeadNet
from mien.train.nets.normalise import SetNormalise, make_normaliser
from mien.train.nets.plain import AlexNetBody, CnnBody, VggBody
from mien.train.nets.resnet import ResNetBody
from mien.train.nets.swift import SwiftBody
from mien.train.recipe import Recipe

# What makes the body of each net from its part of the recipe.
NETS: dict[str, Callable[[Any], Body]] = {
    "swift": SwiftBody,
    "resnet18": ResNetBody,
    "resnet34": ResNetBody,
    "cnn": CnnBody,
    "vgg": VggBody,
    "alexnet": AlexNetBody,
}


class FaceNet(nn.Module):
    """(N, 1, S, S) float32 in 0 to 255 -> (N, classes) logits: normalisation is part of the net.

    While it trains, the outputs of an auxiliary task follow behind the classes', and a net of prototypes gives its
    features instead.
    """

    def __init__(self, how: Recipe, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.normalise = make_normaliser(how.normalise)
        self.body = NETS[how.net.name](how.net)
        outputs = classes + (len(VOTES) if how.loss.auxiliary else 0)
        self.head = HeadNet(how.head, widths=self.body.widths, outputs=outputs)

    def forward(self, faces: Tensor) -> Tensor:
        outputs: Tensor = self.head(self._maps(faces))
        return outputs if self.training else outputs[:, : self.classes]

    def features(self, faces: Tensor) -> Tensor:
        """(N, 1, S, S) float32 -> (N, D): what the last layer classifies."""
        return self.head.features(self._maps(faces))

    def measure(self, images: Tensor) -> None:
        """Normalise by the moments of these (N, S, S) uint8 faces, where the recipe leaves them to be measured."""
        if isinstance(self.normalise, SetNormalise) and self.normalise.how.by == "train":
            self.normalise.measure(images)

    def _maps(self, faces: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.body(self.normalise(faces))
        return maps


def build_net(how: Recipe, *, classes: int) -> FaceNet:
    """The net that a recipe describes, its weights drawn from the recipe's seed.

    Raises RecipeError where the net cannot take the recipe's sizes of faces, or has not the stages that the head fuses.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(how.seed)
        net = FaceNet(how, classes)
    side = min(side for side, _ in how.optim.sizes)
    if side < net.body.least_side:
        raise RecipeError(
            f"optim.sizes must be {net.body.least_side} pixels or more, got {side}: each of the {len(net.body.widths)}"
            f" stages of {how.net.name} halves a face"
        )
    for weight in net.parameters():
        if weight.ndim == 4:  # channels last: the order in which processors convolve fastest
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return net
