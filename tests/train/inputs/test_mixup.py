"""Mixed faces: shares, pairs and rectangles are what the papers say, and targets follow."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from mien.train.inputs.augment import Augment
from mien.train.inputs.mixup import Mix, draw_beta_by_numpy, draw_beta_by_torch, draw_mix

MIXUP = Augment(mix="mixup", mix_prob=1.0, mix_alpha=0.4)
CUTMIX = dataclasses.replace(MIXUP, mix="cutmix", mix_alpha=1.0)


def drawn(augment: Augment, count: int, *, side: int = 48, seed: int = 0) -> Mix:
    mix = draw_mix(count, augment, side=side, generator=torch.Generator().manual_seed(seed))
    assert mix is not None
    return mix


@pytest.fixture
def faces() -> torch.Tensor:
    return torch.rand(40, 1, 48, 48, generator=torch.Generator().manual_seed(0)) * 255


def test_without_a_mix_nothing_is_drawn() -> None:
    generator = torch.Generator().manual_seed(5)
    assert draw_mix(8, Augment(), side=48, generator=generator) is None
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(5).get_state())


def test_so_many_batches_are_mixed() -> None:
    augment = dataclasses.replace(MIXUP, mix_prob=0.3)
    generator = torch.Generator().manual_seed(0)
    mixed = sum(draw_mix(4, augment, side=32, generator=generator) is not None for _ in range(400))
    assert 90 < mixed < 150


def test_mixup_is_its_equation(faces: torch.Tensor) -> None:
    mix = drawn(MIXUP, len(faces))
    made = mix.apply(faces)
    assert sorted(mix.partners.tolist()) == list(range(len(faces)))
    for row, (partner, share) in enumerate(zip(mix.partners.tolist(), mix.lam.tolist(), strict=True)):
        torch.testing.assert_close(made[row], share * faces[row] + (1 - share) * faces[partner], atol=1e-3, rtol=0)


@pytest.mark.parametrize("draw_beta", [draw_beta_by_numpy, draw_beta_by_torch])
@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_lambdas_are_drawn_from_beta(alpha: float, draw_beta: Callable[..., torch.Tensor]) -> None:
    shares = draw_beta(alpha, 5000, torch.Generator().manual_seed(0)).numpy().astype(np.float64)
    assert stats.kstest(shares.clip(1e-7, 1 - 1e-7), stats.beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize("side", [32, 48])
def test_cutmix_pastes_one_rectangle_and_counts_it(side: int) -> None:
    faces = torch.arange(1.0, 201)[:, None, None, None].expand(-1, 1, side, side)  # each face a grey of its own
    mix = drawn(CUTMIX, len(faces), side=side)
    made = mix.apply(faces)[:, 0]
    for row, (partner, share) in enumerate(zip(mix.partners.tolist(), mix.lam.tolist(), strict=True)):
        pasted = made[row] == partner + 1
        assert torch.all(pasted | (made[row] == row + 1))
        if partner == row:
            continue
        assert 1 - pasted.float().mean().item() == pytest.approx(share, abs=1e-6)
        if pasted.any():
            rows, columns = torch.nonzero(pasted, as_tuple=True)
            assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)


def test_cutmix_rectangles_have_the_papers_places_and_areas() -> None:
    """Against a draw of Yun et al.'s algorithm: a square of the area 1 - share, cut at the face's edges."""
    own = drawn(CUTMIX, 4000).mask[:, 0]
    assert ((1 - own).mean(dim=0) > 0.1).all()
    rng, side = np.random.default_rng(0), 48
    half = np.sqrt(1 - rng.beta(1, 1, 4000)) * side / 2
    across, down = rng.uniform(0, side, (2, 4000))
    lengths = [np.minimum(centre + half, side) - np.maximum(centre - half, 0) for centre in (across, down)]
    wanted = 1 - lengths[0] * lengths[1] / side**2
    assert stats.ks_2samp(own.mean(dim=(1, 2)).numpy(), wanted).statistic < 0.04


@pytest.mark.parametrize("augment", [MIXUP, CUTMIX], ids=["mixup", "cutmix"])
def test_the_same_seed_gives_the_same_mix(augment: Augment) -> None:
    one, same, other = drawn(augment, 16, seed=3), drawn(augment, 16, seed=3), drawn(augment, 16, seed=4)
    for name in ("partners", "lam", "mask"):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.mask, other.mask)
