"""How many faces a second training sees: this trainer, and a plain loop of Pillow, DataLoader and torch, in one run.

    python benchmarks/trainer.py [--recipe recipes/report/final-18.toml] [--steps 20] [--rounds 3] [--threads 1]

Both do the same work: the report's ResNet-18 and augmentation, its smoothed cross entropy, SGD. The plain
loop does it as it is usually written: each face padded, cut out, re-lit and mirrored as a Pillow image, by 0 and by 2
worker processes. The faces are noise, since what they show costs nothing. Prints the median of the rounds, of whole
steps and of the preparation of faces alone; then the same of this trainer with bfloat16, where the processor has it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from mien.labels import EXPRESSIONS
from mien.train import Recipe, load_recipe, train
from mien.train.inputs.batch import make_batch
from mien.train.loss.losses import class_weights
from mien.types import FaceSet

RECIPE = Path(__file__).parents[1] / "recipes" / "report" / "final-18.toml"


class PlainFaces(Dataset[tuple[Tensor, int]]):
    """The train faces, each augmented by Pillow when it is asked for."""

    def __init__(self, faces: FaceSet, recipe: Recipe) -> None:
        self.images, self.labels, self.augment = faces.images, faces.labels.tolist(), recipe.augment

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        augment, draw = self.augment, torch.rand(6).tolist()
        face = Image.fromarray(self.images[row])
        if draw[0] < augment.pad_crop_prob:
            face = ImageOps.expand(face, augment.pad)
            left, top = (int(each * (face.width - augment.crop + 1)) for each in draw[1:3])
            face = face.crop((left, top, left + augment.crop, top + augment.crop))
        face = ImageEnhance.Brightness(face).enhance(1 + augment.brightness * (2 * draw[3] - 1))
        face = ImageEnhance.Contrast(face).enhance(1 + augment.contrast * (2 * draw[4] - 1))
        if draw[5] < augment.flip_prob:
            face = ImageOps.mirror(face)
        return torch.from_numpy(np.array(face, np.float32))[None], self.labels[row]


def noise(train_faces: int, valid_faces: int) -> FaceSet:
    rng, count = np.random.default_rng(0), train_faces + valid_faces
    return FaceSet(
        images=rng.integers(0, 256, (count, 48, 48), dtype=np.uint8),
        labels=np.arange(count) % len(EXPRESSIONS),
        splits=np.array(["train"] * train_faces + ["valid"] * valid_faces),
        ids=np.arange(count).astype(np.str_),
    )


def loader(faces: FaceSet, recipe: Recipe, workers: int) -> DataLoader[tuple[Tensor, int]]:
    data = PlainFaces(faces[faces.splits == "train"], recipe)
    return DataLoader(
        data, recipe.optim.batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )


def plain_steps(faces: FaceSet, recipe: Recipe, workers: int) -> float:
    """Faces a second of a second epoch: by then the workers have started."""
    net = recipe.build_net(classes=len(EXPRESSIONS)).to(memory_format=torch.contiguous_format).train()
    weights = class_weights(recipe.loss, faces, classes=len(EXPRESSIONS))
    optim = torch.optim.SGD(
        net.parameters(), recipe.optim.lr, momentum=recipe.optim.momentum, weight_decay=recipe.optim.weight_decay
    )
    batches, paces = loader(faces, recipe, workers), []
    for _ in range(2):
        started, seen = time.perf_counter(), 0
        for images, labels in batches:
            loss = functional.cross_entropy(net(images), labels, weights, label_smoothing=recipe.loss.smoothing)
            optim.zero_grad()
            loss.backward()
            optim.step()
            seen += len(labels)
        paces.append(seen / (time.perf_counter() - started))
    return paces[-1]


def plain_preparation(faces: FaceSet, recipe: Recipe, workers: int) -> float:
    batches = loader(faces, recipe, workers)
    for _ in range(2):
        started = time.perf_counter()
        seen = sum(len(labels) for _, labels in batches)
    return seen / (time.perf_counter() - started)


def our_steps(faces: FaceSet, recipe: Recipe) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return list(train(recipe, faces, out=folder))[-1].faces_per_second


def our_preparation(faces: FaceSet, recipe: Recipe) -> float:
    images = torch.from_numpy(faces.images[faces.splits == "train"])
    generator = torch.Generator().manual_seed(0)
    started = time.perf_counter()
    order = torch.randperm(len(images), generator=generator)
    for rows in order.split(recipe.optim.batch):
        make_batch(images, rows, recipe.augment, side=48, generator=generator)
    return len(images) / (time.perf_counter() - started)


def has_bfloat16() -> bool:
    about = Path("/proc/cpuinfo")
    return about.exists() and "bf16" in about.read_text(encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--steps", type=int, default=20, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = load_recipe(arguments.recipe, ["optim.epochs=2", 'optim.precision="32-true"'])
    brief = load_recipe(arguments.recipe, ["optim.epochs=2", 'optim.precision="bf16-mixed"'])
    faces = noise(arguments.steps * recipe.optim.batch, 63)
    ways: dict[str, Callable[[], float]] = {
        "prepared by the plain loop, 0 workers": lambda: plain_preparation(faces, recipe, 0),
        "prepared by the plain loop, 2 workers": lambda: plain_preparation(faces, recipe, 2),
        "prepared by mien": lambda: our_preparation(faces, recipe),
        "trained by the plain loop, 0 workers": lambda: plain_steps(faces, recipe, 0),
        "trained by the plain loop, 2 workers": lambda: plain_steps(faces, recipe, 2),
        "trained by mien": lambda: our_steps(faces, recipe),
    }
    if has_bfloat16():
        ways["trained by mien, bfloat16"] = lambda: our_steps(faces, brief)
    paces: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):  # the ways in turn, so that another load on the machine meets all
        for name, way in ways.items():
            paces[name].append(way())
    medians = {name: statistics.median(found) for name, found in paces.items()}
    print(f"{recipe.net.name}, batch {recipe.optim.batch}, {arguments.threads} threads, torch {torch.__version__}")
    for name, pace in medians.items():
        base = medians[f"{name.split()[0]} by the plain loop, 0 workers"]
        print(f"{name:<40} {pace:8.0f} faces/s  x{pace / base:.2f}")


if __name__ == "__main__":
    main()
