"""Heads: from the maps of a net's stages to features, and from those to a score for each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.train.settings import Interval, Probability, Settings, require


@dataclass(frozen=True)
class Head(Settings, section="head"):
    """From the maps of the net's stages to the scores of the classes.

    The last stage's maps are averaged, or cut into a grid whose parts are averaged. Their features are mixed with those
    of other stages, taken through hidden layers, and classified.
    """

    pool_grid: Annotated[int, Interval("[1, 12]")] = 1  # parts across and down
    # Other stages, counted from 1, whose pooled features are mixed with the last stage's.
    fuse: Annotated[tuple[Annotated[int, Interval("[1, 8]")], ...], Interval("[0, 7]")] = ()
    fuse_weights: Literal["fixed", "learned"] = "fixed"  # a weighted mean either way
    fuse_share: Probability = 0.5  # of the mixture, for the other stages together; where learned, at the start
    # Widths of fully connected layers before the last: one makes 2 layers, two make 3.
    hidden: Annotated[tuple[Annotated[int, Interval("[1, 16384]")], ...], Interval("[0, 8]")] = ()
    dropout: Annotated[float, Interval("[0, 1)")] = 0.3  # before each fully connected layer
    classifier: Literal["linear", "euclidean", "cosine"] = "linear"  # the others: nearness to a class's prototype
    cosine_scale: Annotated[float, Interval("(0, 1000]")] = 10.0  # what the cosine is multiplied by

    def __post_init__(self) -> None:
        super().__post_init__()
        fixed = self.fuse_weights == "fixed"
        require(fixed or 0 < self.fuse_share < 1, "a learned head.fuse_share must start in (0, 1)", self.fuse_share)


class Fuse(nn.Module):
    """Mix the last stage's features with those of other stages, each projected to the same width.

    The mixture is a weighted mean: 1 - fuse_share for the last stage and fuse_share in equal parts for the others.
    Learned weights start there; they are the softmax of the parameters.
    """

    def __init__(self, head: Head, *, widths: Sequence[int], out: int) -> None:
        super().__init__()
        self.learned = head.fuse_weights == "learned"
        self.project = nn.ModuleList(nn.Linear(width, out) for width in widths)
        start = torch.tensor([1 - head.fuse_share] + [head.fuse_share / len(widths)] * len(widths))
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

        The latter, at scale 1, is equation 2 of Snell et al. (2017). Both are computed in float32: where the distance
        is a small difference of large numbers, or classes are nearly as near, fewer bits would mix the classes up.
        """
        with torch.autocast(features.device.type, enabled=False):
            features, centres = features.float(), centres.float()
            if self.kind == "cosine":
                return self.scale * functional.normalize(features, dim=1) @ functional.normalize(centres, dim=1).T
            squares = features.square().sum(dim=1, keepdim=True) + centres.square().sum(dim=1)
            return self.scale * (2 * features @ centres.T - squares)


class HeadNet(nn.Module):
    """The maps of each stage (N, C, H, W) -> (N, outputs) logits; with prototypes, features while it trains."""

    def __init__(self, head: Head, *, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.head = head
        width = widths[-1] * head.pool_grid**2
        others = [widths[stage - 1] for stage in head.fuse]
        self.fuse = Fuse(head, widths=others, out=width) if others else None
        self.hidden = nn.Sequential()
        for after in head.hidden:
            self.hidden.extend((nn.Dropout(head.dropout), nn.Linear(width, after), nn.ReLU()))
            width = after
        self.dropout = nn.Dropout(head.dropout)
        self.classifier: nn.Linear | Prototypes
        if head.classifier == "linear":
            self.classifier = nn.Linear(width, outputs)
        else:
            scale = head.cosine_scale if head.classifier == "cosine" else 1.0
            self.classifier = Prototypes(head.classifier, features=width, classes=outputs, scale=scale)

    def forward(self, stages: list[Tensor]) -> Tensor:
        features = self.features(stages)
        if self.training and isinstance(self.classifier, Prototypes):
            return features
        logits: Tensor = self.classifier(self.dropout(features))
        return logits

    def features(self, stages: list[Tensor]) -> Tensor:
        """(N, D): what the last layer classifies."""
        last, grid = stages[-1], self.head.pool_grid
        pooled = last.mean(dim=(2, 3)) if grid == 1 else grid_pool(last, grid).flatten(1)
        if self.fuse is not None:
            pooled = self.fuse(pooled, [stages[stage - 1].mean(dim=(2, 3)) for stage in self.head.fuse])
        features: Tensor = self.hidden(pooled)
        return features


def grid_pool(maps: Tensor, grid: int) -> Tensor:
    """(N, C, H, W) -> (N, C, grid, grid): the mean of each part, as adaptive average pooling computes it, at any size.

    It is two products with matrices, since ONNX has no pooling whose windows differ in size.
    """
    down, across = (_pool_weights(side, grid).to(maps) for side in maps.shape[-2:])
    return maps if maps.shape[-2:] == (grid, grid) else down @ maps @ across.T


def _pool_weights(side: int, parts: int) -> Tensor:
    """(parts, side): the weight of each pixel in each part's mean, cut at floor and ceil of part x side / parts."""
    weights = torch.zeros(parts, side)
    for part in range(parts):
        first, end = part * side // parts, -(-(part + 1) * side // parts)
        weights[part, first:end] = 1 / (end - first)
    return weights
