"""The training loop: a recipe and faces in, an iterator of epochs and a run's folder out."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from mien.errors import RunError
from mien.train.loss.distillation import Teacher
from mien.train.optim.schedules import side_at, stops_early
from mien.train.recipe import Recipe
from mien.train.run.checkpoint import Checkpoint, Epoch, RunFacts
from mien.train.run.device_plan import plan_for
from mien.train.run.distributed import all_equal, detect_lost_process, fast_precision, make_fabric, on_rank_zero
from mien.train.run.environment import describe_environment, source_commit
from mien.train.run.epoch import EpochTrainer, OnStep
from mien.train.run.faces import RunFaces
from mien.train.run.hardware import DEFAULT_HARDWARE, Hardware
from mien.train.run.run_dir import RunDir, require_vacant
from mien.train.run.state import TrainingState
from mien.train.run.teaching import hear_teacher, make_objective
from mien.train.run.time_limit import TimeLimit, expected_seconds
from mien.train.run.trained_net import TorchTeachers
from mien.types import FaceSet, Progress


def train(
    recipe: Recipe,
    faces: FaceSet,
    *,
    out: Path | str,
    resume: bool = False,
    minutes: float = 0.0,
    hardware: Hardware = DEFAULT_HARDWARE,
    teacher: Teacher | TorchTeachers | None = None,
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
        A classifier, scores of the train faces, or nets that are asked about each batch, where the recipe's
        `loss.teachers` names none.
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
    taught = hear_teacher(
        recipe, teacher, chosen.train, fabric=fabric, out=Path(out), hardware=hardware, progress=progress
    )
    if taught:
        facts = replace(facts, teacher=taught.teacher)
        if not all_equal(fabric, taught.teacher):
            raise RunError("every machine of a run must have the same teacher")
    objective = make_objective(recipe, chosen.train, taught)
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
    plan = plan_for(fabric, cuda_graph=hardware.cuda_graph)
    trainer = EpochTrainer(recipe, chosen, state, objective, plan, teacher=taught.of_batches if taught else None)
    run = Run(recipe, chosen, run_dir, state, trainer)
    run.epochs = saved.epochs if saved else []
    run.saved_count = len(run.epochs)
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


class Run:
    """A training run, made by `train`. Iterating yields an `Epoch` each time one is done and safely on disk.

    On a single GPU, where an epoch may take less than a second, it is on disk within `DevicePlan.save_seconds`, and
    at the latest when the iteration ends.

    `epochs`, `best`, `finished`, `out_of_time` and `next_epoch_seconds` say where it stands; `saved_count`, how many of
    the epochs are on disk, as the first process knows; `remark`, what was changed in the recipe to fit the faces, or
    nothing. `on_step` may be set at any time.
    """

    def __init__(
        self, recipe: Recipe, faces: RunFaces, run_dir: RunDir, state: TrainingState, trainer: EpochTrainer
    ) -> None:
        self.recipe, self.faces, self.run_dir, self.state, self.trainer = recipe, faces, run_dir, state, trainer
        self.objective = trainer.objective
        self.epochs: list[Epoch] = []
        self.saved_count = 0
        self.time_limit, self.remark = TimeLimit(0), ""
        self.on_step: OnStep | None = None
        self.out, self.fabric, self.class_names = run_dir.path, state.fabric, faces.train.class_names
        self.out_of_time = False
        self._torn = False  # in the middle of an epoch: the weights are those of no finished one
        self._best: Checkpoint | None = None  # the best epoch, where it is not on disk yet
        self._unsaved, self._saved_at = False, time.monotonic()

    def __repr__(self) -> str:
        return f"<Run {self.out}: {len(self.epochs)} of {self.recipe.optim.epochs} epochs>"

    def __iter__(self) -> Iterator[Epoch]:
        """Train the epochs that are left.

        A process that is killed or interrupted loses the epoch that it was in, and those that are not saved yet.
        """
        if self._torn:
            raise RunError(f"this run was interrupted in the middle of an epoch: go on with {self.out} by resume")
        with ExitStack() as lock:
            if not self.finished:
                on_rank_zero(self.fabric, lambda: lock.enter_context(self.run_dir.lock(self.epochs)))
            try:
                yield from self._train_epochs()
            finally:
                if self._unsaved and not self._torn:
                    on_rank_zero(self.fabric, self._save, self.epochs)
                    on_rank_zero(self.fabric, self.run_dir.plot, self.epochs)

    def _train_epochs(self) -> Iterator[Epoch]:
        while not self.finished:
            with detect_lost_process(self.fabric):
                if not on_rank_zero(self.fabric, lambda: self.time_limit.allows(self.next_epoch_seconds)):
                    self.out_of_time = True
                    return
                self._torn = True
                epoch = self._train_and_validate(len(self.epochs))
                on_rank_zero(self.fabric, self._keep, epoch)
                self.epochs.append(epoch)
                if not self._unsaved:
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
        return self._ends_with(self.epochs)

    @property
    def next_epoch_seconds(self) -> float:
        """The estimated time of the next epoch, by the pace of the last ones; 0 before the first."""
        return expected_seconds(self.recipe.optim, self.epochs)

    def _ends_with(self, epochs: list[Epoch]) -> bool:
        optim = self.recipe.optim
        return len(epochs) >= optim.epochs or stops_early(optim, _accuracies(epochs))

    def _train_and_validate(self, index: int) -> Epoch:
        started = time.perf_counter()
        side = side_at(self.recipe.optim, index)
        train_loss, lr = self.trainer.train(index, side, accuracies=_accuracies(self.epochs), on_step=self.on_step)
        trained = time.perf_counter()
        valid_loss, accuracy = on_rank_zero(self.fabric, self.trainer.validate, index, side)
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

    def _keep(self, epoch: Epoch) -> None:
        """Save an epoch that is done, or remember it where the last save was only just."""
        epochs = [*self.epochs, epoch]
        due = time.monotonic() - self._saved_at >= self.trainer.plan.save_seconds or self._ends_with(epochs)
        if epoch.valid_accuracy > max(_accuracies(self.epochs), default=-1.0):
            average = {name: now for name, now in self.state.tensors().items() if name.startswith("average.")}
            if not due:  # training goes on with these tensors
                average = {name: now.clone() for name, now in average.items()}
            self._best = Checkpoint(average, epochs, self.run_dir.facts, self._scaler())
        self._unsaved = True
        if due:
            self._save(epochs)

    def _save(self, epochs: list[Epoch]) -> None:
        self.run_dir.save(Checkpoint(self.state.tensors(), epochs, self.run_dir.facts, self._scaler()), best=self._best)
        self._best, self._unsaved, self._saved_at = None, False, time.monotonic()
        self.saved_count = len(epochs)

    def _scaler(self) -> dict[str, int | float]:
        return self.fabric.strategy.precision.state_dict()


def _accuracies(epochs: list[Epoch]) -> list[float]:
    return [epoch.valid_accuracy for epoch in epochs]
