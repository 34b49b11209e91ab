"""A run that is killed at any moments, that of writing a checkpoint included, ends with an unbroken run's bits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mien.data.formats.npz import save_faces
from mien.train import load_recipe, train
from mien.train.recipe_toml import parse_recipe
from mien.train.run import plots
from mien.train.run.checkpoint import load_checkpoint
from mien.types import FaceSet
from support import ONE_THREAD, train_and_valid

LIVES = Path(__file__).with_name("lives.py")
SMALL = "[net]\nwidths = [4, 8]\nblocks = 1\ndropout = 0.1\n[optim]\nepochs = 8\nbatch = 16\nlr = 0.02\n"
RECIPES = {
    "sgd": SMALL + "ema = 0.9\nimage_sizes = [[32, 0.5], [48, 0.5]]\n",
    "adam": SMALL + 'name = "adam"\nschedule = "plateau"\nplateau_patience = 1\nema = 0.0\nwarmup = 0.0\n',
    "adamw": SMALL + 'name = "adamw"\nschedule = "one-cycle"\nmax_grad_norm = 0.5\n[augment]\nmix = "cutmix"\n',
    "patience": SMALL
    + 'schedule = "restarts"\nrestart_epochs = 2\nearly_stop_patience = 2\n[augment]\nmix = "mixup"\n',
}
# "after best" comes first: the first epoch is always the best so far. A life with a number has 18 events at most, which
# is less than two epochs, so that the run is not at its end before all have died.
NAMED = ["after best.safetensors", "half last.safetensors", "whole last.safetensors", "after last.safetensors"]


def lives(folder: Path, recipe: str, faces: FaceSet, moments: list[str]) -> list[str]:
    """Train in a life for each moment and a last one; how each ended."""
    (folder / "recipe.toml").write_text(recipe)
    save_faces(faces, folder / "faces.npz")
    files = [str(folder / name) for name in ("recipe.toml", "faces.npz", "killed")]
    ended = subprocess.run([sys.executable, LIVES, *files, *moments], check=True, capture_output=True, text=True)
    assert not ended.stderr
    return [line.rpartition(": ")[2] for line in ended.stdout.splitlines()]


def assert_same_tensors(one: Path, other: Path) -> None:
    ours, theirs = load_file(one), load_file(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.linux
def test_the_reports_recipe_killed_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On few faces and for few epochs; killed half through the first checkpoint, and right after it."""
    shorter = ["optim.epochs=2", "optim.step_epochs=1", "optim.batch=21"]
    recipe, faces = load_recipe("report/final-18", shorter), train_and_valid(21, 7)
    moments = ["half last.safetensors", "after last.safetensors"]
    assert lives(tmp_path, recipe.to_toml(), faces, moments) == ["killed", "killed", "ended with 0"]
    monkeypatch.setattr(plots, "plot_curve", lambda path, _epochs: path.write_text(""))
    list(train(recipe, faces, out=tmp_path / "whole", hardware=ONE_THREAD))
    for file in ("last.safetensors", "best.safetensors"):
        assert_same_tensors(tmp_path / "killed" / file, tmp_path / "whole" / file)


@pytest.mark.linux
@pytest.mark.parametrize("name", RECIPES)
def test_killed_at_random_moments(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(list(RECIPES).index(name))
    named, count = (NAMED, 6) if name == "sgd" else (NAMED[1:2], 2)
    moments = [*named, *(str(moment) for moment in rng.integers(1, 19, count))]
    faces, killed, whole = train_and_valid(64, 28), tmp_path / "killed", tmp_path / "whole"
    ends = lives(tmp_path, RECIPES[name], faces, moments)
    monkeypatch.setattr(plots, "plot_curve", lambda path, _epochs: path.write_text(""))  # a drawing takes long
    list(train(parse_recipe(RECIPES[name]), faces, out=whole, hardware=ONE_THREAD))
    assert ends[-1] == "ended with 0"
    assert set(ends[:-1]) == {"killed"}, dict(zip(moments, ends, strict=False))
    for file in ("last.safetensors", "best.safetensors"):
        assert_same_tensors(killed / file, whole / file)
    for one, other in zip(
        *(load_checkpoint(each / "last.safetensors").epochs for each in (killed, whole)), strict=True
    ):
        assert (one.train_loss, one.valid_loss, one.lr) == (other.train_loss, other.valid_loss, other.lr)
    assert sorted(path.name for path in killed.iterdir()) == sorted(path.name for path in whole.iterdir())
    assert len((killed / "metrics.csv").read_text().splitlines()) == len(
        (whole / "metrics.csv").read_text().splitlines()
    )
