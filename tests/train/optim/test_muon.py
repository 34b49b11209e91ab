"""Muon against the singular values that it is about, and against torch's own for matrices and AdamW for the rest."""

import pytest
import torch
from torch import nn

from mien.train.optim.muon import Muon, newton_schulz


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_all_singular_values_come_to_about_one_direction_kept(shape: tuple[int, int]) -> None:
    matrix = random(*shape)
    near = newton_schulz(matrix)
    values = torch.linalg.svdvals(near)
    assert values.max() < 1.3
    assert values.min() > 0.3 * (shape[0] != shape[1])  # the least of a square one may still be on its way
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    exact = left @ right
    assert torch.nn.functional.cosine_similarity(near.flatten(), exact.flatten(), dim=0) > 0.95


@pytest.mark.parametrize("nesterov", [True, False])
def test_steps_are_those_of_torchs_own(nesterov: bool) -> None:
    start, vector = random(12, 30), random(12, seed=1)
    ours, theirs = (nn.Parameter(start.clone()) for _ in range(2))
    bias, other_bias = (nn.Parameter(vector.clone()) for _ in range(2))
    mine = Muon(
        [{"params": [ours], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}],
        lr=0.05,
        momentum=0.9,
        nesterov=nesterov,
    )
    muon = torch.optim.Muon(
        [theirs], lr=0.05, momentum=0.9, nesterov=nesterov, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
    )
    adam = torch.optim.AdamW([other_bias], lr=0.05, betas=(0.9, 0.999), weight_decay=0.0)
    for step in range(4):
        ours.grad = theirs.grad = random(12, 30, seed=10 + step)
        bias.grad = other_bias.grad = random(12, seed=20 + step)
        for optimizer in (mine, muon, adam):
            optimizer.step()
    torch.testing.assert_close(bias, other_bias, rtol=1e-4, atol=1e-5)
    moved, expected = ours - start, theirs - start
    assert (moved - expected).norm() < 0.03 * expected.norm()  # both round to bfloat16, in another order


def test_a_convolution_moves_as_the_matrix_of_its_filters() -> None:
    start, gradient = random(6, 3, 3, 3), random(6, 3, 3, 3, seed=1)
    conv, matrix = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    conv.grad, matrix.grad = gradient.clone(), gradient.flatten(1).clone()
    for weight in (conv, matrix):
        Muon([{"params": [weight]}], lr=0.1, momentum=0.9).step()
    assert torch.equal(conv.flatten(1), matrix)


def test_a_stack_of_matrices_is_turned_like_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where matrices of one shape are turned together."""
    stack = random(3, 8, 40)
    torch.testing.assert_close(newton_schulz(stack), torch.stack([newton_schulz(one) for one in stack]))
    nets = [nn.Sequential(nn.Linear(6, 6), nn.Conv2d(2, 3, 3), nn.Linear(6, 6)) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    for net in nets:
        optimizer = Muon([{"params": list(net.parameters()), "weight_decay": 0.1}], lr=0.05, momentum=0.9)
        for step in range(3):
            for number, weight in enumerate(net.parameters()):
                weight.grad = random(*weight.shape, seed=10 * step + number)
            optimizer.step()
        monkeypatch.setattr("mien.train.optim.muon.split_alike", together)
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(one, other)


def together(weights: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Split weights as for a GPU."""
    shapes = [tuple(weight.flatten(1).shape) if weight.ndim > 1 else () for weight in weights]
    return [[weight for weight, own in zip(weights, shapes, strict=True) if own == shape] for shape in set(shapes)]
