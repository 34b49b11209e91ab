"""ResNet-18 and ResNet-34 (He et al., 2016): layer for layer torchvision's, for one channel.

The parameters bear torchvision's names, so that its weights can be copied over; only the last layer is the head's.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.train.nets.backbone import Backbone, Dropout, NetSettings
from mien.train.settings import Interval, require

_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


@dataclass(frozen=True)
class ResNet(NetSettings):
    """ResNet-18 or ResNet-34. The stem is torchvision's by default; for small faces 3x3, without a pool, is better."""

    name: Literal["resnet18", "resnet34"] = "resnet18"
    stem_kernel: int = 7  # pixels: side of the first convolution's filters
    stem_stride: Annotated[int, Interval("[1, 2]")] = 2  # pixels: 2 halves the face at once
    stem_pool: bool = True  # a 3x3 pool of stride 2 behind the first convolution
    dropout: Dropout = 0.0  # between the convolutions of a block

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.stem_kernel in (3, 5, 7), "net.stem_kernel must be 3, 5 or 7", self.stem_kernel)

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of each stage."""
        return (64, 128, 256, 512)


class Convolution(nn.Conv2d):
    """A 3x3 convolution with a padding of 1; where its output is one pixel, a product with the filters' part inside.

    The last layer's maps of a face of 32 pixels are one pixel wide, and torch would multiply by the padding, too.
    """

    def __init__(self, before: int, after: int, *, stride: int) -> None:
        super().__init__(before, after, 3, stride, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        high, wide = maps.shape[-2:]
        if max(high, wide) > self.stride[0]:
            return super().forward(maps)
        inside = self.weight[:, :, 1 : 1 + high, 1 : 1 + wide]
        return functional.linear(maps.flatten(1), inside.flatten(1))[:, :, None, None]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them, through a 1x1 convolution where the shape changes."""

    def __init__(self, before: int, after: int, *, stride: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = Convolution(before, after, stride=stride)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = Convolution(after, after, stride=1)
        self.bn2 = nn.BatchNorm2d(after)
        self.dropout = nn.Dropout(dropout)
        self.downsample = None
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = maps if self.downsample is None else self.downsample(maps)
        inner = self.dropout(torch.relu(self.bn1(self.conv1(maps))))
        return torch.relu(self.bn2(self.conv2(inner)) + shortcut)


class ResNetBackbone(Backbone):
    """(N, 1, S, S) float32, normalised -> the maps of the four layers, of 64, 128, 256 and 512 channels."""

    def __init__(self, net: ResNet) -> None:
        super().__init__(net.widths)
        self.conv1 = nn.Conv2d(1, 64, net.stem_kernel, net.stem_stride, net.stem_kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if net.stem_pool else nn.Identity()
        before = 64
        for number, (width, count) in enumerate(zip(self.widths, _BLOCKS[net.name], strict=True), start=1):
            layer = nn.Sequential()
            for block in range(count):
                stride = 2 if number > 1 and not block else 1
                layer.append(BasicBlock(before, width, stride=stride, dropout=net.dropout))
                before = width
            self.add_module(f"layer{number}", layer)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, faces: Tensor) -> list[Tensor]:
        maps, stages = self.maxpool(torch.relu(self.bn1(self.conv1(faces)))), []
        for number in range(1, 5):
            maps = self.stage(number)(maps)
            stages.append(maps)
        return stages

    def stage(self, number: int) -> nn.Module:
        """Return a layer, under torchvision's name."""
        return self.get_submodule(f"layer{number}")
