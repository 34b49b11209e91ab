"""swift: our small residual net. A 5x5 stride-2 stem halves the face at once, where most nets spend most of their time.

Residual blocks: He et al. (2016), with the shortcut's average pooling of He et al. (2019); squeeze-and-excitation: Hu
et al. (2018).
"""

from torch import Tensor, nn

from mien.train.nets.backbone import Body
from mien.train.recipe import Swift


class GlobalMean(nn.Module):
    """(N, C, H, W) -> (N, C, 1, 1), the mean of each map; a single node in ONNX."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3), keepdim=True)


class Squeeze(nn.Module):
    """Squeeze-and-excitation: each channel is weighed by what the whole map holds."""

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

    def __init__(self, before: int, after: int, *, stride: int, how: Swift) -> None:
        super().__init__()
        last_norm = nn.BatchNorm2d(after)
        nn.init.zeros_(last_norm.weight)  # each block begins as its shortcut (Goyal et al., 2017)
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            ACTIVATIONS[how.activation](),
            nn.Dropout(how.dropout),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            last_norm,
            Squeeze(after, how.squeeze) if how.squeeze else nn.Identity(),
        )
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))
        if before != after:
            self.shortcut.extend((nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after)))
        self.activation = ACTIVATIONS[how.activation]()

    def forward(self, maps: Tensor) -> Tensor:
        summed: Tensor = self.activation(self.body(maps) + self.shortcut(maps))
        return summed


class SwiftBody(Body):
    """(N, 1, S, S) float32, normalised, for any side S of 16 or more -> the maps of each stage."""

    def __init__(self, how: Swift) -> None:
        super().__init__(how.widths)
        first = before = how.widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, how.stem_side, how.stem_stride, how.stem_side // 2, bias=False),
            nn.BatchNorm2d(first),
            ACTIVATIONS[how.activation](),
        )
        self.stages = nn.ModuleList()
        for stage, width in enumerate(how.widths):
            blocks = nn.Sequential()
            for block in range(how.blocks):
                blocks.append(Block(before, width, stride=2 if stage and not block else 1, how=how))
                before = width
            self.stages.append(blocks)

    def forward(self, faces: Tensor) -> list[Tensor]:
        maps, stages = self.stem(faces), []
        for stage in self.stages:
            maps = stage(maps)
            stages.append(maps)
        return stages
