"""The converter of the face-recognition net, against the same computation done the long way on drawn weights."""

import json
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from support import load_script

BLOCKS = {
    "32_1": (32, 32), "32_2": (32, 32), "32_3": (32, 32),
    "64_down": (32, 64), "64_1": (64, 64), "64_2": (64, 64), "64_3": (64, 64),
    "128_down": (64, 128), "128_1": (128, 128), "128_2": (128, 128),
    "256_down": (128, 256), "256_1": (256, 256), "256_2": (256, 256),
}  # fmt: skip
Arrays = dict[str, NDArray[np.float64]]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_script("tools/convert_facenet.py")


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    rng, made = np.random.default_rng(5), {}

    def draw(name: str, side: int, before: int, after: int) -> None:
        made[f"{name}/conv/filters"] = rng.normal(0, (side * side * before) ** -0.5, (side, side, before, after))
        for part in ("conv/bias", "scale/weights", "scale/biases"):
            made[f"{name}/{part}"] = rng.normal(1 if part == "scale/weights" else 0, 0.2, after)

    draw("conv32_down", 7, 3, 32)
    for name, (before, after) in BLOCKS.items():
        draw(f"conv{name}/conv1", 3, before, after)
        draw(f"conv{name}/conv2", 3, after, after)
    return made


def long_way(arrays: Arrays, faces: Tensor) -> Tensor:
    """(N, 1, S, S) in 0 to 255 -> the last maps, as the package computes them on colour faces of twice the side."""

    def convolve(maps: Tensor, name: str, *, stride: int = 1) -> Tensor:
        filters = torch.from_numpy(arrays[f"{name}/conv/filters"].transpose(3, 2, 0, 1).copy())
        bias, scale, more = (
            torch.from_numpy(arrays[f"{name}/{part}"]) for part in ("conv/bias", "scale/weights", "scale/biases")
        )
        out = functional.conv2d(maps, filters, bias, stride, padding=0 if stride == 2 else 1)
        return out * scale[:, None, None] + more[:, None, None]

    large = functional.interpolate(faces, scale_factor=2, mode="bilinear", align_corners=False)
    means = torch.tensor([122.782, 117.001, 104.298], dtype=torch.float64)[:, None, None]
    maps = functional.relu(convolve((large - means) / 255, "conv32_down", stride=2))
    maps = functional.max_pool2d(maps, 3, 2)
    for name, (before, after) in BLOCKS.items():
        halve = name.endswith("down")
        out = functional.relu(convolve(maps, f"conv{name}/conv1", stride=2 if halve else 1))
        out = convolve(out, f"conv{name}/conv2")
        if halve:
            maps = functional.avg_pool2d(maps, 2)
            maps = torch.cat((maps, torch.zeros(len(maps), after - before, *maps.shape[2:])), dim=1)
            out = functional.pad(out, (0, maps.shape[3] - out.shape[3], 0, maps.shape[2] - out.shape[2]))
        maps = functional.relu(maps + out)
    return maps


@pytest.mark.parametrize("side", [48, 40])
def test_computes_what_the_package_does(tool: ModuleType, arrays: Arrays, side: int) -> None:
    faces = np.random.default_rng(6).integers(0, 256, (6, side, side), dtype=np.uint8)
    body = tool.convert(arrays, faces)
    mean, deviation = tool.FER2013
    standard = torch.randn(2, 1, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = long_way(arrays, (standard * deviation + mean) * 255)
    assert torch.allclose(body(standard)[-1], expected, rtol=1e-9, atol=1e-9)


def test_norms_hold_the_moments_of_the_faces(tool: ModuleType, arrays: Arrays) -> None:
    faces = np.random.default_rng(6).integers(0, 256, (6, 48, 48), dtype=np.uint8)
    body = tool.convert(arrays, faces)
    pixels = torch.from_numpy(faces[:, None].astype(np.float64))
    pixels = pixels - pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = pixels / (pixels.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 1)
    evaluated = body(pixels)
    for one, two in zip(evaluated, body.train()(pixels), strict=True):
        assert torch.allclose(one, two, rtol=1e-6, atol=1e-6)


def test_all_layers_have_weights_at_one_scale(tool: ModuleType, arrays: Arrays) -> None:
    body = tool.convert(arrays, np.random.default_rng(6).integers(0, 256, (6, 48, 48), dtype=np.uint8))
    convolutions = [weight for weight in body.parameters() if weight.ndim == 4]
    assert len(convolutions) == 27
    assert all(weight.square().mean().item() * weight[0].numel() == pytest.approx(2) for weight in convolutions)


def test_reads_floats_and_numbers_of_8_bits(tool: ModuleType) -> None:
    quantised = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    entries = json.loads(json.dumps([
        {"name": "a", "shape": [3], "quantization": quantised}, {"name": "b", "shape": [1, 2]},
    ]))  # fmt: skip
    content = bytes([0, 2, 255]) + np.array([1.5, -2], "<f4").tobytes()
    read = tool.decode(entries, content)
    assert read["a"].tolist() == [-1, 0, 126.5]
    assert read["b"].tolist() == [[1.5, -2]]
