"""Train teachers and their students in the minutes that a GPU is at hand, in one self-timed command.

    python experiments/gpu_hour.py --pack faces.npz --out packed     here: the labelled faces, exactly, in 50 MB
    PYTHONPATH=src python experiments/gpu_hour.py --faces packed --out DIR --seconds 540     where the GPU is
    PYTHONPATH=src python experiments/gpu_hour.py --tiny --out DIR     a test on the processor, in a minute or two

The stages, each with its share of the time, and written to DIR when it ends:

1. check      a step's loss on the GPU beside the processor's; whether a CUDA graph works
2. report     the report's final nets, ResNet-34 and ResNet-18, in full; their scores
3. teachers   three nets of the face net's shape, VGG, and two swifts of full resolution, each in a process of its own;
              they hold the same tenth of the train faces back
4. weights    the teachers' weights in their mean, by the likelihood of the held-back faces' labels
5. students   swift and nano, taught by that mean about the very faces that they see, augmented and mixed
6. results    DIR/nets: students, the trunk and the two best teachers in half precision, below 16 MiB each, as folders
              that `mien export` and `loss.teachers` take; DIR/scores: every net's, which `loss.teachers` take, too;
              DIR/log.json: all figures. These are below 100 MB; DIR/runs, which is larger, can stay there

A training has as many epochs as fit: one is timed first. Where the time of a stage is over, what it has stays as it is.
Nothing is fetched. Of the repository, src (without mien/assets), recipes and experiments are enough: 3 MB beside the 50
of the faces. It needs the packages of the extra `train` without onnxscript, and neither rich nor typer. Where one
is missing and there is no network, carry its wheel. Here, for the Python there (3.12, say):

    pip download msgspec --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_17_x86_64 -d wheels

and there, before the command, with PYTHONPATH=src:site:

    pip install --no-index --no-deps --target site wheels/*.whl

Lightning's own package has lightning_fabric in it; else carry that, too.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mien.data.formats.npz import load_faces
from mien.data.scores_file import FaceScores, load_scores, save_scores
from mien.errors import MienError, RunError
from mien.io.atomic_write import write_text
from mien.train import Hardware, Recipe, load_recipe, train
from mien.train.inputs.augment import resize
from mien.train.run.checkpoint import load_checkpoint, save_checkpoint
from mien.train.run.faces import RunFaces
from mien.train.run.trained_net import TorchTeachers, TrainedNet, load_trained_net
from mien.types import FaceSet, Scores, batches

HERE = Path(__file__).parent / "gpu_hour"
REPORT = {"report-34": "report/final", "report-18": "report/final-18"}  # scores of the last epoch; nothing held back
STAGES = {  # what trains side by side, and the seconds of 540 that it has
    "check": ((), 35),
    "report": (tuple(REPORT), 115),
    "facenets": (("facenet-1", "facenet-2", "facenet-3"), 75),
    "vgg": (("vgg",), 45),
    "stride-1": (("stride1-muon", "stride1-sgd"), 85),
    "weights": ((), 10),
    "students": (("student-swift", "student-nano"), 155),
    "results": ((), 20),
}
TEACHERS = (*STAGES["facenets"][0], *STAGES["vgg"][0], *STAGES["stride-1"][0])
PRETRAINED = ("facenet-1", "facenet-2")
LEAST_WEIGHT = 0.02  # a teacher that counts less is not asked
MOST_BYTES = 16 * 2**20  # of a net that is brought back
STRIP = 340  # faces; a WebP's sides end at 16,383 pixels
SAFE = 1.15  # an epoch's time varies, and a run has to be saved
SMALL = ('net.name="swift"', "net.widths=[4, 8]", "optim.epochs=1")
TINY = {  # one net of each kind keeps its shape
    "report-34": SMALL,
    "report-18": ("net.stem_stride=2", "optim.epochs=1"),
    "facenet-1": SMALL,
    "facenet-2": SMALL,
    "facenet-3": ("optim.epochs=1",),
    "vgg": ("net.widths=[8, 8, 8, 8]", "head.hidden=[8]"),
    "stride1-muon": ("net.widths=[4, 8]",),
    "stride1-sgd": ("net.widths=[4, 8]",),
    "student-swift": ("net.widths=[8, 8]",),
    "student-nano": ("net.widths=[4, 4]",),
}


@dataclass
class Hour:
    """One such time: its faces, its folder, its clock, and what it has come to."""

    faces: FaceSet
    out: Path
    seconds: float
    tiny: bool = False
    facenet: str = ""
    cuda_graph: bool = False
    started: float = field(default_factory=time.monotonic)
    log: dict[str, object] = field(default_factory=dict)

    def deadline(self, stage: str) -> float:
        """When a stage must end: what is left is shared out by the seconds of this stage and those behind it."""
        names = list(STAGES)
        left = self.started + self.seconds - time.monotonic()
        behind = [STAGES[name][1] for name in names[names.index(stage) :]]
        return time.monotonic() + left * behind[0] / sum(behind)

    def recipe(self, name: str, *more: str) -> Recipe:
        """The recipe of a training, with changes."""
        changes = list[str]()
        if self.facenet and name in PRETRAINED:
            changes.append(f"net.weights={json.dumps(self.facenet)}")
        if self.tiny:
            changes += ["optim.epochs=2", "optim.batch=16", "optim.image_sizes=[[32, 1.0]]", *TINY.get(name, ())]
        return load_recipe(REPORT.get(name) or HERE / f"{name}.toml", [*changes, *more])

    @property
    def hardware(self) -> Hardware:
        """What a training computes on."""
        if self.tiny:
            return Hardware(threads=1, accelerator="cpu")
        return Hardware(cuda_graph=self.cuda_graph)

    def note(self, stage: str, **figures: object) -> None:
        """Write the log with what a stage has come to, and say it."""
        self.log[stage] = {"at_seconds": round(time.monotonic() - self.started, 1), **figures}
        write_text(self.out / "log.json", json.dumps(self.log, indent=1) + "\n")
        sys.stdout.write(f"{stage} {json.dumps(self.log[stage])}\n")
        sys.stdout.flush()


# Faces


def pack(source: Path, out: Path) -> None:
    """Write the labelled faces of a file as lossless strips of WebP and one .npz of all else."""
    faces = load_faces(source)
    faces = faces[faces.labels >= 0]
    out.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(batches(len(faces), STRIP)):
        strip = Image.fromarray(faces.images[rows].reshape(-1, 48))
        strip.save(out / f"faces-{number:03d}.webp", lossless=True, quality=75, method=5)
    others = {name: np.char.encode(getattr(faces, name), "utf-8") for name in ("splits", "ids")}
    votes = {} if faces.votes is None else {"votes": faces.votes}
    np.savez_compressed(out / "labels.npz", labels=faces.labels, **others, **votes)


def unpack(folder: Path) -> FaceSet:
    """Read what `pack` wrote."""
    strips = [np.asarray(Image.open(path).convert("L")) for path in sorted(folder.glob("faces-*.webp"))]
    with np.load(folder / "labels.npz", allow_pickle=False) as known:
        splits, ids = (np.char.decode(known[name], "utf-8") for name in ("splits", "ids"))
        votes = known.get("votes")
        return FaceSet(np.concatenate(strips).reshape(-1, 48, 48), known["labels"], splits, ids, votes)


def generated_faces() -> FaceSet:
    """Bright bands whose place tells the class: 96 train faces and 28 valid ones, with votes."""
    rng, count = np.random.default_rng(0), 124
    labels = np.arange(count) % 7
    bands = 30 + 200 * (np.arange(48)[None, :] // 4 % 7 == labels[:, None])
    images = (bands[:, :, None] + rng.integers(0, 25, (count, 48, 48))).clip(0, 255).astype(np.uint8)
    votes = np.eye(10, dtype=np.float32)[labels] * 8 + rng.multinomial(2, np.full(10, 0.1), count)
    splits, ids = np.array(["train"] * 96 + ["valid"] * 28), np.arange(count).astype(np.str_)
    return FaceSet(images, labels, splits, ids, votes.astype(np.float32))


# Work in processes of its own, so that what fails or hangs there ends there


def side_by_side(jobs: dict[str, Callable[[], object]], deadline: float) -> dict[str, str]:
    """Do jobs in forked processes until the deadline; return what went wrong, by name."""
    context = multiprocessing.get_context("fork")  # torch is imported once; nothing has computed here yet
    failures = context.Manager().dict()

    def work(name: str, job: Callable[[], object]) -> None:
        try:
            job()
        except (MienError, RuntimeError, ValueError, OSError) as error:
            traceback.print_exc()
            failures[name] = f"{type(error).__name__}: {error}"

    workers = {name: context.Process(target=work, args=(name, job)) for name, job in jobs.items()}
    for worker in workers.values():
        worker.start()
    for name, worker in workers.items():
        worker.join(max(0.0, deadline - time.monotonic()) + 10)
        if worker.is_alive():
            worker.terminate()
            failures[name] = "its time was over"
        elif worker.exitcode:
            failures.setdefault(name, f"ended with {worker.exitcode}")
    return dict(failures)


def check(hour: Hour) -> None:
    """Compare the loss of one step here with the processor's, and with a CUDA graph's; write both to check.json."""
    still = [f"augment.{name}=0" for name in ("flip_prob", "rotate_degrees", "scale", "shift_pixels", "contrast")]
    changes = (*still, "augment.erase_prob=0", 'augment.mix="none"', "head.dropout=0", "optim.hold_out=0")
    recipe = hour.recipe("student-swift", *changes, "optim.epochs=3", 'optim.precision="32-true"')
    train_faces, valid = (hour.faces[hour.faces.splits == split] for split in ("train", "valid"))
    few = FaceSet.concatenate([train_faces[: 2 * recipe.optim.batch], valid[:64]])

    def losses(hardware: Hardware) -> list[float]:
        with TemporaryDirectory() as folder:
            return [epoch.train_loss for epoch in train(recipe, few, out=Path(folder) / "run", hardware=hardware)]

    wanted = losses(Hardware(accelerator="cpu"))
    found = {"cpu": wanted, "here": losses(replace(hour.hardware, cuda_graph=False))}
    if torch.cuda.is_available() and not hour.tiny:
        try:
            found["graph"] = losses(Hardware(cuda_graph=True))
        except RuntimeError as error:  # it was never tried before
            sys.stderr.write(f"no CUDA graph: {error}\n")
    write_text(hour.out / "check.json", json.dumps(found))


def train_net(hour: Hour, name: str, deadline: float) -> None:
    """Train a net in as many epochs as fit; write its scores and its figures."""
    recipe = fitted(hour, [name], deadline)[0]
    minutes = max(0.01, (deadline - time.monotonic()) / 60)
    run = train(recipe, hour.faces, out=hour.out / "runs" / name, minutes=minutes, hardware=hour.hardware)
    for _ in run:
        pass
    finish(hour, name)


def fitted(hour: Hour, names: Sequence[str], deadline: float, teacher: "SharedTeachers | None" = None) -> list[Recipe]:
    """Return recipes with as many epochs as fit before the deadline, all the same; one epoch of each is timed."""
    recipes, pace = [hour.recipe(name) for name in names], 0.0
    for number, recipe in enumerate(recipes):
        with TemporaryDirectory() as folder:
            run = train(recipe, hour.faces, out=Path(folder) / "run", hardware=hour.hardware, teacher=teacher)
            side, seconds = recipe.optim.image_sizes[0][0], list[float]()
            while len(seconds) < 2 and (not seconds or seconds[0] < 0.05 * (deadline - time.monotonic())):
                if teacher:
                    teacher.turn() if number else teacher.clear()
                started = time.perf_counter()
                run.trainer.train(0, side, accuracies=[], on_step=None)
                run.trainer.validate(0, side)
                seconds.append(time.perf_counter() - started)
            pace += min(seconds)
    if teacher:
        teacher.clear()
    fits = int((deadline - time.monotonic()) / (SAFE * pace))
    epochs = max(1, min(fits, *(recipe.optim.epochs for recipe in recipes)))
    return [replace(recipe, optim=replace(recipe.optim, epochs=epochs)) for recipe in recipes]


def finish(hour: Hour, name: str) -> None:
    """Score all labelled faces by a trained net, mirrored; write the scores, and its figures beside them."""
    trained = load_trained_net(hour.out / "runs" / name, epoch="last" if name in REPORT else "best")
    last = load_checkpoint(hour.out / "runs" / name / "last.safetensors")
    device = torch.device("cuda" if torch.cuda.is_available() and not hour.tiny else "cpu")
    known = hour.faces[hour.faces.labels >= 0]
    probs = mirrored_probs(trained, known.images, device)
    (hour.out / "scores").mkdir(exist_ok=True)
    save_scores(
        FaceScores(known.ids, Scores(probs, known.class_names), held_out=False), hour.out / f"scores/{name}.npz"
    )
    valid = known.splits == "valid"
    figures = {
        "epochs": len(last.epochs),
        "wanted": trained.recipe.optim.epochs,
        "faces_per_second": round(statistics.median(epoch.faces_per_second for epoch in last.epochs)),
        "seconds": round(sum(epoch.seconds for epoch in last.epochs), 1),
        "valid_mirrored": float(np.mean(probs[valid].argmax(axis=1) == known.labels[valid])),
        "best_epoch_by": max(epoch.valid_accuracy for epoch in last.epochs),
    }
    write_text(hour.out / "scores" / f"{name}.json", json.dumps(figures))


@torch.no_grad()
def mirrored_probs(trained: TrainedNet, images: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    """(N, 48, 48) uint8 -> (N, classes): the mean over each face and its mirror image."""
    net, parts = trained.net.to(device), []
    for rows in batches(len(images), 1024):
        faces = resize(torch.from_numpy(images[rows].copy()).to(device), side=trained.side)
        both = torch.softmax(net(faces), dim=1) + torch.softmax(net(faces.flip(-1)), dim=1)
        parts.append((both / 2).cpu())
    return torch.cat(parts).numpy()


# Teachers and students


def mixture_weights(probs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the weights of T teachers under which labels are likeliest, from (T, N) probabilities of the labels.

    Each round of the expectation maximisation makes them likelier, and there is one maximum alone.
    """
    weights = np.full(len(probs), 1 / len(probs))
    for _ in range(500):
        joint = weights[:, None] * probs.astype(np.float64)
        weights = (joint / np.maximum(joint.sum(axis=0), 1e-12)).mean(axis=1)
    return weights / weights.sum()


