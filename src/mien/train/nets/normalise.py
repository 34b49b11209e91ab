"""Normalisation, the first layer of every net: raw pixels, 0 to 255, to a mean and a standard deviation."""

import torch
from torch import Tensor, nn

from mien.train.recipe import Normalise
from mien.types import batches

FER2013 = 0.5057, 0.2552  # mean and standard deviation of the training faces' pixels, of 1


class FaceNormalise(nn.Module):
    """Each face by its own mean and standard deviation, so that light and contrast do not matter."""

    def __init__(self, how: Normalise) -> None:
        super().__init__()
        self.how = how

    def forward(self, faces: Tensor) -> Tensor:
        if self.how.equalise:
            faces = equalised(faces)
        centred = faces - faces.mean(dim=(1, 2, 3), keepdim=True)
        deviation = centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return _brought(centred / (deviation + 1.0), self.how)  # one grey level: a blank face becomes zeros


class SetNormalise(nn.Module):
    """Every face by the mean and standard deviation of a set of faces, FER2013's until `measure` is called."""

    moments: Tensor  # (2,) float32: mean and standard deviation, of 1

    def __init__(self, how: Normalise) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("moments", torch.tensor(FER2013))

    def measure(self, images: Tensor) -> None:
        """Take the moments from (N, S, S) uint8 faces, equalised where the recipe says so."""
        total = squares = torch.zeros((), dtype=torch.float64)
        for part in batches(len(images), 1024):
            faces = images[part].unsqueeze(1).float()
            pixels = (equalised(faces) if self.how.equalise else faces).double() / 255
            total, squares = total + pixels.sum(), squares + pixels.square().sum()
        mean = total / images.numel()
        deviation = (squares / images.numel() - mean.square()).clamp(min=0).sqrt()
        self.moments.copy_(torch.stack((mean, deviation.clamp(min=1 / 255))))

    def forward(self, faces: Tensor) -> Tensor:
        if self.how.equalise:
            faces = equalised(faces)
        mean, deviation = self.moments
        return _brought((faces / 255 - mean) / deviation, self.how)


def make_normaliser(how: Normalise) -> FaceNormalise | SetNormalise:
    """The layer that a recipe's [normalise] describes."""
    return FaceNormalise(how) if how.by == "face" else SetNormalise(how)


def equalised(faces: Tensor) -> Tensor:
    """(N, 1, S, S) float32 in 0 to 255 -> the same, each face's grey levels spread evenly: histogram equalisation.

    A grey level becomes the share of the face's pixels that are as dark or darker, stretched so that the darkest is 0
    and the brightest 255. A blank face becomes black.
    """
    levels = faces.flatten(1).round().long()
    counts = faces.new_zeros(levels.shape[0], 256).scatter_add(1, levels, torch.ones_like(levels, dtype=faces.dtype))
    darker = counts.cumsum(dim=1).gather(1, levels)
    least = darker.amin(dim=1, keepdim=True)
    share = (darker - least) / (levels.shape[1] - least).clamp(min=1)
    return (255 * share).reshape(faces.shape)


def _brought(standard: Tensor, how: Normalise) -> Tensor:
    return standard if (how.mean, how.std) == (0.0, 1.0) else standard * how.std + how.mean
