"""Heads compute what their formulas say, by numpy and by torch's own functions."""

from typing import Literal

import numpy as np
import pytest
import torch
from torch.nn import functional

from mien.errors import RecipeError
from mien.train.nets.heads import Head, HeadNet, Prototypes, grid_pool

WIDTHS = (3, 5, 8)


@pytest.fixture
def stages() -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return [torch.randn(4, width, side, side, generator=rng) for width, side in zip(WIDTHS, (12, 6, 3), strict=True)]


def means(stages: list[torch.Tensor]) -> list[np.ndarray]:
    return [stage.numpy().mean(axis=(2, 3)) for stage in stages]


def through(layer: torch.nn.Module, values: np.ndarray) -> np.ndarray:
    weights = layer.state_dict()
    outputs: np.ndarray = values @ weights["weight"].numpy().T + weights["bias"].numpy()
    return outputs


def ran(head: HeadNet, stages: list[torch.Tensor]) -> np.ndarray:
    with torch.no_grad():
        outputs: np.ndarray = head.eval()(stages).numpy()
    return outputs


def test_linear(stages: list[torch.Tensor]) -> None:
    head = HeadNet(Head(), widths=WIDTHS, outputs=7)
    np.testing.assert_allclose(ran(head, stages), through(head.classifier, means(stages)[-1]), rtol=1e-4, atol=1e-5)


def test_two_and_three_layers(stages: list[torch.Tensor]) -> None:
    head = HeadNet(Head(hidden=(6, 4)), widths=WIDTHS, outputs=7)
    first, second = (layer for layer in head.hidden if isinstance(layer, torch.nn.Linear))
    values = np.maximum(through(first, means(stages)[-1]), 0)
    values = np.maximum(through(second, values), 0)
    np.testing.assert_allclose(ran(head, stages), through(head.classifier, values), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weights", ["fixed", "learned"])
def test_fused(stages: list[torch.Tensor], weights: Literal["fixed", "learned"]) -> None:
    settings = Head(fuse=(1, 2), fuse_share=0.4, fuse_weights=weights)
    head = HeadNet(settings, widths=WIDTHS, outputs=7)
    low, middle, last = means(stages)
    assert head.fuse is not None
    one, two = head.fuse.project
    mixed = 0.6 * last + 0.2 * through(one, low) + 0.2 * through(two, middle)
    np.testing.assert_allclose(ran(head, stages), through(head.classifier, mixed), rtol=1e-4, atol=1e-5)


def test_learned_weights_move_and_stay_a_mean(stages: list[torch.Tensor]) -> None:
    head = HeadNet(Head(fuse=(1,), fuse_weights="learned", dropout=0), widths=WIDTHS, outputs=7)
    assert head.fuse is not None
    before = head.fuse.weights.detach().clone()
    optimiser = torch.optim.SGD(head.parameters(), lr=0.5)
    functional.cross_entropy(head(stages), torch.tensor([0, 1, 2, 3])).backward()
    optimiser.step()
    assert not torch.equal(head.fuse.weights, before)
    for layer in (*head.fuse.project, head.classifier):  # with all features 1, a mean of them is 1
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.ones_(layer.bias)
    ones = [torch.ones(1, width, 2, 2) for width in WIDTHS]
    torch.testing.assert_close(head.features(ones), torch.ones(1, 8))


def test_fixed_weights_are_no_parameters() -> None:
    head = HeadNet(Head(fuse=(1,)), widths=WIDTHS, outputs=7)
    assert "fuse.weights" not in dict(head.named_parameters())


@pytest.mark.parametrize("side", [1, 2, 3, 5, 6, 12, 13])
@pytest.mark.parametrize("grid", [1, 2, 3, 4, 6])
def test_parts_are_those_of_adaptive_pooling(side: int, grid: int) -> None:
    maps = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side))
    wanted = functional.adaptive_avg_pool2d(maps, grid)
    torch.testing.assert_close(grid_pool(maps, grid), wanted, rtol=1e-5, atol=1e-6)


def test_a_grid_keeps_where_things_are(stages: list[torch.Tensor]) -> None:
    head = HeadNet(Head(pool_grid=3), widths=WIDTHS, outputs=7)
    features = stages[-1].numpy().reshape(4, -1)
    np.testing.assert_allclose(ran(head, stages), through(head.classifier, features), rtol=1e-4, atol=1e-5)


def test_dropout_stands_before_every_layer() -> None:
    head = HeadNet(Head(hidden=(6,), dropout=0.5), widths=WIDTHS, outputs=7)
    drops = [module for module in head.modules() if isinstance(module, torch.nn.Dropout)]
    assert [drop.p for drop in drops] == [0.5, 0.5]
    stages = [torch.ones(1000, width, 2, 2) for width in WIDTHS]
    head.hidden = torch.nn.Sequential()
    head.classifier = torch.nn.Linear(8, 8, bias=False)
    torch.nn.init.eye_(head.classifier.weight)
    with torch.no_grad():
        seen = head.train()(stages)
    assert set(seen.unique().tolist()) == {0.0, 2.0}
    assert 0.45 < (seen == 0).float().mean() < 0.55


def test_euclidean_is_minus_the_squared_distance() -> None:
    features, centres = torch.randn(5, 16), torch.randn(7, 16)
    layer = Prototypes("euclidean", features=16, classes=7, scale=0.5)
    layer.centres.copy_(centres)
    torch.testing.assert_close(layer(features), -0.5 * torch.cdist(features, centres).square(), rtol=1e-4, atol=1e-4)


def test_cosine() -> None:
    features, centres = torch.randn(5, 16), torch.randn(7, 16)
    layer = Prototypes("cosine", features=16, classes=7, scale=3.0)
    layer.centres.copy_(centres)
    wanted = 3 * functional.cosine_similarity(features[:, None], centres[None], dim=2)
    torch.testing.assert_close(layer(features), wanted, rtol=1e-5, atol=1e-5)


def test_a_learned_share_has_room_to_move() -> None:
    with pytest.raises(RecipeError, match=r"a learned head.fuse_share must start in \(0, 1\), got 1.0"):
        Head(fuse=(1,), fuse_weights="learned", fuse_share=1.0)