def weigh(hour: Hour) -> dict[str, float]:
    """Return the weights of the teachers that have come to something, by the faces that all of them held back."""
    there = [name for name in TEACHERS if (hour.out / f"scores/{name}.npz").exists()]
    if not there:
        raise RunError("no teacher was trained: there is nothing to teach by")
    held = RunFaces.select(hour.faces, hour.recipe(there[0])).valid
    said = [load_scores(hour.out / f"scores/{name}.npz").match(held)[1] for name in there]
    of_labels = np.stack([probs[np.arange(len(held)), held.labels] for probs in said])
    weights = mixture_weights(of_labels)
    kept = {name: float(weight) for name, weight in zip(there, weights, strict=True) if weight >= LEAST_WEIGHT}
    nll = {name: round(float(-np.log(row.clip(1e-9)).mean()), 4) for name, row in zip(there, of_labels, strict=True)}
    mean = -np.log((weights[:, None] * of_labels).sum(axis=0).clip(1e-9)).mean()
    hour.note("weights", weights=kept, held_back_faces=len(held), nll=nll, nll_of_the_mean=round(float(mean), 4))
    return kept


class SharedTeachers(TorchTeachers):
    """Teachers of several students that see the same faces in an epoch.

    The first student's questions are answered, and the others hear the same answers. For that, the students must have
    one seed, one batch and one augmentation, and mix by mixup or not at all.
    """

    def __init__(self, *arguments: object, **settings: object) -> None:
        super().__init__(*arguments, **settings)  # type: ignore[arg-type]
        self._heard: list[Tensor] = []
        self._replayed: Iterator[Tensor] | None = None

    def __call__(self, faces: Tensor) -> Tensor:
        """Answer as `TorchTeachers` do, or repeat what was answered."""
        if self._replayed is not None:
            return next(self._replayed)
        self._heard.append(super().__call__(faces))
        return self._heard[-1]

    def turn(self) -> None:
        """Let the next student hear what this epoch's first one has heard."""
        self._replayed = iter(self._heard)

    def clear(self) -> None:
        """Begin another epoch."""
        self._heard, self._replayed = [], None


