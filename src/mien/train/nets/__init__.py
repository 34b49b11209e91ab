"""The networks: `NETS` names them, `FaceNet` is one whole, from raw pixels to logits."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.labels import VOTES
from mien.train.nets.backbone import Backbone
from mien.train.nets.facenet import FaceNet29, FaceNetBackbone
from mien.train.nets.heads import Head, HeadNet
from mien.train.nets.normalise import Normalise, SetNormalise, make_normaliser
from mien.train.nets.plain import AlexNet, AlexNetBackbone, Cnn, CnnBackbone, Vgg, VggBackbone
from mien.train.nets.resnet import ResNet, ResNetBackbone
from mien.train.nets.swift import Swift, SwiftBackbone

Net = Swift | ResNet | Cnn | Vgg | AlexNet | FaceNet29

Question = Literal["fer2013", "ferplus"]  # a key of mien.labels.QUESTIONS

MOST_WEIGHTS = 500_000_000


class NetKind(NamedTuple):
    """A net's settings, and what makes its backbone from them."""

    settings: type[Net]
    backbone: Callable[[Any], Backbone]


NETS = {
    "swift": NetKind(Swift, SwiftBackbone),
    "resnet18": NetKind(ResNet, ResNetBackbone),
    "resnet34": NetKind(ResNet, ResNetBackbone),
    "cnn": NetKind(Cnn, CnnBackbone),
    "vgg": NetKind(Vgg, VggBackbone),
    "alexnet": NetKind(AlexNet, AlexNetBackbone),
    "facenet29": NetKind(FaceNet29, FaceNetBackbone),
}


class FaceNet(nn.Module):
    """(N, 1, S, S) float32 in 0 to 255 -> (N, classes) logits: normalisation is part of the net.

    votes:    whether the net has a second output for the ten kinds of FER+ votes, which follows the classes' while it
              trains.
    question: which output answers when it does not train; "ferplus": the second one's first seven.

    A net of prototypes gives its features while it trains.
    """

    def __init__(
        self,
        net: Net,
        head: Head,
        normalise: Normalise,
        *,
        classes: int,
        votes: bool = False,
        question: Question = "fer2013",
    ) -> None:
        super().__init__()
        self.answer = answer_columns(question, classes=classes)
        self.normalise = make_normaliser(normalise)
        self.backbone = NETS[net.name].backbone(net)
        outputs = classes + (len(VOTES) if votes else 0)
        self.head = HeadNet(head, widths=self.backbone.widths, outputs=outputs)

    def forward(self, faces: Tensor) -> Tensor:
        outputs: Tensor = self.head(self._maps(faces))
        return outputs if self.training else outputs[:, self.answer]

    def features(self, faces: Tensor) -> Tensor:
        """(N, 1, S, S) float32 -> (N, D): what the last layer classifies."""
        return self.head.features(self._maps(faces))

    def measure(self, images: Tensor) -> None:
        """Normalise by the moments of these (N, S, S) uint8 faces, if the recipe says that they are measured."""
        if isinstance(self.normalise, SetNormalise) and self.normalise.by == "train":
            self.normalise.measure(images)

    def _maps(self, faces: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.backbone(self.normalise(faces))
        return maps


def answer_columns(question: Question, *, classes: int) -> slice:
    """The columns of a net's outputs that answer a question; the kinds of votes begin with the classes."""
    return slice(classes, 2 * classes) if question == "ferplus" else slice(classes)


def build_net(
    net: Net,
    head: Head,
    normalise: Normalise,
    *,
    classes: int,
    votes: bool = False,
    question: Question = "fer2013",
    seed: int = 1,
) -> FaceNet:
    """Build a net whose weights are drawn from a seed.

    Raises
    ------
    RecipeError
        Where the net would have too many weights.
    """
    with torch.device("meta"):  # builds it without its numbers
        weights = sum(weight.numel() for weight in FaceNet(net, head, normalise, classes=classes).parameters())
    if weights > MOST_WEIGHTS:
        raise RecipeError(f"a net must have at most {MOST_WEIGHTS:,} weights, got {weights:,}: make net.widths smaller")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = FaceNet(net, head, normalise, classes=classes, votes=votes, question=question)
    for weight in built.parameters():
        if weight.ndim == 4:  # channels last: the order in which processors convolve fastest
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return built
