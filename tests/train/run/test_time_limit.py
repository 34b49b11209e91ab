"""A training's time: no epoch is begun that would end too late."""

from pathlib import Path

import pytest

from mien.train import Epoch, export, train
from mien.train.optim.settings import Optim
from mien.train.recipe_toml import parse_recipe
from mien.train.run.time_limit import TimeLimit, expected_seconds
from support import ONE_THREAD, train_and_valid

RECIPE = parse_recipe("[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nepochs = 4\nbatch = 16\n")


def epoch(number: int, *, side: int, seconds: float) -> Epoch:
    return Epoch(number, side, 1.0, 1.0, 0.5, 0.1, seconds, 100.0)


def test_an_epochs_time_is_foretold_by_the_area_of_a_face() -> None:
    how = Optim(epochs=4, image_sizes=((24, 0.5), (48, 0.5)))
    assert expected_seconds(how, []) == 0
    assert expected_seconds(how, [epoch(1, side=24, seconds=10)]) == 10
    assert expected_seconds(how, [epoch(1, side=24, seconds=10), epoch(2, side=24, seconds=11)]) == 40
    slept = [epoch(1, side=24, seconds=9), epoch(2, side=24, seconds=9e9), epoch(3, side=48, seconds=44)]
    assert expected_seconds(how, slept) == 44


def test_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    time_limit = TimeLimit(2)
    assert time_limit.allows(100)
    assert not time_limit.allows(115)  # with a tenth more for what may come
    now += 90
    assert time_limit.allows(20)
    assert not time_limit.allows(30)
    now += 60
    assert time_limit.allows(0)  # the first epoch of a run, of which nothing is known
    assert TimeLimit(0).allows(1e9)


def test_a_run_ends_in_time_and_goes_on_in_another_call(tmp_path: Path) -> None:
    faces, out = train_and_valid(40, 14), tmp_path / "run"
    short = train(RECIPE, faces, out=out, minutes=1e-6, hardware=ONE_THREAD)
    assert [each.number for each in short] == [1]
    assert short.out_of_time
    assert not short.finished
    assert short.next_epoch_seconds == pytest.approx(short.epochs[0].seconds)
    assert export(short, tmp_path / "model.onnx").scores["epochs"] == 1
    assert list(train(RECIPE, faces, out=out, minutes=1e-6, resume=True, hardware=ONE_THREAD)) == []
    long = train(RECIPE, faces, out=out, minutes=60, resume=True, hardware=ONE_THREAD)
    assert [each.number for each in long] == [2, 3, 4]
    assert long.finished
    assert not long.out_of_time
