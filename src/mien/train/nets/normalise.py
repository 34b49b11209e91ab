"""Normalisation, the first layer of every net: raw pixels, 0 to 255, to a mean and a standard deviation."""

import torch
from torch import Tensor, nn

from mien.train.recipe import Normalise

FER2013 = 0.5057, 0.2552  # mean and standard deviation of the training faces' pixels, of 1


class FaceNormalise(nn.Module):
    """Each face by its own mean and standard deviation, so that light and contrast do not matter."""

    def __init__(self, how: Normalise) -> None:
        super().__init__()
        self.how = how

    def forward(self, faces: Tensor) -> Tensor:
        centred = faces - faces.mean(dim=(1, 2, 3), keepdim=True)
        deviation = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return _brought(centred / (deviation + 1.0), self.how)  # one grey level: a blank face becomes zeros


class SetNormalise(nn.Module):
    """Every face by the mean and standard deviation of a set of faces, FER2013's until `measure` is called."""

    moments: Tensor  # (2,) float32: mean and standard deviation

    def __init__(self, how: Normalise) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("moments", torch.tensor(FER2013))

    def measure(self, images: Tensor) -> None:
        """Take the moments from (N, S, S) uint8 faces."""
        counts = torch.bincount(images.reshape(-1).int(), minlength=256).double()
        values = torch.arange(256, dtype=torch.float64) / 255
        mean = (counts * values).sum() / counts.sum()
        variance = (counts * (values - mean) ** 2).sum() / counts.sum()
        self.moments.copy_(torch.stack((mean, variance.sqrt().clamp(min=1 / 255))))

    def forward(self, faces: Tensor) -> Tensor:
        mean, deviation = self.moments
        return _brought((faces / 255 - mean) / deviation, self.how)


def make_normaliser(how: Normalise) -> FaceNormalise | SetNormalise:
    """The layer that a recipe's [normalise] describes."""
    return FaceNormalise(how) if how.by == "face" else SetNormalise(how)


def _brought(standard: Tensor, how: Normalise) -> Tensor:
    return standard if (how.mean, how.std) == (0.0, 1.0) else standard * how.std + how.mean
