"""ResNet-18 and ResNet-34 (He et al., 2016): layer for layer torchvision's, for one channel.

The parameters bear torchvision's names, so that its weights can be copied over, but for the last layer, which is the
head's.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.train.nets.backbone import Body
from mien.train.recipe import ResNet

_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


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


class ResNetBody(Body):
    """(N, 1, S, S) float32, normalised -> the maps of the four layers, of 64, 128, 256 and 512 channels."""

    def __init__(self, how: ResNet) -> None:
        super().__init__((64, 128, 256, 512))
        wide = how.stem == "7x7"
        self.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False) if wide else nn.Conv2d(1, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if wide else nn.Identity()
        before = 64
        for number, (width, count) in enumerate(zip(self.widths, _BLOCKS[how.name], strict=True), start=1):
            layer = nn.Sequential()
            for block in range(count):
                stride = 2 if number > 1 and not block else 1
                layer.append(BasicBlock(before, width, stride=stride, dropout=how.dropout))
                before = width
            self.add_module(f"layer{number}", layer)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, faces: Tensor) -> list[Tensor]:
        maps, stages = self.maxpool(torch.relu(self.bn1(self.conv1(faces)))), []
        for number in range(1, 5):
            maps = self.get_submodule(f"layer{number}")(maps)
            stages.append(maps)
        return stages
