"""The training loop: a recipe and faces in, an iterator of epochs and a run's folder out."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional

from mien.errors import RunError
from mien.train.inputs.augment import resize
from mien.train.inputs.batch import Batch, make_batch
from mien.train.loss.distillation import Teacher, TeacherProbs, ask_teacher, load_teacher
from mien.train.loss.losses import make_targets
from mien.train.loss.objective import Objective
from mien.train.loss.prototypes import set_centres
from mien.train.optim.schedules import learning_rate, side_at, stops_early
from mien.train.optim.weight_average import average_decay
from mien.train.recipe import Recipe
from mien.train.run.checkpoint import Checkpoint, Epoch, RunFacts
from mien.train.run.distributed import (
    all_equal,
    all_gather,
    detect_lost_process,
    fast_precision,
    make_fabric,
    on_rank_zero,
    rank_slice,
)
from mien.train.run.environment import describe_environment, source_commit
from mien.train.run.faces import RunFaces
from mien.train.run.hardware import DEFAULT_HARDWARE, Hardware
from mien.train.run.run_dir import RunDir, require_vacant
from mien.train.run.state import TrainingState
from mien.train.run.time_limit import TimeLimit, expected_seconds
from mien.types import FaceSet, Progress, batches

# Called after each step: epochs done (with a fraction), loss in nats, faces a second in this epoch.
OnStep = Callable[[float, float, float], None]


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
    on_step: OnStep | None = None,
) -> "Run":
    """Prepare a training run; iterate over it to train.

    It learns from the labelled faces of the split train, and is judged by those of the split valid.

    Parameters
    ----------
    recipe
        The net and how it is trained.
    faces
        Faces of both splits.
    out
        The folder of the run; it is made where it is missing.
    resume
        Go on with the run that the folder holds, to the same weights, bit for bit, as if it had never stopped. The
        recipe may name more epochs than it did; all else must be the same.
    minutes
        Start no epoch that would end later than so many minutes from now, except a new run's first; 0: no limit.
    hardware
        What it computes on; this settles the precision "auto".
    teacher
        A classifier, or scores of the train faces, where the recipe's `loss.teachers` names none.
    progress
        Is told how many of the train faces the teacher has scored, before the training begins.
    on_step
        Is called after each step.

    Raises
    ------
    RunError
        Where there are too few faces; where the folder already holds a run, or one of other faces, another recipe or
        another teacher; where there are not as many devices.
    """
    if recipe.optim.precision == "auto":
        recipe = replace(recipe, optim=replace(recipe.optim, precision=fast_precision(hardware.accelerator)))
    fabric = make_fabric(hardware, precision=recipe.optim.precision)
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    chosen = RunFaces.select(faces, recipe)
    recipe, remark = chosen.fit_batch(recipe)
    facts = _collect_facts(recipe, chosen)
    if not all_equal(fabric, (facts.recipe, facts.faces_hash)):
        raise RunError("every machine of a run must have the same recipe and the same faces")
    on_rank_zero(fabric, lambda: require_vacant(Path(out), resume=resume))
    taught = _ask_teacher(recipe, teacher, chosen.train, threads=hardware.threads, progress=progress)
    if taught:
        facts = replace(facts, teacher=taught.teacher)
        if not all_equal(fabric, taught.teacher):
            raise RunError("every machine of a run must have the same teacher")
    objective = _make_objective(recipe, chosen.train, taught)
    if objective.size < fabric.world_size:
        raise RunError(
            f"each of the {fabric.world_size} devices must have a face of every batch, got batches of {objective.size}"
        )
    state = TrainingState(recipe, chosen.train, class_count=len(faces.class_names), fabric=fabric)
    run_dir = RunDir(Path(out), facts)
    environment = describe_environment(fabric)
    saved = on_rank_zero(fabric, lambda: run_dir.open(resume=resume, environment=environment))
    if saved:
        state.restore(saved, run_dir.path / "last.safetensors")
    state.distribute()
    run = Run(recipe, chosen, run_dir, state, objective)
    run.epochs = saved.epochs if saved else []
    run.time_limit, run.on_step, run.remark = TimeLimit(minutes), on_step, remark
    return run


def _collect_facts(recipe: Recipe, faces: RunFaces) -> RunFacts:
    return RunFacts(
        recipe=recipe.to_toml(),
        faces_hash=faces.hash,
        class_names=faces.train.class_names,
        train_faces=len(faces.train),
        valid_faces=len(faces.judged),
        commit=source_commit(),
    )


def _ask_teacher(
    recipe: Recipe, teacher: Teacher | None, faces: FaceSet, *, threads: int, progress: Progress | None
) -> TeacherProbs | None:
    if recipe.loss.teachers:
        if teacher is not None:
            raise RunError("a teacher must be given by loss.teachers or to train(), got both")
        teacher = load_teacher(recipe.loss.teachers, threads=threads)
    if teacher is None:
        return None
    return ask_teacher(teacher, faces, class_names=faces.class_names, progress=progress)


def _make_objective(recipe: Recipe, faces: FaceSet, taught: TeacherProbs | None) -> Objective:
    probs = taught.probs if taught else None
    targets = make_targets(recipe.loss, faces, classes=len(faces.class_names), teacher_probs=probs)
    labels = torch.from_numpy(faces.labels.copy())
    return Objective(
        recipe.loss, labels=labels, targets=targets, batch=recipe.optim.batch, class_names=faces.class_names
    )


class Run:
    """A training run, made by `train`. Iterating yields an `Epoch` each time one is done and safely on disk.

    `epochs`, `best`, `finished`, `out_of_time` and `next_epoch_seconds` say where it stands; `remark` is what was
    changed in the recipe to fit the faces, or empty. `on_step` may be set at any time.
    """

    def __init__(
        self, recipe: Recipe, faces: RunFaces, run_dir: RunDir, state: TrainingState, objective: Objective
    ) -> None:
        self.recipe, self.faces, self.run_dir, self.state, self.objective = recipe, faces, run_dir, state, objective
        self.epochs: list[Epoch] = []
        self.time_limit, self.remark = TimeLimit(0), ""
        self.on_step: OnStep | None = None
        self.out, self.fabric, self.class_names = run_dir.path, state.fabric, faces.train.class_names
        self.out_of_time = False
        self._torn = False  # in the middle of an epoch: the weights are not those on disk

    def __repr__(self) -> str:
        return f"<Run {self.out}: {len(self.epochs)} of {self.recipe.optim.epochs} epochs>"

    def __iter__(self) -> Iterator[Epoch]:
        """Train the epochs that are left. A killed process loses the epoch that it was in, and nothing else."""
        if self._torn:
            raise RunError(f"this run was interrupted in the middle of an epoch: go on with {self.out} by resume")
        with ExitStack() as lock:
            if not self.finished:
                on_rank_zero(self.fabric, lambda: lock.enter_context(self.run_dir.lock(self.epochs)))
            while not self.finished:
                with detect_lost_process(self.fabric):
                    if not on_rank_zero(self.fabric, lambda: self.time_limit.allows(self.next_epoch_seconds)):
                        self.out_of_time = True
                        return
                    self._torn = True
                    epoch = self._train_and_validate(len(self.epochs))
                    on_rank_zero(self.fabric, self._save, epoch)
                    self.epochs.append(epoch)
                    on_rank_zero(self.fabric, self.run_dir.plot, self.epochs)
                self._torn = False
                yield epoch

    @property
    def best(self) -> Epoch | None:
        """The epoch with the highest validation accuracy so far."""
        return max(self.epochs, key=lambda epoch: epoch.valid_accuracy, default=None)

    @property
    def finished(self) -> bool:
        """True once all epochs are done, or training has stopped early (`optim.early_stop_patience`)."""
        done = len(self.epochs) >= self.recipe.optim.epochs
        return done or stops_early(self.recipe.optim, self._accuracies())

    @property
    def next_epoch_seconds(self) -> float:
        """The estimated time of the next epoch, by the pace of the last ones; 0 before the first."""
        return expected_seconds(self.recipe.optim, self.epochs)

    def _accuracies(self) -> list[float]:
        return [epoch.valid_accuracy for epoch in self.epochs]

    def _train_and_validate(self, index: int) -> Epoch:
        started = time.perf_counter()
        side = side_at(self.recipe.optim, index)
        # All that is random in an epoch comes from the seed and its number, so that it can be done again to the bit.
        seed = self.recipe.seed * 1_000_003 + index
        device = self.fabric.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            # Dropout draws from torch's own generator, in each process from another one, for faces of its own.
            torch.manual_seed(seed + (self.fabric.global_rank << 40))
            train_loss, lr = self._train_epoch(index, side, torch.Generator().manual_seed(seed))
        trained = time.perf_counter()
        valid_loss, accuracy = on_rank_zero(self.fabric, self._validate, side)
        _check_finite(valid_loss, epoch=index + 1)
        size = self.objective.size
        return Epoch(
            number=index + 1,
            image_size=side,
            train_loss=train_loss,
            valid_loss=valid_loss,
            valid_accuracy=accuracy,
            lr=lr,
            seconds=time.perf_counter() - started,
            faces_per_second=len(self.faces.train) // size * size / (trained - started),
        )

    def _train_epoch(self, index: int, side: int, generator: torch.Generator) -> tuple[float, float]:
        """Train for one epoch; return the mean loss and the last learning rate."""
        optim = self.recipe.optim
        images = torch.from_numpy(self.faces.train.images.copy())
        order = self.objective.draw_order(generator)
        steps = len(order)
        losses, lr, started = [], 0.0, time.perf_counter()
        self.state.net.train()
        for step, chosen in enumerate(order):
            done = index * steps + step
            lr = learning_rate(optim, done, steps=steps, accuracies=self._accuracies())
            # Each process draws for the whole batch, so that it is the same however many there are.
            augment, camera = self.recipe.augment, self.recipe.camera
            batch = make_batch(images, chosen, augment, side=side, generator=generator, camera=camera)
            losses.append(self._backward(batch))
            _check_finite(losses[-1], epoch=index + 1)
            self.state.step(lr, average_decay(optim, done))
            if self.on_step:
                pace = (step + 1) * len(batch.rows) / (time.perf_counter() - started)
                self.on_step(index + (step + 1) / steps, losses[-1], pace)
        return sum(losses) / len(losses), lr

    def _backward(self, batch: Batch) -> float:
        """Give each weight its gradient for a batch; return the loss."""
        own = rank_slice(self.fabric, len(batch.rows))
        inputs = batch.faces[own].to(self.fabric.device).contiguous(memory_format=torch.channels_last)
        outputs = all_gather(self.fabric, self.state.forward(inputs).float(), len(batch.rows)).cpu()
        loss = self.objective.loss(outputs, batch, self.state.net)
        self.fabric.backward(loss * self.fabric.world_size)  # gradients are averaged over processes, not summed
        return loss.item()

    @torch.no_grad()
    def _validate(self, side: int) -> tuple[float, float]:
        """Return the loss and the accuracy of the averaged weights on the valid faces."""
        train, valid, net = self.faces.train, self.faces.judged, self.state.average
        labels = torch.from_numpy(valid.labels.copy())
        logits = []
        with self.fabric.autocast():
            if self.recipe.loss.kind == "prototypical":
                images, known = (torch.tensor(part) for part in (train.images, train.labels))
                set_centres(net, images, known, side=side, class_names=self.class_names)
            for part in batches(len(labels), 256):
                faces = resize(torch.from_numpy(valid.images[part].copy()), side=side)
                inputs = faces.to(self.fabric.device).contiguous(memory_format=torch.channels_last)
                logits.append(net(inputs).float().cpu())
        scores = torch.cat(logits)
        accuracy = (scores.argmax(dim=1) == labels).double().mean().item()
        return functional.cross_entropy(scores, labels).item(), accuracy

    def _save(self, epoch: Epoch) -> None:
        scaler = self.fabric.strategy.precision.state_dict()
        self.run_dir.save(Checkpoint(self.state.tensors(), [*self.epochs, epoch], self.run_dir.facts, scaler))


def _check_finite(loss: float, *, epoch: int) -> None:
    if not math.isfinite(loss):
        safe = "; the epochs before are safe" if epoch > 1 else ""
        raise RunError(f"the loss is {loss} in epoch {epoch}: lower optim.lr, in another folder{safe}")
