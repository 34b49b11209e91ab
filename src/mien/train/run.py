"""A run's folder: the recipe, what it was run on, its epochs, its weights. Everything in it is written whole.

recipe.toml         the recipe, every value spelled out
run.json            seed, versions, hash and counts of the faces
last.safetensors    all that is needed to go on: weights, their average, the optimiser's memory, the epochs so far
best.safetensors    the average of the epoch with the highest validation accuracy
metrics.csv, curve.png   the epochs, for people
"""

import csv
import dataclasses
import io
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mien.errors import RunError
from mien.files import write_text, written_whole


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


def save_tensors(path: Path, tensors: dict[str, Tensor], epochs: list[Epoch], facts: dict[str, Any]) -> None:
    """Write a checkpoint: tensors by name, the epochs so far, and facts about the run."""
    from safetensors.torch import save

    header = {"mien": json.dumps({"epochs": [dataclasses.asdict(epoch) for epoch in epochs], **facts})}
    content = save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, header)
    with written_whole(path) as file:
        file.write(content)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], list[Epoch], dict[str, Any]]:
    """What `save_tensors` wrote. Raises RunError where the file is missing or is no checkpoint."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["mien"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is no checkpoint of a run: {error}") from error
    epochs = [Epoch(**epoch) for epoch in facts.pop("epochs")]
    return tensors, epochs, facts


def write_for_people(folder: Path, epochs: list[Epoch]) -> None:
    """Write metrics.csv and curve.png anew."""
    text = io.StringIO()
    rows = csv.DictWriter(text, [field.name for field in dataclasses.fields(Epoch)], lineterminator="\n")
    rows.writeheader()
    rows.writerows(dataclasses.asdict(epoch) for epoch in epochs)
    write_text(folder / "metrics.csv", text.getvalue())
    _draw_curve(folder / "curve.png", epochs)


def _draw_curve(path: Path, epochs: list[Epoch]) -> None:
    from matplotlib.figure import Figure

    numbers = [epoch.number for epoch in epochs]
    figure = Figure(figsize=(8, 4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(numbers, [epoch.train_loss for epoch in epochs], label="train")
    loss.plot(numbers, [epoch.valid_loss for epoch in epochs], label="valid")
    loss.set(xlabel="epoch", ylabel="loss, nats")
    loss.legend(frameon=False)
    accuracy.plot(numbers, [epoch.valid_accuracy for epoch in epochs], color="tab:orange")
    accuracy.set(xlabel="epoch", ylabel="accuracy on valid")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with written_whole(path) as file:
        figure.savefig(file, format="png", dpi=120)


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


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
