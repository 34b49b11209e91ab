"""A moment of a run as a file: weights, optimizer state, the epochs so far, and what the run is of."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mien.errors import RunError
from mien.io.atomic_write import atomic_write

Positive = Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch; those of the validation faces are of the averaged weights.

    Parameters
    ----------
    number
        Counts from 1.
    image_size
        The side of the faces, in pixels.
    train_loss, valid_loss
        In nats.
    valid_accuracy
        In [0, 1].
    lr
        The learning rate of the last step.
    seconds
        How long the epoch took, validation included.
    faces_per_second
        The pace of training alone.
    """

    number: Positive
    image_size: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    train_loss: float
    valid_loss: float
    valid_accuracy: Annotated[float, msgspec.Meta(ge=0, le=1)]
    lr: float
    seconds: float
    faces_per_second: float

    def __repr__(self) -> str:
        return f"<Epoch {self.number}: train loss {self.train_loss:.4f}, valid accuracy {self.valid_accuracy:.2%}>"


Epochs = Annotated[list[Epoch], msgspec.Meta(min_length=1)]


@dataclass(frozen=True)
class RunFacts:
    """The facts of a run: its recipe and its faces. Its model file says them again.

    Parameters
    ----------
    recipe
        As TOML text.
    faces_hash
        `FaceSet.hash` of all faces that it was given.
    class_names
        In the order of the net's outputs.
    train_faces, valid_faces
        How many labelled faces of each split there are.
    commit
        The commit of mien when the run began, or empty.
    teacher
        The teacher's name and the hashes of its files, or empty.
    """

    recipe: str
    faces_hash: str
    class_names: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    train_faces: Positive
    valid_faces: Positive
    commit: str = ""
    teacher: str = ""


class Checkpoint(NamedTuple):
    """A moment of a run. scaler: what half precision scales gradients by, or empty."""

    tensors: dict[str, Tensor]
    epochs: list[Epoch]
    facts: RunFacts
    scaler: dict[str, int | float]


@dataclass(frozen=True)
class _Header:
    """The schema of the JSON in a checkpoint's file."""

    epochs: Epochs
    facts: RunFacts
    scaler: dict[str, int | float] = field(default_factory=dict)


def save_checkpoint(path: Path, saved: Checkpoint) -> None:
    """Write a checkpoint. Raises OutputError."""
    header = msgspec.json.encode(_Header(saved.epochs, saved.facts, saved.scaler)).decode()
    content = save({name: tensor.detach().contiguous() for name, tensor in saved.tensors.items()}, {"mien": header})
    with atomic_write(path) as file:
        file.write(content)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises RunError where the file is missing or damaged."""
    with damaged(path), safe_open(path, framework="pt") as file:
        header = msgspec.json.decode(file.metadata()["mien"], type=_Header)
        if [epoch.number for epoch in header.epochs] != list(range(1, len(header.epochs) + 1)):
            raise ValueError("its epochs are not numbered from 1")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
    return Checkpoint(tensors, header.epochs, header.facts, header.scaler)


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Turn whatever a damaged checkpoint leads to in the block into one RunError that names the file."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError, KeyError, IndexError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path} is no checkpoint of a run, or damaged: {reason[:200]}") from error


def select_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, and take the prefix away."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
