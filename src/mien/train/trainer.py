"""The training loop: a recipe and faces in, an iterator of epochs and a run's folder out."""

import json
import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from mien import __version__
from mien.errors import RunError
from mien.files import write_text
from mien.labels import EXPRESSIONS
from mien.train.augment import augment, resized
from mien.train.losses import loss_of, make_targets
from mien.train.nets import build_net
from mien.train.optim import learning_rate, make_optimiser, side_at, update_average
from mien.train.recipe import Recipe
from mien.train.run import Epoch, load_tensors, save_tensors, source_commit, under, write_for_people
from mien.types import FaceSet, batches

# Called after each step: epochs done (with a fraction), loss in nats, faces a second in this epoch.
Step = Callable[[float, float, float], None]


def train(
    recipe: Recipe,
    faces: FaceSet,
    *,
    out: Path | str,
    resume: bool = False,
    threads: int = 0,
    on_step: Step | None = None,
) -> "Run":
    """Train a net by a recipe on the labelled train faces, judged on the valid ones. Iterate over it to make it happen.

    out: the run's folder, made where it is missing. resume: go on with the run that it holds, to the same weights, bit
    for bit, as if it had never stopped.
    Raises RunError where the faces do not do, the folder already holds a run, or the run is of other faces or recipe.
    """
    if threads:
        torch.set_num_threads(threads)
    return Run(recipe, faces, Path(out), resume=resume, on_step=on_step)