def train_students(hour: Hour, weights: dict[str, float], deadline: float) -> None:
    """Train the students epoch by epoch in turn, so that teachers are asked once for both."""
    device = torch.device("cuda" if torch.cuda.is_available() and not hour.tiny else "cpu")
    nets = [load_trained_net(hour.out / "runs" / name) for name in weights]

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")

    shared = SharedTeachers(
        [(each.net.to(device, memory_format=torch.channels_last), each.side) for each in nets],
        weights=list(weights.values()),
        name=json.dumps(weights),
        autocast=autocast,
    )
    names, folder = STAGES["students"][0], hour.out / "runs"
    recipes = fitted(hour, names, deadline, shared)
    minutes = max(0.01, (deadline - time.monotonic()) / 60)
    options = {"minutes": minutes, "hardware": hour.hardware, "teacher": shared}
    runs = [
        iter(train(recipe, hour.faces, out=folder / name, **options))  # type: ignore[arg-type]
        for name, recipe in zip(names, recipes, strict=True)
    ]
    while True:
        done = []
        for run in runs:
            done.append(next(run, None))
            shared.turn()
        shared.clear()
        if None in done:
            break
    for name in names:
        finish(hour, name)


def bring_back(hour: Hour, weights: dict[str, float]) -> None:
    """Write students, the trunk and the two best teachers in half precision, as folders of runs."""
    likely = sorted(weights, key=lambda name: -weights[name])
    sizes = {}
    for name in dict.fromkeys((*STAGES["students"][0], "facenet-1", *likely)):
        best = hour.out / "runs" / name / "best.safetensors"
        if not best.exists() or len(sizes) == 5:
            continue
        saved = load_checkpoint(best)
        small = {key: each.half() if each.is_floating_point() else each for key, each in saved.tensors.items()}
        if sum(each.numel() * each.element_size() for each in small.values()) > 0.98 * MOST_BYTES:
            continue
        target = hour.out / "nets" / name
        target.mkdir(parents=True, exist_ok=True)
        save_checkpoint(target / "best.safetensors", saved._replace(tensors=small))
        sizes[name] = (target / "best.safetensors").stat().st_size
    hour.note("results", bytes=sizes)


