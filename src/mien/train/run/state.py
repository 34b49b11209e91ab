"""The state of a training: the net, the average of its weights, and the optimizer."""

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mien.train.nets import FaceNet
from mien.train.optim.optimizers import make_optimizer, optimizer_state, restore_optimizer_state
from mien.train.optim.weight_average import WeightAverage
from mien.train.recipe import Recipe
from mien.train.run.checkpoint import Checkpoint, damaged, select_prefix
from mien.train.run.distributed import convert_sync_batchnorm
from mien.types import FaceSet

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class TrainingState:
    """All that the steps of a training change.

    Parameters
    ----------
    recipe
        The recipe of the net and of the optimizer.
    train_faces
        The faces that the net's normalisation is measured on, where the recipe says so.
    class_count
        How many classes the net tells apart.
    fabric
        What the training runs on.
    """

    def __init__(self, recipe: Recipe, train_faces: FaceSet, *, class_count: int, fabric: "Fabric") -> None:
        self.fabric, self.max_grad_norm = fabric, recipe.optim.max_grad_norm
        self.net: FaceNet = recipe.build_net(classes=class_count).to(fabric.device)
        self.net.measure(torch.from_numpy(train_faces.images.copy()))
        self.average = deepcopy(self.net).eval().requires_grad_(False)
        if fabric.world_size > 1:
            convert_sync_batchnorm(self.net)
        self.optimizer = make_optimizer(self.net, recipe.optim)

    def restore(self, saved: Checkpoint, path: Path) -> None:
        """Take on the state of a checkpoint, before `distribute`. Raises RunError where its file is damaged."""
        with damaged(path):
            self.net.load_state_dict(select_prefix("net.", saved.tensors))
            self.average.load_state_dict(select_prefix("average.", saved.tensors))
            restore_optimizer_state(self.optimizer, select_prefix("optimizer.", saved.tensors))
            self.fabric.strategy.precision.load_state_dict(saved.scaler)

    def distribute(self) -> None:
        """Share the net and the optimizer with all processes; from then on they can be stepped."""
        self.forward, self._optimizer = self.fabric.setup(self.net, self.optimizer)
        self._averaging = WeightAverage(self.average, self.net)

    def step(self, lr: float, decay: float) -> None:
        """Move the weights along their gradients, then the average after them, as `WeightAverage` does."""
        if self.max_grad_norm:
            # 16-mixed lets gradients be infinite until it has found its scale; elsewhere the loss tells of them.
            self.fabric.clip_gradients(
                self.forward, self._optimizer, max_norm=self.max_grad_norm, error_if_nonfinite=False
            )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self.fabric.is_global_zero:
            self._averaging.update(decay)

    def tensors(self) -> dict[str, Tensor]:
        """Return all numbers of the state by name, as `restore` takes them."""
        parts = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": optimizer_state(self.optimizer),
        }
        return {f"{part}.{name}": tensor for part, content in parts.items() for name, tensor in content.items()}
