"""The training loop: a recipe and faces in, an iterator of epochs and a run's folder out."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.nn import functional

from mien.errors import RunError
from mien.labels import EXPRESSIONS
from mien.train.inputs.augment import resize
from mien.train.inputs.batch import Batch, make_batch
from mien.train.loss.distillation import Teacher, ask_teacher, load_teacher
from mien.train.loss.losses import make_targets
from mien.train.loss.objective import Objective, faces_per_step
from mien.train.loss.prototypes import set_centres
from mien.train.optim.optimizers import make_optimizer, optimizer_state, restore_optimizer_state
from mien.train.optim.schedules import learning_rate, side_at, stops_early
from mien.train.optim.weight_average import average_decay, update_average
from mien.train.recipe import Recipe
from mien.train.run.checkpoint import Checkpoint, Epoch, select_prefix, source_commit
from mien.train.run.distributed import (
    all_equal,
    all_gather,
    convert_sync_batchnorm,
    detect_lost_process,
    fast_precision,
    make_fabric,
    on_rank_zero,
    rank_slice,
)
from mien.train.run.hardware import DEFAULT_HARDWARE, Hardware
from mien.train.run.run_dir import RunDir
from mien.train.run.time_limit import TimeLimit, expected_seconds
from mien.types import FaceSet, Progress, batches

# Called after each step: epochs done (with a fraction), loss in nats, faces a second in this epoch.
Step = Callable[[float, float, float], None]


def train(
    recipe: Recipe,
    faces: FaceSet,
    *,
    out: Path | str,
    resume: bool = False,
    minutes: float = 0.0,
    hardware: Hardware = DEFAULT_HARDWARE,
    teacher: Teacher | None = None,
    progress: Progress | None = None,
    on_step: Step | None = None,
) -> "Run":
    """Train a net by a recipe on the labelled train faces, judged on the valid ones. Iterate over it to make it happen.

    out: the run's folder, made where it is missing. resume: go on with the run that it holds, to the same weights, bit
    for bit, as if it had never stopped.
    minutes: start no epoch that would end later than this from now, but for a new run's first; 0: no limit.
    hardware: what it computes on, which settles the precision "auto".
    teacher: where the recipe's loss.teachers names none, a classifier or scores of the train faces; progress: of what
    it says of the train faces, before the training begins.
    Raises RunError where the faces do not do, the folder already holds a run, the run is of other faces, another recipe
    or another teacher, or there are not as many devices.
    """
    if recipe.optim.precision == "auto":
        recipe = replace(recipe, optim=replace(recipe.optim, precision=fast_precision(hardware.accelerator)))
    fabric = make_fabric(hardware, precision=recipe.optim.precision)
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    if recipe.loss.teachers:
        if teacher is not None:
            raise RunError("a teacher must be given by loss.teachers or to train(), got both")
        teacher = load_teacher(recipe.loss.teachers, threads=hardware.threads)
    return Run(
        recipe,
        faces,
        Path(out),
        fabric=fabric,
        resume=resume,
        time_limit=TimeLimit(minutes),
        teacher=teacher,
        progress=progress,
        on_step=on_step,
    )


class Run:
    """A training run. Iterating yields an `Epoch` each time one is done and safely on disk."""

    def __init__(
        self,
        recipe: Recipe,
        faces: FaceSet,
        out: Path,
        *,
        fabric: Fabric,
        resume: bool,
        time_limit: TimeLimit,
        teacher: Teacher | None,
        progress: Progress | None,
        on_step: Step | None,
    ) -> None:
        labelled = faces[faces.labels >= 0]
        self.recipe, self.out, self.fabric, self.time_limit, self.on_step = recipe, out, fabric, time_limit, on_step
        self.train_faces = labelled[labelled.splits == "train"]
        self.valid_faces = labelled[labelled.splits == "valid"]
        self.names = EXPRESSIONS
        self.run_dir = RunDir(out, self._facts(faces))
        self._check()
        on_rank_zero(fabric, lambda: self.run_dir.require_vacant(resume=resume))
        taught = None
        if teacher is not None:
            taught = ask_teacher(teacher, self.train_faces, class_names=self.names, progress=progress)
            if not all_equal(fabric, taught.teacher):
                raise RunError("every machine of a run must have the same teacher")
            self.run_dir.facts["teacher"] = taught.teacher
        self.epochs: list[Epoch] = []
        self.out_of_time = False
        self._torn = False  # in the middle of an epoch: the weights are not those on disk
        self.net = recipe.build_net(classes=len(self.names)).to(fabric.device)
        probs = taught.probs if taught else None
        targets = make_targets(recipe.loss, self.train_faces, classes=len(self.names), teacher_probs=probs)
        labels = torch.from_numpy(self.train_faces.labels.copy())
        self.objective = Objective(
            recipe.loss, labels=labels, targets=targets, batch=recipe.optim.batch, class_names=self.names
        )
        self.net.measure(torch.from_numpy(self.train_faces.images.copy()))
        self.average = deepcopy(self.net).eval().requires_grad_(False)
        if fabric.world_size > 1:
            convert_sync_batchnorm(self.net)
        self.optimizer = make_optimizer(self.net, recipe.optim)
        saved = on_rank_zero(fabric, self._open, resume)
        if saved:
            self._restore(saved)
        self._forward, self._optimizer = fabric.setup(self.net, self.optimizer)

    def _check(self) -> None:
        batch, devices = (
            faces_per_step(self.recipe.loss, batch=self.recipe.optim.batch, classes=len(self.names)),
            self.fabric.world_size,
        )
        if len(self.train_faces) < batch or not len(self.valid_faces):
            counts = f"{len(self.train_faces)} train and {len(self.valid_faces)} valid"
            hint = "" if len(self.valid_faces) else "; set some aside: mien data import ... --split-valid 0.15"
            raise RunError(f"a run needs {batch} labelled train faces and 1 valid one, got {counts}{hint}")
        if batch < devices:
            raise RunError(f"each of the {devices} devices must have a face of every batch, got batches of {batch}")
        what = self.run_dir.facts["recipe"], self.run_dir.facts["faces_hash"]
        if not all_equal(self.fabric, what):
            raise RunError("every machine of a run must have the same recipe and the same faces")

    def _open(self, resume: bool) -> Checkpoint | None:
        computer = {
            "device": str(self.fabric.device),
            "processes": self.fabric.world_size,
            "threads": torch.get_num_threads(),
        }
        return self.run_dir.open(resume=resume, computer=computer)

    def _facts(self, faces: FaceSet) -> dict[str, Any]:
        return {
            "recipe": self.recipe.to_toml(),
            "faces_hash": faces.hash,
            "labels": list(self.names),
            "train_faces": len(self.train_faces),
            "valid_faces": len(self.valid_faces),
            "commit": source_commit(),
        }

    def _restore(self, saved: Checkpoint) -> None:
        self.epochs = saved.epochs
        self.net.load_state_dict(select_prefix("net.", saved.tensors))
        self.average.load_state_dict(select_prefix("average.", saved.tensors))
        restore_optimizer_state(self.optimizer, select_prefix("optimizer.", saved.tensors))
        self.fabric.strategy.precision.load_state_dict(saved.facts.get("scaler", {}))

    def __iter__(self) -> Iterator[Epoch]:
        """Train the epochs that are left. A killed process loses the epoch under way and nothing else."""
        if self._torn:
            raise RunError(f"this run was broken off in the middle of an epoch: go on with {self.out} by resume")
        with ExitStack() as alone:
            if not self.finished:
                on_rank_zero(self.fabric, lambda: alone.enter_context(self.run_dir.alone(self.epochs)))
            while not self.finished:
                with detect_lost_process(self.fabric):
                    if not on_rank_zero(self.fabric, self._in_time):
                        self.out_of_time = True
                        return
                    self._torn = True
                    epoch = self._epoch(len(self.epochs))
                    on_rank_zero(self.fabric, self._save, epoch)
                    self.epochs.append(epoch)
                    on_rank_zero(self.fabric, self.run_dir.draw, self.epochs)
                self._torn = False
                yield epoch

    @property
    def best(self) -> Epoch | None:
        """The epoch with the highest validation accuracy so far."""
        return max(self.epochs, key=lambda epoch: epoch.valid_accuracy, default=None)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or training stops early (`optim.early_stop_patience`)."""
        done = len(self.epochs) >= self.recipe.optim.epochs
        return done or stops_early(self.recipe.optim, self._accuracies())

    def _accuracies(self) -> list[float]:
        return [epoch.valid_accuracy for epoch in self.epochs]

    @property
    def next_epoch_seconds(self) -> float:
        """How long the next epoch will take, by the pace of the last ones; 0 before the first."""
        return expected_seconds(self.recipe.optim, self.epochs)

    def _in_time(self) -> bool:
        return self.time_limit.allows(self.next_epoch_seconds)

    def _epoch(self, index: int) -> Epoch:
        started = time.perf_counter()
        side = side_at(self.recipe.optim, index)
        # All that is random in an epoch comes from the seed and its number, so that it can be done again to the bit.
        seed = self.recipe.seed * 1_000_003 + index
        device = self.fabric.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            # Dropout draws from torch's own generator, in each process from another one, for faces of its own.
            torch.manual_seed(seed + (self.fabric.global_rank << 40))
            train_loss, rate = self._train_epoch(index, side, torch.Generator().manual_seed(seed))
        trained = time.perf_counter()
        valid_loss, accuracy = on_rank_zero(self.fabric, self._validate, side)
        _check_finite(valid_loss, epoch=index + 1)
        size = self.objective.size
        seen = len(self.train_faces) // size * size
        return Epoch(
            number=index + 1,
            side=side,
            train_loss=train_loss,
            valid_loss=valid_loss,
            valid_accuracy=accuracy,
            lr=rate,
            seconds=time.perf_counter() - started,
            faces_per_second=seen / (trained - started),
        )

    def _train_epoch(self, index: int, side: int, generator: torch.Generator) -> tuple[float, float]:
        optim = self.recipe.optim
        images = torch.from_numpy(self.train_faces.images.copy())
        order = self.objective.draw_order(generator)
        steps = len(order)
        losses, rate, started = [], 0.0, time.perf_counter()
        self.net.train()
        for step, chosen in enumerate(order):
            done = index * steps + step
            rate = learning_rate(optim, done, steps=steps, accuracies=self._accuracies())
            # Each process draws for the whole batch, so that it is the same however many there are.
            batch = make_batch(images, chosen, self.recipe.augment, side=side, generator=generator)
            losses.append(self._gradient(batch))
            _check_finite(losses[-1], epoch=index + 1)
            self._step(rate, average_decay(optim, done))
            if self.on_step:
                pace = (step + 1) * len(batch.rows) / (time.perf_counter() - started)
                self.on_step(index + (step + 1) / steps, losses[-1], pace)
        return sum(losses) / len(losses), rate

    def _gradient(self, batch: Batch) -> float:
        """Give each weight its gradient for a batch; return the loss."""
        own = rank_slice(self.fabric, len(batch.rows))
        inputs = batch.faces[own].to(self.fabric.device).contiguous(memory_format=torch.channels_last)
        outputs = all_gather(self.fabric, self._forward(inputs).float(), len(batch.rows)).cpu()
        loss = self.objective.loss(outputs, batch, self.net)
        self.fabric.backward(loss * self.fabric.world_size)  # gradients are averaged over processes, not summed
        return loss.item()

    def _step(self, rate: float, decay: float) -> None:
        limit = self.recipe.optim.max_grad_norm
        if limit:
            # 16-mixed lets gradients be infinite until it has found its scale; elsewhere the loss tells of them.
            self.fabric.clip_gradients(self._forward, self._optimizer, max_norm=limit, error_if_nonfinite=False)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self.fabric.is_global_zero:
            update_average(self.average, self.net, decay)

    @torch.no_grad()
    def _validate(self, side: int) -> tuple[float, float]:
        labels = torch.from_numpy(self.valid_faces.labels.copy())
        logits = []
        with self.fabric.autocast():
            if self.recipe.loss.kind == "prototypical":
                images, known = (torch.tensor(part) for part in (self.train_faces.images, self.train_faces.labels))
                set_centres(self.average, images, known, side=side, class_names=self.names)
            for part in batches(len(labels), 256):
                faces = resize(torch.from_numpy(self.valid_faces.images[part].copy()), side=side)
                inputs = faces.to(self.fabric.device).contiguous(memory_format=torch.channels_last)
                logits.append(self.average(inputs).float().cpu())
        scores = torch.cat(logits)
        accuracy = (scores.argmax(dim=1) == labels).double().mean().item()
        return functional.cross_entropy(scores, labels).item(), accuracy

    def _save(self, epoch: Epoch) -> None:
        parts = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": optimizer_state(self.optimizer),
        }
        tensors = {f"{part}.{name}": tensor for part, content in parts.items() for name, tensor in content.items()}
        scaler = self.fabric.strategy.precision.state_dict()
        self.run_dir.save(Checkpoint(tensors, [*self.epochs, epoch], {"scaler": scaler}))


def _check_finite(loss: float, *, epoch: int) -> None:
    if not math.isfinite(loss):
        safe = "; the epochs before are safe" if epoch > 1 else ""
        raise RunError(f"the loss is {loss} in epoch {epoch}: lower optim.lr, in another folder{safe}")
