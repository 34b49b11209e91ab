"""One epoch of a training: its batches, its steps, and its validation."""

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mien.errors import RunError
from mien.train.inputs.augment import resize
from mien.train.inputs.batch import Batch, BatchTeacher, draw_batches
from mien.train.inputs.views import make_view
from mien.train.loss.losses import Targets
from mien.train.loss.objective import Objective
from mien.train.loss.prototypes import set_centres
from mien.train.optim.schedules import learning_rate
from mien.train.optim.weight_average import average_decay
from mien.train.recipe import Recipe
from mien.train.run.cuda_graph import GraphedStep
from mien.train.run.device_plan import DevicePlan, fast_kernels
from mien.train.run.distributed import all_gather, rank_slice
from mien.train.run.faces import RunFaces
from mien.train.run.state import TrainingState
from mien.train.run.stopwatch import NO_STOPWATCH, Stopwatch
from mien.types import batches

# Called after each step: epochs done (with a fraction), loss in nats, faces a second in this epoch.
OnStep = Callable[[float, float, float], None]

_LOOK_SECONDS = 1.0  # the shown loss may be so old where looking at it waits for a GPU
_VALID_BATCH = 256  # faces


class EpochTrainer:
    """Trains one epoch after the other, and validates.

    Parameters
    ----------
    recipe
        The recipe of the training.
    faces
        The faces that it learns from and is judged by.
    state
        What the steps change.
    objective
        What is minimised.
    plan
        Where all this is.
    teacher
        Is asked about the faces of each batch.
    """

    def __init__(
        self,
        recipe: Recipe,
        faces: RunFaces,
        state: TrainingState,
        objective: Objective,
        plan: DevicePlan,
        *,
        teacher: BatchTeacher | None = None,
    ) -> None:
        self.recipe, self.faces, self.state, self.plan = recipe, faces, state, plan
        self.fabric, self.objective = state.fabric, objective.to(plan.inputs)
        self.images = torch.from_numpy(faces.train.images.copy()).to(plan.inputs)
        self.teacher = teacher
        self._compute = GraphedStep(self._compute_step, state.net) if plan.graph else self._compute_step
        self.stopwatch: Stopwatch = NO_STOPWATCH

    def train(
        self, index: int, side: int, *, accuracies: Sequence[float], on_step: OnStep | None
    ) -> tuple[float, float]:
        """Train for one epoch; return the mean loss and the last learning rate.

        Raises
        ------
        RunError
            Where the loss is no number.
        """
        # All that is random in an epoch comes from the seed and its number, so that it can be done again to the bit.
        seed = self.recipe.seed * 1_000_003 + index
        device = self.fabric.device
        with fast_kernels(device), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            # Dropout draws from torch's own generator, in each process from another one, for faces of its own.
            torch.manual_seed(seed + (self.fabric.global_rank << 40))
            order, made = self._draw(index, side, seed)
            losses, lr = self._take_steps(index, order, made, accuracies=accuracies, on_step=on_step)
        each = torch.stack(losses).tolist()
        loss = sum(each) / len(each)
        self.check_finite(loss, index)
        return loss, lr

    def _draw(self, index: int, side: int, seed: int) -> tuple[Tensor, Iterator[Batch]]:
        """Draw the rows of each step of an epoch, (steps, size), and its batches one by one."""
        recipe, inputs = self.recipe, self.plan.inputs
        generator = torch.Generator().manual_seed(seed)
        order = self.objective.draw_order(generator).to(inputs)
        if inputs.type != "cpu":
            generator = torch.Generator(inputs).manual_seed(seed)
        view = self.objective.choose_view(index)
        if view is None:
            made = draw_batches(
                self.images,
                order,
                recipe.augment,
                side=side,
                generator=generator,
                camera=recipe.camera,
                steps_at_once=self.plan.steps_at_once,
                teacher=self.teacher,
            )
            return order, made
        images = torch.from_numpy(self.faces.train.images.copy())
        faces = make_view(images, recipe.augment, recipe.camera, seed=recipe.seed, view=view, side=side).to(inputs)
        return order, (Batch(faces[rows].unsqueeze(1).float(), rows, None) for rows in order)

    def _take_steps(
        self,
        index: int,
        order: Tensor,
        made: Iterator[Batch],
        *,
        accuracies: Sequence[float],
        on_step: OnStep | None,
    ) -> tuple[list[Tensor], float]:
        """Take the steps of an epoch; return the loss of each, on the device, and the last learning rate."""
        optim, (steps, size) = self.recipe.optim, order.shape
        losses, lr, shown = list[Tensor](), 0.0, math.nan
        started = looked = time.perf_counter()
        self.state.net.train()
        self.stopwatch.start()
        for step, batch in enumerate(made):
            self.stopwatch.lap("data")
            done = index * steps + step
            lr = learning_rate(optim, done, steps=steps, accuracies=accuracies)
            losses.append(self._backward(batch))
            if self.plan.check_steps:
                shown = losses[-1].item()
                self.check_finite(shown, index)
            self.state.step(lr, average_decay(optim, done))
            self.stopwatch.lap("step")
            now = time.perf_counter()
            if not self.plan.check_steps and now - looked > _LOOK_SECONDS:
                shown, looked = losses[-1].item(), now
            if on_step:
                on_step(index + (step + 1) / steps, shown, (step + 1) * size / (now - started))
            self.stopwatch.lap("bookkeeping")
        return losses, lr

    def _backward(self, batch: Batch) -> Tensor:
        """Give each weight its gradient for a batch; return the loss."""
        own = rank_slice(self.fabric, len(batch.rows))
        inputs = batch.faces[own].to(self.fabric.device).contiguous(memory_format=torch.channels_last)
        return self._compute(inputs, self.objective.batch_targets(batch))

    def _compute_step(self, inputs: Tensor, targets: Targets) -> Tensor:
        """Compute forward, loss and backward, of this process's faces and all faces' targets; return the loss."""
        count = len(targets.sample_weight)
        outputs = all_gather(self.fabric, self.state.forward(inputs).float(), count).to(self.plan.inputs)
        loss = self.objective.loss(outputs, targets, self.state.net)
        self.fabric.backward(loss * self.fabric.world_size)  # gradients are averaged over processes, not summed
        return loss.detach()

    @torch.no_grad()
    def validate(self, index: int, side: int) -> tuple[float, float]:
        """Return the loss and the accuracy of the averaged weights on the valid faces. Raises RunError as `train`."""
        train, valid, net = self.faces.train, self.faces.judged, self.state.average
        logits = []
        with fast_kernels(self.fabric.device), self.fabric.autocast():
            if self.recipe.loss.kind == "prototypical":
                images, known = (torch.tensor(part) for part in (train.images, train.labels))
                set_centres(net, images, known, side=side, class_names=train.class_names)
            images = torch.from_numpy(valid.images.copy()).to(self.plan.inputs)
            for part in batches(len(valid), _VALID_BATCH):
                faces = resize(images[part], side=side)
                inputs = faces.to(self.fabric.device).contiguous(memory_format=torch.channels_last)
                logits.append(net(inputs).float())
        scores, labels = torch.cat(logits).cpu(), torch.from_numpy(valid.labels.copy())
        accuracy = (scores.argmax(dim=1) == labels).double().mean().item()
        loss = functional.cross_entropy(scores, labels).item()
        self.check_finite(loss, index)
        return loss, accuracy

    def check_finite(self, loss: float, index: int) -> None:
        """Raise RunError where the loss of an epoch, counted from 0, is no number."""
        if not math.isfinite(loss):
            safe = "; the epochs before are safe" if index and not self.plan.save_seconds else ""
            raise RunError(f"the loss is {loss} in epoch {index + 1}: lower optim.lr, in another folder{safe}")
