"""Heads: from the maps of a net's stages to features, and from those to a score for each class."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import RecipeError
from mien.train.recipe import Head


class Fuse(nn.Module):
    """The last stage's features, mixed with those of other stages, each projected to the same width.

    A weighted mean: (1 - share) for the last stage and the share in equal parts for the others, or learned from there,
    the weights then being the softmax of what is learned.
    """

    def __init__(self, how: Head, *, widths: Sequence[int], out: int) -> None:
        super().__init__()
        self.learned = how.fuse_weights == "learned"
        self.project = nn.ModuleList(nn.Linear(width, out) for width in widths)
        start = torch.tensor([1 - how.fuse_share] + [how.fuse_share / len(widths)] * len(widths))
        if self.learned:
            self.weights: Tensor = nn.Parameter(start.log())
        else:
            self.register_buffer("weights", start)

    def forward(self, last: Tensor, others: list[Tensor]) -> Tensor:
        features = [last, *(project(other) for project, other in zip(self.project, others, strict=True))]
        weights = torch.softmax(self.weights, dim=0) if self.learned else self.weights
        return (torch.stack(features, dim=-1) * weights).sum(dim=-1)


class Prototypes(nn.Module):
    """(N, D) features -> (N, classes) by nearness to each class's prototype, its mean feature."""

    centres: Tensor  # (classes, D) float32

    def __init__(self, kind: Literal["euclidean", "cosine"], *, features: int, classes: int, scale: float) -> None:
        super().__init__()
        self.kind, self.scale = kind, scale
        self.register_buffer("centres", torch.zeros(classes, features))

    def forward(self, features: Tensor) -> Tensor:
        return self.nearness(features, self.centres)

    def nearness(self, features: Tensor, centres: Tensor) -> Tensor:
        """(N, D), (K, D) -> (N, K) logits: scale times the cosine, or times minus the squared distance.

        The latter, at scale 1, is equation 2 of Snell et al. (2017). In float32 always: where the distance is a small
        difference of large numbers, or classes are nearly as near, fewer bits would mix the classes up.
        """
        with torch.autocast(features.device.type, enabled=False):
            features, centres = features.float(), centres.float()
            if self.kind == "cosine":
                return self.scale * functional.normalize(features, dim=1) @ functional.normalize(centres, dim=1).T
            squares = features.square().sum(dim=1, keepdim=True) + centres.square().sum(dim=1)
            return self.scale * (2 * features @ centres.T - squares)


class HeadNet(nn.Module):
    """The maps of each stage (N, C, H, W) -> (N, outputs) logits; of prototypes, features while it trains."""

    def __init__(self, how: Head, *, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.how = how
        if max(how.fuse, default=0) >= len(widths):
            raise RecipeError(f"head.fuse must count stages before the last of {len(widths)}, got {list(how.fuse)}")
        width = widths[-1] * how.grid**2
        others = [widths[stage - 1] for stage in how.fuse]
        self.fuse = Fuse(how, widths=others, out=width) if others else None
        self.hidden = nn.Sequential()
        for after in how.hidden:
            self.hidden.extend((nn.Dropout(how.dropout), nn.Linear(width, after), nn.ReLU()))
            width = after
        self.dropout = nn.Dropout(how.dropout)
        self.classify: nn.Linear | Prototypes
        if how.classify == "linear":
            self.classify = nn.Linear(width, outputs)
        else:
            scale = how.scale if how.classify == "cosine" else 1.0
            self.classify = Prototypes(how.classify, features=width, classes=outputs, scale=scale)

    def forward(self, stages: list[Tensor]) -> Tensor:
        features = self.features(stages)
        if self.training and isinstance(self.classify, Prototypes):
            return features
        logits: Tensor = self.classify(self.dropout(features))
        return logits

    def features(self, stages: list[Tensor]) -> Tensor:
        """(N, D): what is classified."""
        last, grid = stages[-1], self.how.grid
        pooled = last.mean(dim=(2, 3)) if grid == 1 else in_parts(last, grid).flatten(1)
        if self.fuse is not None:
            pooled = self.fuse(pooled, [stages[stage - 1].mean(dim=(2, 3)) for stage in self.how.fuse])
        features: Tensor = self.hidden(pooled)
        return features


def in_parts(maps: Tensor, grid: int) -> Tensor:
    """(N, C, H, W) -> (N, C, grid, grid): the mean of each part, as adaptive average pooling has it, at any size.

    Two products with matrices, since ONNX has no pooling whose windows differ in size.
    """
    down, across = (_shares(side, grid).to(maps) for side in maps.shape[-2:])
    return maps if maps.shape[-2:] == (grid, grid) else down @ maps @ across.T


def _shares(side: int, parts: int) -> Tensor:
    """(parts, side): the share of each pixel in each part's mean, cut at floor and ceil of part x side / parts."""
    shares = torch.zeros(parts, side)
    for part in range(parts):
        first, end = part * side // parts, -(-(part + 1) * side // parts)
        shares[part, first:end] = 1 / (end - first)
    return shares
