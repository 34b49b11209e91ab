"""The networks: `NETS` names them, `build_net` makes one whole, from raw pixels to logits."""

import difflib
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.train.nets.swift import swift
from mien.train.recipe import Net

Choice = TypeVar("Choice")

NETS: dict[str, Callable[[Net, int], nn.Module]] = {"swift": swift}


class FaceNormalise(nn.Module):
    """Each face brought to mean 0 and standard deviation 1 on its own, so that light and contrast do not matter."""

    def forward(self, faces: Tensor) -> Tensor:
        mean = faces.mean(dim=(1, 2, 3), keepdim=True)
        centred = faces - mean
        deviation = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return centred / (deviation + 1.0)  # one grey level: a blank face becomes zeros


class FixedNormalise(nn.Module):
    """Every face by the mean and standard deviation of FER2013's training faces, of a pixel in [0, 1]."""

    def forward(self, faces: Tensor) -> Tensor:
        return (faces / 255 - 0.5057) / 0.2552


NORMALISERS: dict[str, Callable[[], nn.Module]] = {"face": FaceNormalise, "fixed": FixedNormalise}


class FaceNet(nn.Module):
    """(N, 1, S, S) float32 in 0 to 255 -> (N, classes) logits: normalisation is part of the net."""

    def __init__(self, how: Net, classes: int) -> None:
        super().__init__()
        self.normalise = _chosen(NORMALISERS, how.normalise, "net.normalise")()
        self.layers = _chosen(NETS, how.name, "net.name")(how, classes)

    def forward(self, faces: Tensor) -> Tensor:
        logits: Tensor = self.layers(self.normalise(faces))
        return logits


def build_net(how: Net, *, classes: int, seed: int) -> FaceNet:
    """The net that a recipe names, its weights drawn from the seed. Raises RecipeError for an unknown name."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = FaceNet(how, classes)
    for weight in net.parameters():
        if weight.ndim == 4:  # channels last: the order in which processors convolve fastest
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return net


def _chosen(choices: dict[str, Choice], name: str, key: str) -> Choice:
    if name not in choices:
        near = difflib.get_close_matches(name, choices, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RecipeError(f"{key} must be one of {', '.join(choices)}, got {name!r}{hint}")
    return choices[name]