def run_all(hour: Hour) -> None:
    """Do the stages in order, and write what each has come to."""
    (hour.out / "runs").mkdir(parents=True, exist_ok=True)
    failed = side_by_side({"check": partial(check, hour)}, hour.deadline("check"))
    found = hour.out / "check.json"
    losses = json.loads(found.read_text(encoding="utf-8")) if found.exists() else {}
    alike = {name: is_alike(each, losses["cpu"]) for name, each in losses.items()}
    hour.cuda_graph = alike.get("graph", False)
    hour.note("check", losses=losses, alike=alike, torch=torch.__version__, faces=repr(hour.faces), failed=failed)
    for stage in ("report", "facenets", "vgg", "stride-1"):
        deadline = hour.deadline(stage)
        jobs = {name: partial(train_net, hour, name, deadline) for name in STAGES[stage][0]}
        note_nets(hour, stage, side_by_side(jobs, deadline))
    weights = weigh(hour)
    deadline = hour.deadline("students")
    failed = side_by_side({"students": partial(train_students, hour, weights, deadline)}, deadline)
    note_nets(hour, "students", failed)
    bring_back(hour, weights)


def is_alike(losses: Sequence[float], wanted: Sequence[float]) -> bool:
    """Return whether the losses of some epochs are the same: the first one's nearly, as rounding grows."""
    apart = [abs(one - other) for one, other in zip(losses, wanted, strict=True)]
    return apart[0] < 1e-2 and max(apart) < 0.1


