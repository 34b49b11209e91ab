"""ResNet-18 and -34 are torchvision's, layer for layer, but for one channel in."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mien.train.nets import FaceNet
from mien.train.nets.resnet import Convolution
from mien.train.recipe_toml import parse_recipe

# torchvision's blocks: (name, channels in, channels out, stride of the first convolution).
BLOCKS_18 = [
    ("layer1.0", 64, 64, 1),
    ("layer1.1", 64, 64, 1),
    ("layer2.0", 64, 128, 2),
    ("layer2.1", 128, 128, 1),
    ("layer3.0", 128, 256, 2),
    ("layer3.1", 256, 256, 1),
    ("layer4.0", 256, 512, 2),
    ("layer4.1", 512, 512, 1),
]
BLOCKS_34 = [
    *(("layer1." + number, 64, 64, 1) for number in "012"),
    ("layer2.0", 64, 128, 2),
    *(("layer2." + number, 128, 128, 1) for number in "123"),
    ("layer3.0", 128, 256, 2),
    *(("layer3." + number, 256, 256, 1) for number in "12345"),
    ("layer4.0", 256, 512, 2),
    *(("layer4." + number, 512, 512, 1) for number in "12"),
]
BLOCKS = {"resnet18": BLOCKS_18, "resnet34": BLOCKS_34}
# torchvision's 11,689,512 and 21,797,672, less 2 of 3 channels in and 993 of 1000 classes.
PARAMETERS = {"resnet18": 11_173_831, "resnet34": 21_281_991}


def made(name: str, stem: str = "") -> FaceNet:
    return parse_recipe(f'[net]\nname = "{name}"\n{stem}\n[head]\ndropout = 0').build_net(classes=7).eval()


def named_as_theirs(net: FaceNet) -> dict[str, Tensor]:
    own = {name.removeprefix("backbone."): values for name, values in net.state_dict().items()}
    return {name.replace("head.classifier", "fc"): values for name, values in own.items()}


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 1, 7, 7), **norm("bn1", 64)}
    for block, before, after, stride in BLOCKS[name]:
        found |= {f"{block}.conv1.weight": (after, before, 3, 3), **norm(f"{block}.bn1", after)}
        found |= {f"{block}.conv2.weight": (after, after, 3, 3), **norm(f"{block}.bn2", after)}
        if stride == 2:
            found |= {f"{block}.downsample.0.weight": (after, before, 1, 1), **norm(f"{block}.downsample.1", after)}
    return found | {"fc.weight": (7, 512), "fc.bias": (7,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    four = {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**four, f"{name}.num_batches_tracked": ()}


def theirs(weights: dict[str, Tensor], faces: Tensor, name: str) -> Tensor:
    """He et al.'s net as torchvision computes it, from its weights alone."""

    def normed(maps: Tensor, at: str) -> Tensor:
        mean, var, weight, bias = (
            weights[f"{at}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(maps, mean, var, weight, bias)

    maps = functional.conv2d(faces, weights["conv1.weight"], stride=2, padding=3)
    maps = functional.max_pool2d(normed(maps, "bn1").relu(), 3, 2, 1)
    for at, _, _, stride in BLOCKS[name]:
        inner = normed(functional.conv2d(maps, weights[f"{at}.conv1.weight"], stride=stride, padding=1), f"{at}.bn1")
        inner = normed(functional.conv2d(inner.relu(), weights[f"{at}.conv2.weight"], padding=1), f"{at}.bn2")
        if stride == 2:
            shorter = functional.conv2d(maps, weights[f"{at}.downsample.0.weight"], stride=2)
            maps = normed(shorter, f"{at}.downsample.1")
        maps = (maps + inner).relu()
    return maps.mean(dim=(2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_it_is_torchvisions(name: str) -> None:
    net = made(name)
    assert sum(weight.numel() for weight in net.parameters()) == PARAMETERS[name]
    weights = named_as_theirs(net)
    assert {key: tuple(values.shape) for key, values in weights.items()} == shapes(name)
    faces = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        wanted = theirs(weights, net.normalise(faces), name)
        torch.testing.assert_close(net(faces), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_torchvisions_weights_give_torchvisions_output(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    other = getattr(models, name)(num_classes=7).eval()
    other.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    net = made(name)
    named = {key if key.startswith("fc") else f"backbone.{key}": values for key, values in other.state_dict().items()}
    net.load_state_dict({key.replace("fc", "head.classifier"): values for key, values in named.items()})
    faces = torch.rand(2, 1, 48, 48) * 255
    with torch.no_grad():
        torch.testing.assert_close(net(faces), other(net.normalise(faces)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("stem", "sides"),
    [
        ("", [12, 6, 3, 2]),
        ("stem_kernel = 3\nstem_stride = 1\nstem_pool = false", [48, 24, 12, 6]),
        ("stem_kernel = 3\nstem_pool = false", [24, 12, 6, 3]),
    ],
    ids=["7x7", "3x3", "3x3 of stride 2"],
)
def test_the_stem_says_how_large_the_maps_are(stem: str, sides: list[int]) -> None:
    backbone = made("resnet18", stem).backbone
    with torch.no_grad():
        assert [maps.shape[-1] for maps in backbone(torch.rand(1, 1, 48, 48))] == sides


@pytest.mark.parametrize(("side", "stride"), [(1, 1), (2, 2), (2, 1), (3, 2)])
def test_small_maps_are_convolved_like_others(side: int, stride: int) -> None:
    layer, maps = Convolution(3, 5, stride=stride), torch.rand(4, 3, side, side, requires_grad=True)
    wanted = functional.conv2d(maps, layer.weight, stride=stride, padding=1)
    got = layer(maps)
    torch.testing.assert_close(got, wanted)
    weight = torch.rand(wanted.shape)
    for own, theirs_ in zip(
        torch.autograd.grad((got * weight).sum(), (maps, layer.weight)),
        torch.autograd.grad((wanted * weight).sum(), (maps, layer.weight)),
        strict=True,
    ):
        torch.testing.assert_close(own, theirs_)
