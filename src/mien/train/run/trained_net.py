"""Trained nets: loaded from the folders of their runs, and asked as teachers while another net learns."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from mien.errors import RunError
from mien.train.nets import FaceNet, Question
from mien.train.nets.facenet import FaceNet29
from mien.train.recipe import Recipe
from mien.train.recipe_toml import parse_recipe
from mien.train.run.checkpoint import Checkpoint, damaged, load_checkpoint, select_prefix
from mien.types import FACE_SIDE

WhichEpoch = Literal["best", "last"]


class TrainedNet(NamedTuple):
    """The averaged net of an epoch, the side of its faces in pixels, its recipe, and the checkpoint that it is from."""

    net: FaceNet
    side: int
    recipe: Recipe
    saved: Checkpoint


def load_trained_net(folder: Path, *, epoch: WhichEpoch = "best", question: Question | None = None) -> TrainedNet:
    """Load the net of a run's epoch.

    question: the one that it answers, where that is not the recipe's. Raises RunError where the folder holds no
    finished epoch, or a damaged one.
    """
    path = folder / f"{epoch}.safetensors"
    if not path.exists():
        raise RunError(f"{folder} holds no run with a finished epoch; make one with: mien train RECIPE -o {folder}")
    saved = load_checkpoint(path)
    recipe = parse_recipe(saved.facts.recipe, where=f"the recipe in {path}")
    recipe = replace(recipe, loss=replace(recipe.loss, question=question or recipe.loss.question))
    if isinstance(recipe.net, FaceNet29):  # the file that its training began with need not be there any more
        recipe = replace(recipe, net=replace(recipe.net, weights=""))
    net = recipe.build_net(classes=len(saved.facts.class_names))
    with damaged(path):
        net.load_state_dict(select_prefix("average.", saved.tensors))
    return TrainedNet(net.eval().requires_grad_(False), saved.epochs[-1].image_size, recipe, saved)


class TorchTeachers:
    """The mean of trained nets, asked about the very batches that a student learns from, on its device.

    Parameters
    ----------
    nets
        Each net in evaluation mode, and the side in pixels that it takes faces at.
    weights
        The nets' weights in the mean; all alike unless they are given.
    name
        Tells these teachers from others; a run that goes on must have the same.
    autocast
        Makes the context that the nets compute in.
    """

    def __init__(
        self,
        nets: Sequence[tuple[FaceNet, int]],
        *,
        name: str,
        weights: Sequence[float] = (),
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        total = sum(weights) or len(nets)
        self.nets, self.name, self.autocast = list(nets), name, autocast
        self.weights = [weight / total for weight in weights or (1.0,) * len(nets)]

    @torch.no_grad()
    def __call__(self, faces: Tensor) -> Tensor:
        """(B, 1, 48, 48) float32 in 0 to 255 -> (B, classes) float32, probabilities, where the faces are."""
        total: Tensor | float = 0.0
        for (net, side), weight in zip(self.nets, self.weights, strict=True):
            seen, device = faces, next(net.parameters()).device  # several GPUs, and Apple's, get faces from the CPU
            if side != FACE_SIDE:
                seen = functional.interpolate(faces, size=(side, side), mode="bilinear", align_corners=False)
            with self.autocast():
                logits = net(seen.to(device).contiguous(memory_format=torch.channels_last))
            total = total + weight * torch.softmax(logits.float(), dim=1)
        assert isinstance(total, Tensor)  # noqa: S101  # there is one net or more
        return total.to(faces.device)


def load_torch_teachers(
    folders: Sequence[Path],
    *,
    class_names: Sequence[str],
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> TorchTeachers:
    """Load the best epochs of finished runs as teachers of one student.

    Raises RunError where a folder holds no run, or one of other classes.
    """
    nets, names = [], []
    for folder in folders:
        trained = load_trained_net(folder)
        known = trained.saved.facts.class_names
        if list(known) != list(class_names):
            raise RunError(
                f"the teacher {folder} must tell {', '.join(class_names)}, got one that tells {', '.join(known)}"
            )
        nets.append((trained.net.to(device), trained.side))
        names.append(f"{folder.name} {run_hash(folder)}")
    return TorchTeachers(nets, name=" + ".join(names), autocast=autocast)


def run_hash(folder: Path) -> str:
    """Return the SHA-256 (hex) of a run's best epoch. Raises RunError where it cannot be read."""
    try:
        return hashlib.sha256((folder / "best.safetensors").read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"{folder} must be the folder of a run with a finished epoch: {error.strerror}") from error
