"""facenet29: its maps, its parameters, and the weights that it begins with."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mien.errors import RecipeError
from mien.train.nets import FaceNet
from mien.train.recipe_toml import parse_recipe


def made(options: str = "", *, side: int = 48) -> FaceNet:
    text = f'[net]\nname = "facenet29"\n{options}\n[optim]\nimage_sizes = [[{side}, 1.0]]'
    return parse_recipe(text).build_net(classes=7)


def test_maps_have_the_sides_that_the_docstring_says() -> None:
    net = made().eval()
    assert [maps.shape[1:] for maps in net.backbone(torch.rand(1, 1, 48, 48))] == [
        (32, 22, 22),
        (64, 11, 11),
        (128, 5, 5),
        (256, 2, 2),
    ]
    assert sum(weight.numel() for weight in net.parameters()) == 4_393_696 + 256 * 7 + 7


def test_faces_below_28_pixels_are_refused() -> None:
    assert made(side=28).eval()(torch.rand(2, 1, 28, 28)).shape == (2, 7)
    with pytest.raises(RecipeError, match="must be 28 or more"):
        made(side=27)


def test_begins_with_the_weights_of_a_file(tmp_path: Path) -> None:
    drawn = {name: torch.rand(part.shape).to(part.dtype) for name, part in made().backbone.state_dict().items()}
    save_file(drawn, tmp_path / "weights.safetensors")
    loaded = made(f'weights = "{tmp_path / "weights.safetensors"}"').backbone.state_dict()
    assert all(torch.equal(loaded[name], part) for name, part in drawn.items())


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    save_file({"stem.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    for name in ("other.safetensors", "missing.safetensors"):
        with pytest.raises(RecipeError, match=r"net.weights must be a file of facenet29's weights.*convert_facenet"):
            made(f'weights = "{tmp_path / name}"')
