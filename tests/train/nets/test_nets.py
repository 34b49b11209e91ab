"""What all nets have in common: sizes, classes, parameters, and one clear error where a recipe asks the impossible."""

from typing import Any

import pytest
import torch

from mien.errors import RecipeError
from mien.train.nets import FaceNet
from mien.train.recipe_toml import parse_recipe

NARROW = {
    "swift": "widths = [4, 8, 8, 8]\nblocks = 1",
    "resnet18": "",
    "cnn": "widths = [4, 8, 8]",
    "vgg": "widths = [4, 8, 8, 8]",
    "alexnet": "",
}


def made(name: str, options: str = "", *, side: int = 48, classes: int = 7, head: str = "") -> FaceNet:
    text = f'[net]\nname = "{name}"\n{options}\n[head]\n{head}\n[optim]\nimage_sizes = [[{side}, 1.0]]'
    return parse_recipe(text).build_net(classes=classes)


@pytest.mark.parametrize("name", NARROW)
def test_any_number_of_classes_and_side(name: str) -> None:
    net = made(name, NARROW[name], side=16, classes=3)
    for training in (True, False):
        net.train(training)
        for side in (16, 17, 31, 48, 96):
            outputs = net(torch.rand(2, 1, side, side) * 255)
            assert outputs.shape == (2, 3)
            assert outputs.isfinite().all()


@pytest.mark.parametrize(
    ("name", "options", "head", "parameters"),
    [
        ("swift", "", "", 4_437_483),
        ("resnet18", "stem_kernel = 3\nstem_stride = 1\nstem_pool = false", "", 11_173_831 - 64 * (49 - 9)),
        # 1 x 9 x 32 + 32 x 9 x 64 + 64 x 9 x 128, two for each channel's norm, 128 x 7 + 7
        ("cnn", "", "", 288 + 18_432 + 73_728 + 2 * 224 + 903),
        # Each stage: 9 x (in + out) x out, and two for each of the 2 x out channels' norms.
        ("vgg", "", "", sum(9 * (a + b) * b + 4 * b for a, b in ((1, 64), (64, 128), (128, 256), (256, 512))) + 3591),
        (
            "vgg",
            "widths = [4]",
            "pool_grid = 2\nhidden = [4096, 4096]",
            9 * 20 + 16 + 17 * 4096 + 4097 * 4096 + 4097 * 7,
        ),
        ("alexnet", "", "", 25 * 64 + 64 + 1600 * 192 + 192 + 1728 * 384 + 384 + 3456 * 256 + 2304 * 256 + 512 + 1799),
    ],
)
def test_parameters(name: str, options: str, head: str, parameters: int) -> None:
    assert sum(weight.numel() for weight in made(name, options, head=head).parameters()) == parameters


def test_vggs_stages_are_those_of_the_paper() -> None:
    """Khaireddin and Chen (2021) end a face of 40 pixels in 512 maps of 2 x 2."""
    sides = [maps.shape[1:] for maps in made("vgg").eval().backbone(torch.rand(1, 1, 40, 40))]
    assert sides == [(64, 20, 20), (128, 10, 10), (256, 5, 5), (512, 2, 2)]


def test_pools_that_wear_a_face_away_are_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"sides in optim.image_sizes must be 32 or more, since each of the 5 stages of cnn"
    ):
        made("cnn", "widths = [2, 2, 2, 2, 2]", side=16)
    made("cnn", "widths = [2, 2, 2, 2]", side=16)


def test_stages_that_are_not_there_cannot_be_fused() -> None:
    with pytest.raises(RecipeError, match=r"head.fuse must count stages before the last of 3, got \[3\]"):
        made("cnn", head="fuse = [3]")


@pytest.mark.parametrize("name", ["cnn", "vgg", "alexnet"])
def test_a_bare_nets_signal_neither_dies_nor_explodes(name: str) -> None:
    net = made(name, "batch_norm = false").eval()
    maps = net.backbone(torch.randn(8, 1, 48, 48, generator=torch.Generator().manual_seed(0)))
    assert all(0.2 < stage.square().mean().sqrt() < 5 for stage in maps)


def test_dropout_between_layers_acts_in_training_alone() -> None:
    for name in ("swift", "resnet18", "cnn", "vgg", "alexnet"):
        body = made(name, f"{NARROW[name]}\ndropout = 0.5").backbone
        for module in body.modules():  # norms aside: what is left that draws is dropout
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.ones_(module.weight)
                module.momentum = 0.0
        faces = torch.randn(2, 1, 32, 32)
        assert not torch.equal(body.train()(faces)[-1], body(faces)[-1])
        assert torch.equal(body.eval()(faces)[-1], body(faces)[-1])


@pytest.mark.parametrize("activation", ["silu", "gelu", "hardswish"])
def test_swifts_stem_and_activation_are_the_recipes(activation: str) -> None:
    net = made("swift", f'{NARROW["swift"]}\nstem_kernel = 3\nstem_stride = 1\nactivation = "{activation}"').eval()
    kinds = {type(module).__name__.lower() for module in net.backbone.modules()}
    assert activation in kinds
    assert [maps.shape[-1] for maps in net.backbone(torch.rand(1, 1, 48, 48))] == [48, 24, 12, 6]
    stem: Any = net.backbone.stem
    assert stem[0].weight.shape == (4, 1, 3, 3)
