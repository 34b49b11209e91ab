"""Learning rates and steps against torch's own; early stopping, clipping and the moving average by hand."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from mien.train.optim.optimizers import make_optimizer, optimizer_state, restore_optimizer_state
from mien.train.optim.schedules import SCHEDULES, learning_rate, side_at, stops_early
from mien.train.optim.settings import Optim
from mien.train.optim.weight_average import WeightAverage, average_decay

STEPS = 7  # in an epoch
PLAIN = Optim(epochs=20, lr=0.3, warmup=0.0, step_epochs=4, restart_epochs=4, plateau_patience=4, gamma=0.4)


def ours(optim: Optim, accuracies: Sequence[float] = ()) -> list[float]:
    """The learning rate of every step of a training."""
    total = optim.epochs * STEPS
    return [learning_rate(optim, step, steps=STEPS, accuracies=accuracies[: step // STEPS]) for step in range(total)]


def theirs(
    optim: Optim, make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], *, by_epoch: bool = False
) -> list[float]:
    """The same by one of torch's schedulers, stepped after each step or epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=optim.lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch would like the optimizer to step, too
        scheduler, rates = make(optimizer), []
        for step in range(optim.epochs * STEPS):
            rates.append(optimizer.param_groups[0]["lr"])
            if not by_epoch or step % STEPS == STEPS - 1:
                scheduler.step()
    return rates


def test_constant() -> None:
    assert set(ours(replace(PLAIN, schedule="constant"))) == {0.3}


def test_linear() -> None:
    oracle = theirs(PLAIN, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=20 * STEPS))
    np.testing.assert_allclose(ours(replace(PLAIN, schedule="linear")), oracle, atol=1e-12)


def test_cosine() -> None:
    oracle = theirs(PLAIN, lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=20 * STEPS))
    np.testing.assert_allclose(ours(replace(PLAIN, schedule="cosine")), oracle, atol=1e-12)


def test_step() -> None:
    oracle = theirs(PLAIN, lambda o: lr_scheduler.StepLR(o, step_size=4, gamma=0.4), by_epoch=True)
    np.testing.assert_allclose(ours(replace(PLAIN, schedule="step")), oracle, atol=1e-12)


def test_restarts() -> None:
    oracle = theirs(PLAIN, lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=4 * STEPS))
    np.testing.assert_allclose(ours(replace(PLAIN, schedule="restarts")), oracle, atol=1e-12)


@pytest.mark.parametrize("climb", [0.0, 0.1, 0.5])
def test_one_cycle(climb: float) -> None:
    optim = replace(PLAIN, schedule="one-cycle", warmup=climb)

    def make(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        return lr_scheduler.OneCycleLR(
            optimizer, optim.lr, total_steps=20 * STEPS, pct_start=climb or 0.3, cycle_momentum=False
        )

    np.testing.assert_allclose(ours(optim), theirs(optim, make), atol=1e-12)


def test_plateau() -> None:
    accuracies = [0.3, 0.5, 0.5, 0.4, 0.5, 0.45, 0.5, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.7, 0.1, 0.1, 0.1]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    oracle = lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.4, patience=3, threshold=0.0)
    wanted = []
    for accuracy in accuracies:
        wanted += [optimizer.param_groups[0]["lr"]] * STEPS
        oracle.step(accuracy)
    assert wanted[0] > wanted[-1]
    np.testing.assert_allclose(ours(replace(PLAIN, schedule="plateau"), accuracies), wanted, atol=1e-12)


def test_warmup_then_cosine() -> None:
    optim = replace(PLAIN, warmup=0.1)
    warm, total = 14, 20 * STEPS

    def make(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        climb = lr_scheduler.LinearLR(optimizer, 1 / warm, 1.0, total_iters=warm - 1)
        fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - warm)
        return lr_scheduler.SequentialLR(optimizer, [climb, fall], milestones=[warm])

    np.testing.assert_allclose(ours(optim), theirs(optim, make), atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0.0), (1, 0.13), (20, 0.05), (3, 0.99)])
def test_every_rate_is_positive_and_at_most_the_recipes(schedule: Any, epochs: int, warmup: float) -> None:
    rates = ours(replace(PLAIN, schedule=schedule, epochs=epochs, warmup=warmup), [0.5] * epochs)
    assert all(0 < rate <= 0.3 + 1e-12 for rate in rates)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_training_of_one_step(schedule: Any) -> None:
    assert 0 < learning_rate(replace(PLAIN, schedule=schedule, epochs=1), 0, steps=1) <= 0.3


