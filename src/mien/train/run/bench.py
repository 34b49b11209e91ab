"""The pace of a recipe's training on this machine, and what its time goes to."""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mien.io.atomic_write import is_dir
from mien.labels import EXPRESSIONS, VOTES
from mien.train.nets.facenet import FaceNet29
from mien.train.recipe import Recipe
from mien.train.run.checkpoint import Checkpoint, Epoch
from mien.train.run.hardware import DEFAULT_HARDWARE, Hardware
from mien.train.run.stopwatch import Stopwatch
from mien.train.run.trainer import Run, train
from mien.types import FACE_SIDE, FaceSet, Progress

TRAIN_FACES, VALID_FACES = 28_709, 3_589  # FER2013's
_STEPS = 8  # of an epoch here
_JUDGED = 256  # validation faces here


@dataclass(frozen=True)
class TrainingPace:
    """The time that an epoch of FER2013 would take, by part.

    Parameters
    ----------
    side
        Of the faces, in pixels: the one of most epochs.
    batch
        Faces of a step.
    precision, device, threads
        What computed.
    seconds
        Of an epoch: data (faces augmented and mixed), step (forward, backward, optimizer, average) and bookkeeping
        (validation, checkpoint, curve).
    """

    side: int
    batch: int
    precision: str
    device: str
    threads: int
    seconds: dict[str, float]

    @property
    def epoch_seconds(self) -> float:
        """The time that an epoch takes."""
        return sum(self.seconds.values())

    @property
    def faces_per_second(self) -> float:
        """The faces that are trained on in a second, validation and checkpoints included."""
        return TRAIN_FACES / self.epoch_seconds

    @property
    def shares(self) -> dict[str, float]:
        """The share of an epoch's time that each part takes."""
        return {part: seconds / self.epoch_seconds for part, seconds in self.seconds.items()}


def bench(
    recipe: Recipe, *, seconds: float = 10.0, hardware: Hardware = DEFAULT_HARDWARE, progress: Progress | None = None
) -> TrainingPace:
    """Measure the pace of a recipe's training, on faces of noise, for about so many seconds.

    Teachers that are models are left out, since they answer before the training. progress: is told tenths of a second.
    """
    recipe = _without_files(recipe)
    with tempfile.TemporaryDirectory() as folder:
        run = train(recipe, _noise(recipe), out=Path(folder) / "run", hardware=hardware)
        side = run.recipe.optim.image_sizes[0][0]
        run.trainer.train(0, side, accuracies=[], on_step=None)  # kernels are chosen, memory is taken
        run.trainer.stopwatch = watch = Stopwatch(run.fabric.device)
        started, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - started < seconds:
            index = steps // _STEPS + 1
            run.trainer.train(index, side, accuracies=[], on_step=lambda _epochs, _loss, _pace: None)
            steps += len(run.faces.train) // run.objective.size
            if progress is not None:
                progress(round(10 * min(seconds, time.perf_counter() - started)), round(10 * seconds))
        steps_of_epoch = TRAIN_FACES / run.objective.size
        spent = {str(part): taken / steps * steps_of_epoch for part, taken in watch.seconds.items()}
        spent["bookkeeping"] += _bookkeeping(run, side, epoch_seconds=sum(spent.values()))
        return TrainingPace(
            side=side,
            batch=run.objective.size,
            precision=run.recipe.optim.precision,
            device=str(run.fabric.device),
            threads=torch.get_num_threads(),
            seconds=spent,
        )


def _bookkeeping(run: Run, side: int, *, epoch_seconds: float) -> float:
    """Measure the seconds that validation and checkpoint take in an epoch."""
    run.trainer.validate(0, side)
    started = time.perf_counter()
    run.trainer.validate(0, side)
    validated = time.perf_counter()
    epoch = Epoch(1, side, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0)
    run.run_dir.save(Checkpoint(run.state.tensors(), [epoch], run.run_dir.facts, {}), best=None)
    run.run_dir.plot([epoch])
    saved = time.perf_counter() - validated
    often = run.trainer.plan.save_seconds
    return (validated - started) * VALID_FACES / _JUDGED + saved * min(1.0, epoch_seconds / often if often else 1.0)


def _without_files(recipe: Recipe) -> Recipe:
    """Return the recipe at the side of most epochs, without the files that its weights and its teachers are in."""
    side, _ = max(recipe.optim.image_sizes, key=lambda size: size[1])
    net = replace(recipe.net, weights="") if isinstance(recipe.net, FaceNet29) else recipe.net
    teachers = recipe.loss.teachers if all(map(is_dir, recipe.loss.teachers)) else ()
    return replace(
        recipe,
        net=net,
        loss=replace(recipe.loss, teachers=teachers, teacher_views=0),
        optim=replace(recipe.optim, image_sizes=((side, 1.0),), hold_out=0.0),
    )


def _noise(recipe: Recipe) -> FaceSet:
    """Make as many noise faces with votes as fill the steps of an epoch."""
    loss = recipe.loss
    size = len(EXPRESSIONS) * (loss.support + loss.queries) if loss.kind == "prototypical" else recipe.optim.batch
    rng, train_faces = np.random.default_rng(0), _STEPS * size
    count = train_faces + _JUDGED
    return FaceSet(
        images=rng.integers(0, 256, (count, FACE_SIDE, FACE_SIDE), dtype=np.uint8),
        labels=np.arange(count) % len(EXPRESSIONS),
        splits=np.array(["train"] * train_faces + ["valid"] * _JUDGED),
        ids=np.arange(count).astype(np.str_),
        votes=rng.multinomial(10, np.full(len(VOTES), 1 / len(VOTES)), count).astype(np.float32),
    )
