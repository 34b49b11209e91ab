"""Nets without shortcuts: a plain CNN, VGG and one like AlexNet."""

from torch import Tensor, nn

from mien.train.nets.backbone import Body
from mien.train.recipe import AlexNet, Cnn, Vgg


class PlainBody(Body):
    """Stages one after the other, the maps of each kept; weights drawn as He et al. (2015) do for ReLU."""

    def __init__(self, stages: list[nn.Sequential], widths: tuple[int, ...], *, least_side: int) -> None:
        super().__init__(widths, least_side=least_side)
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


class CnnBody(PlainBody):
    """(N, 1, S, S) float32, normalised -> the maps of each stage: a 3x3 convolution and a 2x2 pool."""

    def __init__(self, how: Cnn) -> None:
        super().__init__(_halving(how, convolutions=1), how.widths, least_side=2 ** len(how.widths))


class VggBody(PlainBody):
    """(N, 1, S, S) float32, normalised -> the maps of each stage: some 3x3 convolutions and a 2x2 pool.

    Simonyan and Zisserman (2015). The default four stages of two convolutions, with batch normalisation, are those of
    Khaireddin and Chen (2021), for FER2013; their head is `grid = 2, hidden = [4096, 4096], dropout = 0.2`, on faces of
    40 pixels.
    """

    def __init__(self, how: Vgg) -> None:
        super().__init__(_halving(how, convolutions=how.convolutions), how.widths, least_side=2 ** len(how.widths))


class AlexNetBody(PlainBody):
    """(N, 1, S, S) float32, normalised -> the maps of three stages, a side of 48 as 24, 12 and 6.

    The five convolutions of Krizhevsky et al. (2012), with the numbers of channels of Krizhevsky (2014), their sizes
    and strides cut down from 224 pixels to 48: 5x5, 5x5 and three of 3x3, a 3x3 pool of stride 2 where the original
    pools. No local response normalisation; batch normalisation by choice.
    """

    def __init__(self, how: AlexNet) -> None:
        def stage(*convolutions: tuple[int, int, int]) -> nn.Sequential:
            layers = nn.Sequential()
            for before, after, side in convolutions:
                layers.extend(_convolution(before, after, side=side, norm=how.norm))
            return layers.extend((nn.MaxPool2d(3, 2, 1), nn.Dropout2d(how.dropout)))

        stages = [stage((1, 64, 5)), stage((64, 192, 5)), stage((192, 384, 3), (384, 256, 3), (256, 256, 3))]
        super().__init__(stages, (64, 192, 256), least_side=1)


def _halving(how: Cnn | Vgg, *, convolutions: int) -> list[nn.Sequential]:
    """Stages of some 3x3 convolutions and a 2x2 pool each."""
    stages, before = [], 1
    for width in how.widths:
        layers = nn.Sequential()
        for _ in range(convolutions):
            layers.extend(_convolution(before, width, side=3, norm=how.norm))
            before = width
        stages.append(layers.extend((nn.MaxPool2d(2), nn.Dropout2d(how.dropout))))
    return stages


def _convolution(before: int, after: int, *, side: int, norm: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, side, 1, side // 2, bias=not norm)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU()] if norm else [convolution, nn.ReLU()]
