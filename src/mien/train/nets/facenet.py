"""facenet29: the face-recognition network of dlib (King, 2017) without its last block, for small grey faces.

A residual net (He et al., 2016) of 27 convolutions. Its weights, learnt from three million faces, are in the public
domain; `tools/convert_facenet.py` converts them. dlib's net halves a face of 150 pixels by a 7x7 convolution of stride
2. Here the face has 48 pixels and a 5x5 convolution of stride 1: exactly what the 7x7 convolution computes on the same
face enlarged to twice its side by bilinear interpolation.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import RecipeError
from mien.train.nets.backbone import Backbone, NetSettings

WIDTHS = (32, 64, 128, 256)  # channels of each stage
BLOCKS = (3, 4, 3, 3)  # blocks of each stage; the first of each but the first stage halves the maps


@dataclass(frozen=True)
class FaceNet29(NetSettings):
    """The face-recognition network of dlib without its last block."""

    name: Literal["facenet29"] = "facenet29"
    weights: str = ""  # a file by tools/convert_facenet.py to begin with; "": drawn at random

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of each stage."""
        return WIDTHS

    @property
    def min_side(self) -> int:
        """The smallest side of a face, in pixels: a smaller one leaves nothing for the last convolution of stride 2."""
        return 28


class FaceNetBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them.

    A block that halves the maps does so by an unpadded convolution of stride 2. Its shortcut is the mean of 2x2 pixels,
    with zeros for new channels. A convolution's maps that are smaller than the shortcut's get zeros below and right.
    """

    def __init__(self, before: int, after: int, *, halve: bool) -> None:
        super().__init__()
        self.halve, self.new_channels = halve, after - before
        self.conv1 = nn.Conv2d(before, after, 3, 2 if halve else 1, 0 if halve else 1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)

    def forward(self, maps: Tensor) -> Tensor:
        out = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(maps)))))
        if self.halve:
            maps = functional.avg_pool2d(maps, 2)
            out = functional.pad(out, (0, maps.shape[-1] - out.shape[-1], 0, maps.shape[-2] - out.shape[-2]))
            if self.new_channels:
                maps = functional.pad(maps, (0, 0, 0, 0, 0, self.new_channels))
        return functional.relu(out + maps)


class FaceNetBackbone(Backbone):
    """(N, 1, S, S) float32, normalised -> the maps of each stage; a side S of 48 becomes 22, 11, 5 and 2."""

    def __init__(self, net: FaceNet29) -> None:
        super().__init__(WIDTHS)
        self.stem = nn.Conv2d(1, WIDTHS[0], 5, bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0])
        self.stages = nn.ModuleList()
        before = WIDTHS[0]
        for stage, (width, count) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
            blocks = nn.Sequential()
            for block in range(count):
                blocks.append(FaceNetBlock(before, width, halve=stage > 0 and block == 0))
                before = width
            self.stages.append(blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if net.weights and not self.stem.weight.is_meta:  # weights without numbers are only counted
            self.load_state_dict(read_weights(net.weights))

    def forward(self, faces: Tensor) -> list[Tensor]:
        padded = functional.pad(faces, (1, 0, 1, 0), mode="replicate")
        maps = functional.max_pool2d(functional.relu(self.norm(self.stem(padded))), 3, 2)
        stages = []
        for stage in self.stages:
            maps = stage(maps)
            stages.append(maps)
        return stages


def read_weights(path: str) -> dict[str, Tensor]:
    """Read the file that `tools/convert_facenet.py` wrote. Raises RecipeError where there is none, or another net's."""
    hint = "make it with tools/convert_facenet.py"
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RecipeError(f"net.weights must be a file of facenet29's weights, cannot read {path}: {hint}") from error
    with torch.device("meta"):
        expected = FaceNetBackbone(FaceNet29()).state_dict()
    if {name: part.shape for name, part in weights.items()} != {name: part.shape for name, part in expected.items()}:
        raise RecipeError(f"net.weights must be a file of facenet29's weights, {Path(path).name} has others: {hint}")
    return weights
