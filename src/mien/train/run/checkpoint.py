"""What a run leaves behind: its epochs and its weights. Everything in its folder is written whole.

recipe.toml         the recipe, every value spelled out
run.json            the recipe once more, versions, hash and counts of the faces, what computes
run.lock            held by the process that trains in the folder
last.safetensors    all that is needed to go on: weights, their average, the optimizer's state, the epochs so far
best.safetensors    the average of the epoch with the highest validation accuracy
metrics.csv, curve.png   the epochs, for people; beside them TensorBoard's, where it is installed
"""

import dataclasses
import importlib.metadata
import json
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from mien._version import __version__
from mien.errors import RunError
from mien.io.atomic_write import atomic_write


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to. Losses in nats, accuracy in [0, 1]; validation is of the averaged weights.

    number counts from 1; side is the faces' in pixels; faces_per_second counts training alone.
    """

    number: int
    side: int
    train_loss: float
    valid_loss: float
    valid_accuracy: float
    lr: float
    seconds: float
    faces_per_second: float


class Checkpoint(NamedTuple):
    """A moment of a run: tensors by name, the epochs so far, and facts about the run."""

    tensors: dict[str, Tensor]
    epochs: list[Epoch]
    facts: dict[str, Any]


def save_checkpoint(path: Path, saved: Checkpoint) -> None:
    """Write a checkpoint. Raises OutputError."""
    from safetensors.torch import save

    header = {"mien": json.dumps({"epochs": [dataclasses.asdict(epoch) for epoch in saved.epochs], **saved.facts})}
    content = save({name: tensor.detach().contiguous() for name, tensor in saved.tensors.items()}, header)
    with atomic_write(path) as file:
        file.write(content)


def load_checkpoint(path: Path) -> Checkpoint:
    """What `save_checkpoint` wrote. Raises RunError where the file is missing or is no checkpoint."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["mien"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
        epochs = [Epoch(**epoch) for epoch in facts.pop("epochs")]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is no checkpoint of a run: {error}") from error
    return Checkpoint(tensors, epochs, facts)


def select_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def library_versions() -> dict[str, str]:
    """What computes here, for whoever wants the same numbers again."""
    names = ("torch", "lightning-fabric", "numpy", "safetensors")
    return {
        "mien": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        **{name: importlib.metadata.version(name) for name in names},
    }


def source_commit() -> str:
    """The commit of the checkout that mien runs from, `-dirty` behind it where files differ; empty where it is none."""
    here = Path(__file__)
    tracked = ["git", "-C", str(here.parent), "ls-files", "--error-unmatch", here.name]
    describe = ["git", "-C", str(here.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        subprocess.run(tracked, capture_output=True, check=True, timeout=10)
        return subprocess.run(describe, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
