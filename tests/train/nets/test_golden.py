"""Every net and head gives the numbers it gave when they were stored: nothing about it has changed unnoticed.

Where a change is meant: python tests/train/nets/test_golden.py writes golden.json anew.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.train import Recipe
from mien.train.nets import FaceNet
from mien.train.recipe_toml import parse_recipe

GOLDEN = Path(__file__).with_name("golden.json")

SMALL = '[net]\nname = "cnn"\nwidths = [4, 6, 8]\n[head]\n'
CASES = {
    "swift": "",
    "resnet18": '[net]\nname = "resnet18"',
    "resnet18, 3x3": '[net]\nname = "resnet18"\nstem_kernel = 3\nstem_stride = 1\nstem_pool = false',
    "resnet34": '[net]\nname = "resnet34"',
    "cnn": '[net]\nname = "cnn"',
    "vgg": '[net]\nname = "vgg"',
    "vgg, bare": '[net]\nname = "vgg"\nwidths = [8, 16]\nconvolutions = 3\nbatch_norm = false',
    "alexnet": '[net]\nname = "alexnet"',
    "alexnet, norm": '[net]\nname = "alexnet"\nbatch_norm = true',
    "facenet29": '[net]\nname = "facenet29"',
    "two layers": SMALL + "hidden = [16]",
    "three layers": SMALL + "hidden = [16, 12]",
    "fused": SMALL + "fuse = [1, 2]\nfuse_share = 0.4",
    "fused, learned": SMALL + 'fuse = [2]\nfuse_weights = "learned"',
    "grid": SMALL + "pool_grid = 4",
    "grid, fused, hidden": SMALL + "pool_grid = 2\nfuse = [1]\nhidden = [16]",
    "euclidean": SMALL + 'classifier = "euclidean"\n[loss]\nkind = "prototypical"',
    "cosine": SMALL + 'classifier = "cosine"\n[loss]\nkind = "prototypical"',
    "fixed": SMALL + '[normalise]\nby = "fixed"\nmean = 0.3\nstd = 0.4',
}


def faces() -> torch.Tensor:
    """(2, 1, 48, 48) float32: two soft random pictures."""
    coarse = np.random.default_rng(7).uniform(0, 255, (2, 12, 12))
    return torch.from_numpy(np.kron(coarse, np.ones((4, 4))).astype(np.float32)).unsqueeze(1).round()


def filled(recipe: Recipe) -> FaceNet:
    """The recipe's net with numbers in it that owe nothing to torch, none of them zero; weights at He's scale."""
    net = recipe.build_net(classes=7).eval()
    rng = np.random.default_rng(3)
    for name, values in net.state_dict().items():
        drawn = torch.from_numpy(rng.standard_normal(values.shape, dtype=np.float32))
        if values.ndim > 1:
            values.copy_(drawn * (2 / values[0].numel()) ** 0.5)
        elif name.endswith(("weight", "running_var")):
            values.copy_(1 + 0.1 * drawn)
        elif name.endswith(("bias", "running_mean")):
            values.copy_(0.1 * drawn)
    return net


def outputs(text: str) -> list[list[float]]:
    with torch.no_grad():
        return [[float(f"{value:.6g}") for value in row] for row in filled(parse_recipe(text))(faces()).tolist()]


@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_those_stored(name: str) -> None:
    golden = np.array(json.loads(GOLDEN.read_text())[name])
    assert golden.std(axis=0).min() > 1e-5 * np.abs(golden).max()  # the faces differ, or it would tell nothing
    np.testing.assert_allclose(outputs(CASES[name]), golden, rtol=1e-3, atol=1e-4 * np.abs(golden).max())


def test_nothing_else_is_stored() -> None:
    assert set(json.loads(GOLDEN.read_text())) == {*CASES, "swift as drawn"}


def as_drawn() -> list[float]:
    """Of the default net's first stage, some of the weights that the seed draws, and of the last layer."""
    net = Recipe().build_net(classes=7).state_dict()
    drawn = [net["backbone.stem.0.weight"], net["backbone.stages.3.1.body.4.weight"], net["head.classifier.weight"]]
    return [float(f"{value:.6g}") for part in drawn for value in part.flatten()[:4].tolist()]


def test_the_seed_draws_the_weights_stored() -> None:
    np.testing.assert_allclose(as_drawn(), json.loads(GOLDEN.read_text())["swift as drawn"], rtol=1e-5)


if __name__ == "__main__":
    content = {**{name: outputs(text) for name, text in CASES.items()}, "swift as drawn": as_drawn()}
    rows = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in content.items()]
    GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")
