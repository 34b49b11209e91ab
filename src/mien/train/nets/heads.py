"""Heads: from the maps of a net's stages to features, and from those to a score for each class."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import RecipeError
from mien.train.recipe import Head


class Fuse(nn.Module):
    """The last stage's features, mixed with those of other stages, each projected to the same width.

    A weighted mean: (1 - share) for the last stage and the share in equal parts for the others, or learned from there.
    """

    def __init__(self, how: Head, *, widths: Sequence[int], out: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Linear(width, out) for width in widths)
        start = torch.tensor([1 - how.fuse_share] + [how.fuse_share / len(widths)] * len(widths))
        if how.fuse_weights == "learned":
            self.weights: Tensor = nn.Parameter(start)
        else:
            self.register_buffer("weights", start)

    def forward(self, last: Tensor, others: list[Tensor]) -> Tensor:
        features = [last, *(project(other) for project, other in zip(self.project, others, strict=True))]
        return (torch.stack(features, dim=-1) * self.weights).sum(dim=-1)


class Prototypes(nn.Module):
    """(N, D) features -> (N, classes) by nearness to each class's prototype, its mean feature.

    euclidean: minus the squared distance (Snell et al., 2017, equation 2); cosine: the cosine times `scale`.
    """

    centres: Tensor  # (classes, D) float32

    def __init__(self, how: Head, *, features: int, classes: int) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("centres", torch.zeros(classes, features))

    def forward(self, features: Tensor) -> Tensor:
        return nearness(features, self.centres, how=self.how)


def nearness(features: Tensor, centres: Tensor, *, how: Head) -> Tensor:
    """(N, D), (K, D) -> (N, K) logits."""
    if how.classify == "cosine":
        return how.scale * functional.normalize(features, dim=1) @ functional.normalize(centres, dim=1).T
    squares = features.square().sum(dim=1, keepdim=True) + centres.square().sum(dim=1)
    return 2 * features @ centres.T - squares


class HeadNet(nn.Module):
    """The maps of each stage (N, C, H, W) -> (N, outputs) logits; of prototypes, features while it trains."""

    def __init__(self, how: Head, *, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.how = how
        if max(how.fuse, default=0) >= len(widths):
            raise RecipeError(f"head.fuse must count stages before the last of {len(widths)}, got {how.fuse}")
        width = widths[-1] * how.grid**2
        others = [widths[stage - 1] for stage in how.fuse]
        self.fuse = Fuse(how, widths=others, out=width) if others else None
        self.hidden = nn.Sequential()
        for after in how.hidden:
            self.hidden.extend((nn.Dropout(how.dropout), nn.Linear(width, after), nn.ReLU()))
            width = after
        self.dropout = nn.Dropout(how.dropout)
        self.classify: nn.Module = (
            nn.Linear(width, outputs) if how.classify == "linear" else Prototypes(how, features=width, classes=outputs)
        )

    def forward(self, stages: list[Tensor]) -> Tensor:
        features = self.features(stages)
        if self.training and isinstance(self.classify, Prototypes):
            return features
        logits: Tensor = self.classify(self.dropout(features))
        return logits

    def features(self, stages: list[Tensor]) -> Tensor:
        """(N, D): what is classified."""
        last = stages[-1]
        pooled = last.mean(dim=(2, 3)) if self.how.grid == 1 else self._cut(last)
        if self.fuse is not None:
            pooled = self.fuse(pooled, [stages[stage - 1].mean(dim=(2, 3)) for stage in self.how.fuse])
        features: Tensor = self.hidden(pooled)
        return features

    def _cut(self, maps: Tensor) -> Tensor:
        if maps.shape[-1] != self.how.grid:
            maps = functional.adaptive_avg_pool2d(maps, self.how.grid)
        return maps.flatten(1)
