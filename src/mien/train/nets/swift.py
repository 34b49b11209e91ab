"""swift: our small residual net. A 5x5 stride-2 stem halves the face at once, where most nets spend most of their time.

Residual blocks: He et al. (2016), with the shortcut's average pooling of He et al. (2019); squeeze-and-excitation: Hu
et al. (2018).
"""

from torch import Tensor, nn

from mien.train.recipe import Net


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


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut around them."""

    def __init__(self, before: int, after: int, *, stride: int, squeeze: int) -> None:
        super().__init__()
        last_norm = nn.BatchNorm2d(after)
        nn.init.zeros_(last_norm.weight)  # each block begins as its shortcut (Goyal et al., 2017)
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            last_norm,
            Squeeze(after, squeeze) if squeeze else nn.Identity(),
        )
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))
        if before != after:
            self.shortcut.extend((nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after)))
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        summed: Tensor = self.relu(self.body(maps) + self.shortcut(maps))
        return summed


def swift(how: Net, classes: int) -> nn.Module:
    """(N, 1, S, S) float32, normalised -> (N, classes) logits, for any side S of 16 or more."""
    first = how.widths[0]
    layers: list[nn.Module] = [nn.Conv2d(1, first, 5, 2, 2, bias=False), nn.BatchNorm2d(first), nn.ReLU()]
    before = first
    for stage, width in enumerate(how.widths):
        for block in range(how.blocks):
            stride = 2 if stage and not block else 1
            layers.append(Block(before, width, stride=stride, squeeze=how.squeeze))
            before = width
    head = [GlobalMean(), nn.Flatten(), nn.Dropout(how.dropout), nn.Linear(before, classes)]
    return nn.Sequential(*layers, *head)