class Run:
    """A training run. Iterating yields an `Epoch` each time one is done and safely on disk."""

    def __init__(self, recipe: Recipe, faces: FaceSet, out: Path, *, resume: bool, on_step: Step | None) -> None:
        labelled = faces[faces.labels >= 0]
        self.recipe, self.out, self.on_step = recipe, out, on_step
        self.train_faces = labelled[labelled.splits == "train"]
        self.valid_faces = labelled[labelled.splits == "valid"]
        self.names = EXPRESSIONS
        if len(self.train_faces) < recipe.optim.batch or not len(self.valid_faces):
            counts = f"{len(self.train_faces)} train and {len(self.valid_faces)} valid"
            hint = "" if len(self.valid_faces) else "; set some aside: mien data import ... --split-valid 0.15"
            raise RunError(f"a run needs {recipe.optim.batch} labelled train faces and 1 valid one, got {counts}{hint}")
        self.faces_hash, self.commit = faces.hash, source_commit()
        self.epochs: list[Epoch] = []
        self.fabric = Fabric(accelerator="cpu", devices=1, precision=recipe.optim.precision)
        self.net = build_net(recipe, classes=len(self.names))
        self.targets = make_targets(recipe.loss, self.train_faces, classes=len(self.names))
        self.net.measure(torch.from_numpy(self.train_faces.images.copy()))
        self.average = deepcopy(self.net).eval().requires_grad_(False)
        self.optimiser = make_optimiser(self.net, recipe.optim)
        self._open(resume)
        self._forward, self._optimiser = self.fabric.setup(self.net, self.optimiser)

    def _open(self, resume: bool) -> None:
        last = self.out / "last.safetensors"
        if (self.out / "run.json").exists() and not resume:
            raise RunError(f"{self.out} already holds a run: add --resume to go on with it, or name another folder")
        self.out.mkdir(parents=True, exist_ok=True)
        if resume and last.exists():
            self._restore(last)
            return
        write_text(self.out / "recipe.toml", self.recipe.to_toml())
        facts = {
            **self._facts(),
            "mien": __version__,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_text(self.out / "run.json", json.dumps(facts, indent=2) + "\n")

    def _facts(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.to_toml(),
            "faces_hash": self.faces_hash,
            "labels": list(self.names),
            "train_faces": len(self.train_faces),
            "valid_faces": len(self.valid_faces),
            "commit": self.commit,
        }

    def _restore(self, path: Path) -> None:
        tensors, self.epochs, facts = load_tensors(path)
        for key, what in (("recipe", "another recipe"), ("faces_hash", "other faces")):
            if facts[key] != self._facts()[key]:
                raise RunError(f"{self.out} holds a run of {what}: resume it with its own, or name another folder")
        self.commit = facts["commit"]
        self.net.load_state_dict(under("net.", tensors))
        self.average.load_state_dict(under("average.", tensors))
        memory: dict[int, dict[str, Tensor]] = {}
        for name, tensor in under("optimiser.", tensors).items():
            index, _, key = name.partition(".")
            memory.setdefault(int(index), {})[key] = tensor
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": memory})

    def __iter__(self) -> Iterator[Epoch]:
        """Train the epochs that are left. A killed process loses the epoch under way and nothing else."""
        while len(self.epochs) < self.recipe.optim.epochs:
            epoch = self._epoch(len(self.epochs))
            self.epochs.append(epoch)
            self._save(epoch)
            yield epoch

    @property
    def best(self) -> Epoch | None:
        """The epoch with the highest validation accuracy so far."""
        return max(self.epochs, key=lambda epoch: epoch.valid_accuracy, default=None)

    def _epoch(self, index: int) -> Epoch:
        started = time.perf_counter()
        side = side_at(self.recipe.optim, index)
        # All that is random in an epoch comes from the seed and its number, so that it can be done again to the bit.
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + index)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed * 1_000_003 + index)  # dropout draws from torch's own generator
            train_loss, rate = self._train_epoch(index, side, generator)
        trained = time.perf_counter()
        valid_loss, accuracy = self._validate(side)
        size = self.recipe.optim.batch
        return Epoch(
            number=index + 1,
            side=side,
            train_loss=train_loss,
            valid_loss=valid_loss,
            valid_accuracy=accuracy,
            lr=rate,
            seconds=time.perf_counter() - started,
            faces_per_second=len(self.train_faces) // size * size / (trained - started),
        )

    def _train_epoch(self, index: int, side: int, generator: torch.Generator) -> tuple[float, float]:
        how, size = self.recipe.optim, self.recipe.optim.batch
        images = torch.from_numpy(self.train_faces.images.copy())
        accuracies = [epoch.valid_accuracy for epoch in self.epochs]
        order = torch.randperm(len(images), generator=generator)
        steps = len(images) // size  # the few left over have their turn in another epoch's order
        losses, rate, started = [], 0.0, time.perf_counter()
        self.net.train()
        for step in range(steps):
            done = index * steps + step
            rate = learning_rate(how, (done + 1) / (how.epochs * steps), accuracies)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            chosen = order[step * size : (step + 1) * size]
            batch = augment(images[chosen], self.recipe.augment, side=side, generator=generator)
            outputs = self._forward(batch.contiguous(memory_format=torch.channels_last))
            loss = loss_of(outputs.float(), self.targets[chosen])
            self.fabric.backward(loss)
            self._optimiser.step()
            self._optimiser.zero_grad()
            update_average(self.average, self.net, min(how.ema, (1 + done) / (10 + done)))
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise RunError(
                    f"the loss is {losses[-1]} in epoch {index + 1}: lower optim.lr; the epochs before are safe"
                )
            if self.on_step:
                pace = (step + 1) * size / (time.perf_counter() - started)
                self.on_step(index + (step + 1) / steps, losses[-1], pace)
        return sum(losses) / len(losses), rate

    @torch.no_grad()
    def _validate(self, side: int) -> tuple[float, float]:
        labels = torch.from_numpy(self.valid_faces.labels.copy())
        logits = []
        with self.fabric.autocast():
            for part in batches(len(labels), 256):
                faces = resized(torch.from_numpy(self.valid_faces.images[part].copy()), side=side)
                logits.append(self.average(faces.contiguous(memory_format=torch.channels_last)).float())
        scores = torch.cat(logits)
        accuracy = (scores.argmax(dim=1) == labels).double().mean().item()
        return functional.cross_entropy(scores, labels).item(), accuracy

    def _save(self, epoch: Epoch) -> None:
        average = {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        if epoch is self.best:
            save_tensors(self.out / "best.safetensors", average, self.epochs, self._facts())
        memory = {
            f"optimiser.{index}.{key}": torch.as_tensor(value)
            for index, state in self.optimiser.state_dict()["state"].items()
            for key, value in state.items()
            if value is not None
        }
        net = {f"net.{name}": tensor for name, tensor in self.net.state_dict().items()}
        save_tensors(self.out / "last.safetensors", {**net, **average, **memory}, self.epochs, self._facts())
        write_for_people(self.out, self.epochs)