@pytest.mark.parametrize(
    ("accuracies", "ends"),
    [
        ([], False),
        ([0.5, 0.4, 0.4], False),  # two epochs without a better one
        ([0.5, 0.4, 0.4, 0.5], True),  # as good is not better
        ([0.5, 0.4, 0.4, 0.6], False),
        ([0.1, 0.5, 0.4, 0.4, 0.3], True),
    ],
)
def test_patience(accuracies: list[float], ends: bool) -> None:
    assert stops_early(Optim(early_stop_patience=3), accuracies) == ends
    assert not stops_early(Optim(early_stop_patience=0), accuracies)


def small_net(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 2))
    changed: nn.Sequential = cast("Any", net).to(memory_format=torch.channels_last)  # torch types no such call
    return changed


def one_step(net: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    faces = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    net(faces.to(memory_format=torch.channels_last)).square().mean().backward()
    optimizer.step()


ORACLES: dict[str, Callable[[list[dict[str, object]]], torch.optim.Optimizer]] = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.8, nesterov=True),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.01, betas=(0.8, 0.999)),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01, betas=(0.8, 0.999)),
}


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("decay_all", [False, True])
def test_steps_are_those_of_torchs_optimizer(name: Any, decay_all: bool) -> None:
    net, oracle = small_net(), small_net()
    conv, norm, _, linear = oracle
    small = [conv.bias, norm.weight, norm.bias, linear.bias]
    groups = [
        {"params": [conv.weight, linear.weight], "weight_decay": 0.1},
        {"params": small, "weight_decay": 0.1 if decay_all else 0.0},
    ]
    optim = Optim(name=name, lr=0.01, momentum=0.8, weight_decay=0.1, decay_all=decay_all)
    pairs = (net, make_optimizer(net, optim)), (oracle, ORACLES[name](groups))
    for seed in range(3):
        for each, optimizer in pairs:
            one_step(each, optimizer, seed)
    for ours, theirs in zip(net.parameters(), oracle.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_plain_momentum_and_none() -> None:
    assert not make_optimizer(small_net(), Optim(nesterov=False)).defaults["nesterov"]
    assert make_optimizer(small_net(), Optim(momentum=0.0)).defaults["momentum"] == 0.0


@pytest.mark.parametrize("name", [*ORACLES, "muon"])
def test_memory_goes_on_to_the_same_bits(name: Any) -> None:
    optim = Optim(name=name, lr=0.01)
    net, other = small_net(), small_net(1)
    optimizer = make_optimizer(net, optim)
    for seed in range(3):
        one_step(net, optimizer, seed)
    memory = {
        key: value.clone(memory_format=torch.contiguous_format) for key, value in optimizer_state(optimizer).items()
    }
    other.load_state_dict(net.state_dict())
    resumed = make_optimizer(other, optim)
    restore_optimizer_state(resumed, memory)
    for seed in range(3, 6):
        one_step(net, optimizer, seed)
        one_step(other, resumed, seed)
    assert all(torch.equal(one, two) for one, two in zip(net.parameters(), other.parameters(), strict=True))
    assert optimizer_state(optimizer).keys() == optimizer_state(resumed).keys() == memory.keys()


def test_sides_follow_their_shares() -> None:
    optim = Optim(epochs=10, image_sizes=((32, 0.5), (40, 0.25), (48, 0.25)))
    assert [side_at(optim, epoch) for epoch in range(10)] == [32] * 5 + [40] * 2 + [48] * 3
    assert side_at(Optim(epochs=3), 2) == 48


def test_average() -> None:
    net, average = small_net(0), small_net(1)
    before = {name: value.clone() for name, value in average.state_dict().items()}
    counted = net[1].num_batches_tracked
    assert isinstance(counted, torch.Tensor)
    counted.fill_(7)
    WeightAverage(average, net).update(0.9)
    for name, value in average.state_dict().items():
        if name == "1.num_batches_tracked":
            assert value == 7
        else:
            torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * net.state_dict()[name])


def test_no_average_is_the_weights_to_the_bit() -> None:
    net, average = small_net(0), small_net(1)
    WeightAverage(average, net).update(0.0)
    for name, value in average.state_dict().items():
        assert torch.equal(value, net.state_dict()[name])


def test_the_average_follows_faster_in_the_first_steps() -> None:
    assert average_decay(Optim(ema=0.9), 0) == pytest.approx(1 / 10)
    assert average_decay(Optim(ema=0.9), 14) == pytest.approx(15 / 24)
    assert average_decay(Optim(ema=0.9), 1000) == 0.9
    assert average_decay(Optim(ema=0.0), 1000) == 0
