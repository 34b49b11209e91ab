"""A study: several recipes, each with several seeds, judged on the same valid faces; one table. Each trial is a run.

OUT/study.json               which recipes and faces it compares, so that no others are mixed in later
OUT/NAME/seed-1/             the folder of a run; in it trial.json, once it is finished: its epochs
OUT/study.lock               held by the process that trains in it
OUT/table.md, .csv, .png     what came of it so far, written anew after each trial
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import OutputError, RunError
from mien.io.atomic_write import write_text
from mien.labels import VOTES
from mien.train.loss.distillation import teacher_hashes
from mien.train.recipe import Recipe
from mien.train.recipe_toml import load_recipe, parse_recipe, recipe_path
from mien.train.run.checkpoint import Epoch
from mien.train.run.run_dir import lock_folder
from mien.train.studies.comparison import Comparison
from mien.train.studies.trials import Trial, TrialJob, run_in_processes, run_in_turn
from mien.types import FaceSet, Progress

LOCK = "study.lock"


@dataclass(frozen=True)
class Candidate:
    """One of the things that a study compares.

    name:  of its folder and its row. about: a line for the table.
    train_faces: where it is not to be trained on the study's; of these only the train split counts.
    """

    name: str
    recipe: Recipe
    about: str = ""
    train_faces: FaceSet | None = None


def load_candidate(path: Path | str, changes: Sequence[str] = ()) -> Candidate:
    """A recipe's file as a candidate by the file's name; about it is what its first line says, if that is a comment.

    changes: settings, as for `load_recipe`. Raises RecipeError as that does.
    """
    recipe, path = load_recipe(path, changes), recipe_path(path)
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return Candidate(path.stem, recipe, first.removeprefix("#").strip() if first.startswith("#") else "")


def study(
    candidates: Sequence[Candidate],
    faces: FaceSet,
    *,
    out: Path | str,
    seeds: int = 2,
    workers: int = 1,
    threads: int = 1,
    progress: Progress | None = None,
) -> Iterator[Trial]:
    """Train each candidate with the seeds 1 to `seeds`, all with the first before any with the second; yield trials.

    A trial that `out` holds already is not trained again, and one that was broken off goes on. One that fails says why,
    and the others go on; it is tried again by the next study in `out`. After each trial the tables in `out` are written
    anew; they compare all with the first candidate.
    workers: how many trials are trained at a time; more than one are in processes of their own, so that a script needs
    the usual `if __name__ == "__main__"`. threads: of each. progress: epochs done, of how many.
    Raises RunError where two candidates have one name, or `out` holds a study of other recipes, faces or teachers.
    """
    out = Path(out)
    _check(candidates, seeds=seeds, workers=workers)
    own = {each.name: _own_faces(each, faces) for each in candidates}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror}") from error
    with lock_folder(out / LOCK):
        _note_down(out, candidates, own)
    jobs = [
        TrialJob(
            each.name, dataclasses.replace(each.recipe, seed=seed), own[each.name], out / each.name / f"seed-{seed}"
        )
        for seed in range(1, seeds + 1)
        for each in candidates
    ]
    valid = int(((faces.splits == "valid") & (faces.labels >= 0)).sum())
    table = Comparison({each.name: each.about for each in candidates}, seeds=seeds, valid_faces=valid)
    return _trials(jobs, table, out, workers=workers, threads=threads, progress=progress)


def _trials(
    jobs: Sequence[TrialJob], table: Comparison, out: Path, *, workers: int, threads: int, progress: Progress | None
) -> Iterator[Trial]:
    with lock_folder(out / LOCK):
        yield from _each(jobs, table, out, workers=workers, threads=threads, progress=progress)


def _each(
    jobs: Sequence[TrialJob], table: Comparison, out: Path, *, workers: int, threads: int, progress: Progress | None
) -> Iterator[Trial]:
    total = sum(job.recipe.optim.epochs for job in jobs)
    done: dict[Path, int] = {}

    def tell(job: TrialJob, epochs: int) -> None:
        done[job.folder] = epochs
        if progress:
            progress(sum(done.values()), total)

    left = []
    for job in jobs:
        trial = _finished(job)
        if trial is None:
            left.append(job)
        else:
            table.add(trial)
            tell(job, job.recipe.optim.epochs)
            yield trial
    table.write(out)
    one_process = workers == 1 or len(left) < 2
    trained = (
        run_in_turn(left, threads=threads, tell=tell)
        if one_process
        else run_in_processes(left, workers=workers, threads=threads, tell=tell)
    )
    for job, trial in trained:
        if not trial.failure:
            write_text(job.folder / "trial.json", json.dumps([dataclasses.asdict(epoch) for epoch in trial.epochs]))
        table.add(trial)
        table.write(out)
        tell(job, job.recipe.optim.epochs)
        yield trial


def _finished(job: TrialJob) -> Trial | None:
    path = job.folder / "trial.json"
    if not path.exists():
        return None
    try:
        epochs = tuple(Epoch(**epoch) for epoch in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} cannot be read: remove it to train that trial again: {error}") from error
    return Trial(job.name, job.recipe.seed, epochs)


def _check(candidates: Sequence[Candidate], *, seeds: int, workers: int) -> None:
    for what, number in (("candidates", len(candidates)), ("seeds", seeds), ("workers", workers)):
        if number < 1:
            raise RunError(f"{what} of a study must be 1 or more, got {number}")
    name, times = Counter(each.name for each in candidates).most_common(1)[0]
    if times > 1:
        raise RunError(f"recipes of a study must have different names, got {name} {times} times: rename a file")


def _own_faces(candidate: Candidate, faces: FaceSet) -> FaceSet:
    """What a candidate is trained on, with the valid faces that all are judged on."""
    if candidate.train_faces is None:
        return faces
    train, valid = candidate.train_faces[candidate.train_faces.splits == "train"], faces[faces.splits == "valid"]
    theirs, ours = ({image.tobytes() for image in part.images} for part in (train, faces[faces.splits == "train"]))
    theirs -= ours
    leaked = np.array([image.tobytes() in theirs for image in valid.images], np.bool_)  # by another name
    shared = int((np.isin(valid.ids, train.ids) | leaked).sum())
    if shared:
        raise RunError(f"{candidate.name} must be trained on no valid face of the study, got {shared}")
    voted = train.votes is not None or valid.votes is not None
    votes = [
        np.zeros((len(part), len(VOTES)), np.float32) if part.votes is None else part.votes for part in (train, valid)
    ]
    return FaceSet(
        images=np.concatenate([train.images, valid.images]),
        labels=np.concatenate([train.labels, valid.labels]),
        splits=np.concatenate([train.splits, valid.splits]),
        ids=np.concatenate([train.ids, valid.ids]),
        votes=np.concatenate(votes) if voted else None,
    )


def _note_down(out: Path, candidates: Sequence[Candidate], own: dict[str, FaceSet]) -> None:
    """Note down what is compared in `out`, or see that it is what was compared before."""
    path = out / "study.json"
    known: dict[str, dict[str, Any]] = {}
    if path.exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{path} cannot be read: {error}; name another folder") from error
    for each in candidates:
        now: dict[str, Any] = {
            "recipe": dataclasses.replace(each.recipe, seed=1).to_toml(),
            "faces_hash": own[each.name].hash,
            "teachers": teacher_hashes(each.recipe.loss.teachers),
        }
        before = known.setdefault(each.name, now)
        differs = {
            "another recipe": parse_recipe(before["recipe"], where=str(path)) != parse_recipe(now["recipe"]),
            "other faces": before["faces_hash"] != now["faces_hash"],
            "another teacher": before.setdefault("teachers", now["teachers"]) != now["teachers"],
        }
        for what, does in differs.items():
            if does:
                raise RunError(
                    f"{out} holds a study of {each.name} with {what}: go on with its own, or name another folder"
                )
    write_text(path, json.dumps(known, indent=2) + "\n")
