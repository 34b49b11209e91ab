"""Normalisation, the first layer of every net: raw pixels, 0 to 255, become numbers about 0."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from mien.train.settings import Interval, Settings
from mien.types import batches


@dataclass(frozen=True)
class Normalise(Settings, section="normalise"):
    """The normalisation of pixels: minus a mean, over a standard deviation."""

    # face: each face's own mean and deviation; fixed: `mean` and `std`; train: those of this run's train faces
    by: Literal["face", "fixed", "train"] = "face"
    mean: Annotated[float, Interval("[-10, 10]")] = 0.5057  # for fixed: pixels are in [0, 1]; by default FER2013's
    std: Annotated[float, Interval("[0.001, 10]")] = 0.2552


class FaceNormalise(nn.Module):
    """Normalise each face by its own mean and standard deviation, so that light and contrast do not matter."""

    def forward(self, faces: Tensor) -> Tensor:
        centred = faces - faces.mean(dim=(1, 2, 3), keepdim=True)
        deviation = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return centred / (deviation + 1.0)  # one grey level: a blank face becomes zeros


class SetNormalise(nn.Module):
    """Normalise every face by one mean and one standard deviation: the recipe's, or those that `measure` finds."""

    moments: Tensor  # (2,) float32: mean and standard deviation of pixels in [0, 1]

    def __init__(self, normalise: Normalise) -> None:
        super().__init__()
        self.by = normalise.by
        self.register_buffer("moments", torch.tensor((normalise.mean, normalise.std)))

    def measure(self, images: Tensor) -> None:
        """Take the moments from (N, S, S) uint8 faces."""
        total = squares = torch.zeros((), dtype=torch.float64)
        for part in batches(len(images), 1024):
            pixels = images[part].double() / 255
            total, squares = total + pixels.sum(), squares + pixels.square().sum()
        mean = total / images.numel()
        deviation = (squares / images.numel() - mean.square()).clamp(min=0).sqrt()
        self.moments.copy_(torch.stack((mean, deviation.clamp(min=1 / 255))))

    def forward(self, faces: Tensor) -> Tensor:
        mean, deviation = self.moments
        normalised: Tensor = (faces / 255 - mean) / deviation
        return normalised


def make_normaliser(normalise: Normalise) -> FaceNormalise | SetNormalise:
    """Make the layer that a recipe's [normalise] describes."""
    return FaceNormalise() if normalise.by == "face" else SetNormalise(normalise)
