"""Nets without shortcuts: a plain CNN, VGG and one like AlexNet."""

from torch import Tensor, nn

from mien.train.nets.body import Body
from mien.train.recipe import AlexNet, Cnn, Vgg


class PlainBody(Body):
    """Stages one after the other, the maps of each kept."""

    def __init__(self, stages: list[nn.Sequential], widths: tuple[int, ...]) -> None:
        super().__init__(widths)
        self.stages = nn.ModuleList(stages)

    def forward(self, faces: Tensor) -> list[Tensor]:
        maps, stages = faces, []
        for stage in self.stages:
            maps = stage(maps)
            stages.append(maps)
        return stages


class CnnBody(PlainBody):
    """(N, 1, S, S) float32, normalised -> the maps of each stage: a 3x3 convolution and a 2x2 pool."""

    def __init__(self, how: Cnn) -> None:
        stages = [
            _stage(before, width, convolutions=1, norm=how.norm, dropout=how.dropout)
            for before, width in zip((1, *how.widths), how.widths, strict=False)
        ]
        super().__init__(stages, how.widths)


class VggBody(PlainBody):
    """(N, 1, S, S) float32, normalised -> the maps of each stage: some 3x3 convolutions and a 2x2 pool.

    Simonyan and Zisserman (2015); in four stages of two convolutions Khaireddin and Chen (2021), for FER2013.
    """

    def __init__(self, how: Vgg) -> None:
        stages = [
            _stage(before, width, convolutions=how.convolutions, norm=how.norm, dropout=how.dropout)
            for before, width in zip((1, *how.widths), how.widths, strict=False)
        ]
        super().__init__(stages, how.widths)


class AlexNetBody(PlainBody):
    """(N, 1, S, S) float32, normalised -> the maps of three stages, a side of 48 as 24, 12 and 6.

    The five convolutions of Krizhevsky et al. (2012), their numbers of channels kept, their sizes and strides cut down
    from 224 pixels to 48: 5x5, 5x5 and three of 3x3, a 3x3 pool of stride 2 where the original pools.
    """

    def __init__(self, how: AlexNet) -> None:
        def convolution(before: int, after: int, side: int) -> list[nn.Module]:
            return [nn.Conv2d(before, after, side, 1, side // 2), nn.ReLU()]

        def pool() -> list[nn.Module]:
            return [nn.MaxPool2d(3, 2, 1), nn.Dropout2d(how.dropout)]

        first = nn.Sequential(*convolution(1, 64, 5), *pool())
        second = nn.Sequential(*convolution(64, 192, 5), *pool())
        third = nn.Sequential(*convolution(192, 384, 3), *convolution(384, 256, 3), *convolution(256, 256, 3), *pool())
        super().__init__([first, second, third], (64, 192, 256))


def _stage(before: int, after: int, *, convolutions: int, norm: bool, dropout: float) -> nn.Sequential:
    layers = nn.Sequential()
    for _ in range(convolutions):
        layers.append(nn.Conv2d(before, after, 3, 1, 1, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU())
        before = after
    layers.extend((nn.MaxPool2d(2), nn.Dropout2d(dropout)))
    return layers
