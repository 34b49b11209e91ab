"""Nets without shortcuts: a plain CNN, VGG and one like AlexNet."""

from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor, nn

from mien.train.nets.backbone import Backbone, Dropout, NetSettings, Widths
from mien.train.settings import Interval


class HalvingNet(NetSettings):
    """A net that halves a face in each stage."""

    @property
    def min_side(self) -> int:
        """The smallest side of a face, in pixels, that leaves the last stage's maps a pixel."""
        return 1 << len(self.widths)


@dataclass(frozen=True)
class Cnn(HalvingNet):
    """A plain convolutional net: a 3x3 convolution and a pool a stage."""

    name: Literal["cnn"] = "cnn"
    widths: Widths = (32, 64, 128)  # channels of each stage
    batch_norm: bool = True  # batch normalisation behind each convolution
    dropout: Dropout = 0.0  # behind each stage


@dataclass(frozen=True)
class Vgg(HalvingNet):
    """VGG: several 3x3 convolutions and a pool a stage; by default the four stages of Khaireddin and Chen (2021)."""

    name: Literal["vgg"] = "vgg"
    widths: Widths = (64, 128, 256, 512)  # channels of each stage
    convolutions: Annotated[int, Interval("[1, 8]")] = 2  # a stage
    batch_norm: bool = True  # batch normalisation behind each convolution
    dropout: Dropout = 0.0  # behind each stage


@dataclass(frozen=True)
class AlexNet(NetSettings):
    """AlexNet's five convolutions, for small grey faces."""

    name: Literal["alexnet"] = "alexnet"
    batch_norm: bool = False  # batch normalisation behind each convolution
    dropout: Dropout = 0.0  # behind each pool

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of each stage."""
        return (64, 192, 256)


class PlainBackbone(Backbone):
    """Stages one after the other, the maps of each kept; weights drawn as He et al. (2015) do for ReLU."""

    def __init__(self, stages: list[nn.Sequential], widths: tuple[int, ...]) -> None:
        super().__init__(widths)
        self.stages = nn.ModuleList(stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, faces: Tensor) -> list[Tensor]:
        maps, stages = faces, []
        for stage in self.stages:
            maps = stage(maps)
            stages.append(maps)
        return stages


class CnnBackbone(PlainBackbone):
    """(N, 1, S, S) float32, normalised -> the maps of each stage: a 3x3 convolution and a 2x2 pool."""

    def __init__(self, net: Cnn) -> None:
        super().__init__(_halving_stages(net, convolutions=1), net.widths)


class VggBackbone(PlainBackbone):
    """(N, 1, S, S) float32, normalised -> the maps of each stage: some 3x3 convolutions and a 2x2 pool.

    Simonyan and Zisserman (2015). The default four stages of two convolutions, with batch normalisation, are those of
    Khaireddin and Chen (2021), for FER2013; their head is `pool_grid = 2, hidden = [4096, 4096], dropout = 0.2`, on
    faces of 40 pixels.
    """

    def __init__(self, net: Vgg) -> None:
        super().__init__(_halving_stages(net, convolutions=net.convolutions), net.widths)


class AlexNetBackbone(PlainBackbone):
    """(N, 1, S, S) float32, normalised -> the maps of three stages, a side of 48 as 24, 12 and 6.

    The five convolutions of Krizhevsky et al. (2012), with the numbers of channels of Krizhevsky (2014), their sizes
    and strides cut down from 224 pixels to 48: 5x5, 5x5 and three of 3x3, a 3x3 pool of stride 2 where the original
    pools. No local response normalisation; batch normalisation by choice.
    """

    def __init__(self, net: AlexNet) -> None:
        def stage(*convolutions: tuple[int, int, int]) -> nn.Sequential:
            layers = nn.Sequential()
            for before, after, kernel in convolutions:
                layers.extend(_convolution(before, after, kernel=kernel, batch_norm=net.batch_norm))
            return layers.extend((nn.MaxPool2d(3, 2, 1), nn.Dropout2d(net.dropout)))

        stages = [stage((1, 64, 5)), stage((64, 192, 5)), stage((192, 384, 3), (384, 256, 3), (256, 256, 3))]
        super().__init__(stages, net.widths)


def _halving_stages(net: Cnn | Vgg, *, convolutions: int) -> list[nn.Sequential]:
    """Make stages of some 3x3 convolutions and a 2x2 pool each."""
    stages, before = [], 1
    for width in net.widths:
        layers = nn.Sequential()
        for _ in range(convolutions):
            layers.extend(_convolution(before, width, kernel=3, batch_norm=net.batch_norm))
            before = width
        stages.append(layers.extend((nn.MaxPool2d(2), nn.Dropout2d(net.dropout))))
    return stages


def _convolution(before: int, after: int, *, kernel: int, batch_norm: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, 1, kernel // 2, bias=not batch_norm)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU()] if batch_norm else [convolution, nn.ReLU()]
