"""swift: our small residual net. A 5x5 stride-2 stem halves the face at once, where most nets spend most of their time.

Residual blocks: He et al. (2016), with the shortcut's average pooling of He et al. (2019); squeeze-and-excitation: Hu
et al. (2018).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor, nn
from torch.nn import functional

from mien.train.nets.backbone import Backbone, Dropout, NetSettings, Widths
from mien.train.settings import Interval, require


@dataclass(frozen=True)
class Swift(NetSettings):
    """Our small residual net."""

    name: Literal["swift"] = "swift"
    widths: Widths = (40, 80, 160, 320)  # channels of each stage; a stage has half the side of the one before
    blocks: Annotated[int, Interval("[1, 32]")] = 2  # residual blocks a stage
    stem_kernel: int = 5  # pixels: side of the first convolution's filters
    stem_stride: Annotated[int, Interval("[1, 2]")] = 2  # pixels: 2 halves the face at once
    se_ratio: Annotated[int, Interval("[0, 4096]")] = 8  # squeeze-and-excitation: channels over this; 0: none
    activation: Literal["relu", "silu", "gelu", "hardswish"] = "relu"
    dropout: Dropout = 0.0  # between the convolutions of a block

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.stem_kernel in (3, 5, 7, 9), "net.stem_kernel must be 3, 5, 7 or 9", self.stem_kernel)


class GlobalMean(nn.Module):
    """(N, C, H, W) -> (N, C, 1, 1), the mean of each map; a single node in ONNX."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3), keepdim=True)


class AveragePool(nn.Module):
    """(N, C, H, W) -> the means of squares; where a side is no multiple of theirs, the last ones are cut off.

    ONNX Runtime has a fast kernel for whole squares only, so the graph asks for cut ones only where there are some.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, maps: Tensor) -> Tensor:
        cut = any(side % self.side for side in maps.shape[-2:])
        return functional.avg_pool2d(maps, self.side, ceil_mode=cut)


class SqueezeExcitation(nn.Module):
    """Weigh each channel by a number that a small net computes from the means of all channels."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        middle = max(8, channels // ratio)
        self.weigh = nn.Sequential(
            GlobalMean(),
            nn.Conv2d(channels, middle, 1),
            nn.ReLU(),
            nn.Conv2d(middle, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, maps: Tensor) -> Tensor:
        weighed: Tensor = maps * self.weigh(maps)
        return weighed


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "hardswish": nn.Hardswish,
}


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut around them."""

    def __init__(self, before: int, after: int, *, stride: int, net: Swift) -> None:
        super().__init__()
        last_norm = nn.BatchNorm2d(after)
        nn.init.zeros_(last_norm.weight)  # each block begins as its shortcut (Goyal et al., 2017)
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            ACTIVATIONS[net.activation](),
            nn.Dropout(net.dropout),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            last_norm,
            SqueezeExcitation(after, net.se_ratio) if net.se_ratio else nn.Identity(),
        )
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(AveragePool(stride))
        if before != after:
            self.shortcut.extend((nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after)))
        self.activation = ACTIVATIONS[net.activation]()

    def forward(self, maps: Tensor) -> Tensor:
        summed: Tensor = self.activation(self.body(maps) + self.shortcut(maps))
        return summed


class SwiftBackbone(Backbone):
    """(N, 1, S, S) float32, normalised, for any side S of 16 or more -> the maps of each stage."""

    def __init__(self, net: Swift) -> None:
        super().__init__(net.widths)
        first = before = net.widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, net.stem_kernel, net.stem_stride, net.stem_kernel // 2, bias=False),
            nn.BatchNorm2d(first),
            ACTIVATIONS[net.activation](),
        )
        self.stages = nn.ModuleList()
        for stage, width in enumerate(net.widths):
            blocks = nn.Sequential()
            for block in range(net.blocks):
                blocks.append(Block(before, width, stride=2 if stage and not block else 1, net=net))
                before = width
            self.stages.append(blocks)

    def forward(self, faces: Tensor) -> list[Tensor]:
        maps, stages = self.stem(faces), []
        for stage in self.stages:
            maps = stage(maps)
            stages.append(maps)
        return stages