def note_nets(hour: Hour, stage: str, failed: dict[str, str]) -> None:
    """Write the figures of a stage's nets, and what went wrong."""
    files = {name: hour.out / "scores" / f"{name}.json" for name in STAGES[stage][0]}
    figures = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}
    hour.note(stage, nets=figures, failed=failed)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, help="a folder by --pack, or an .npz file of mien data import")
    parser.add_argument("--pack", type=Path, help="an .npz file: write its labelled faces to --out, and do no more")
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--facenet", default="", help="weights by tools/convert_facenet.py, for two of the teachers")
    parser.add_argument("--tiny", action="store_true", help="small nets and generated faces, on the processor")
    arguments = parser.parse_args()
    if sum(map(bool, (arguments.faces, arguments.pack, arguments.tiny))) != 1:
        parser.error("give one of --faces, --pack and --tiny")
    if arguments.out.exists():
        parser.error(f"{arguments.out} is there already: name another folder")
    if arguments.pack:
        pack(arguments.pack, arguments.out)
        return
    if arguments.tiny:
        faces = generated_faces()
    else:
        faces = unpack(arguments.faces) if arguments.faces.is_dir() else load_faces(arguments.faces)
    arguments.out.mkdir(parents=True)
    try:
        run_all(Hour(faces, arguments.out, arguments.seconds, arguments.tiny, arguments.facenet))
    except MienError as error:
        sys.exit(f"{error}; see {arguments.out / 'log.json'}")


if __name__ == "__main__":
    main()
