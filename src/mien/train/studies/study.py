"""A study compares recipes: each is trained with several seeds and judged on the same valid faces. A trial is a run.

OUT/study.json               which recipes and faces it compares, so that no others are mixed in later
OUT/NAME/seed-1/             the folder of a run; in it trial.json, its epochs, once it is finished
OUT/study.lock               held by the process that trains in it
OUT/table.md, .csv, .png     the results so far, written anew after each trial
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from mien.errors import RunError
from mien.io.atomic_write import make_folder, write_text
from mien.io.recipe_files import find_recipe
from mien.train.loss.distillation import teacher_hashes
from mien.train.recipe import Recipe
from mien.train.recipe_toml import load_recipe, parse_recipe
from mien.train.run.checkpoint import Epochs
from mien.train.run.run_dir import lock_folder, require_same
from mien.train.studies.comparison import Comparison
from mien.train.studies.trials import Trial, TrialJob, run_in_processes, run_in_turn
from mien.types import FaceSet, Progress

LOCK = "study.lock"


@dataclass(frozen=True)
class Candidate:
    """One of the things that a study compares.

    Parameters
    ----------
    name
        The name of its folder and of its row in the table.
    recipe
        Its recipe; the study replaces the seed.
    about
        A line for the table.
    train_faces
        Faces whose train split it is trained on instead of the study's.
    """

    name: str
    recipe: Recipe
    about: str = ""
    train_faces: FaceSet | None = None


@dataclass(frozen=True)
class _Compared:
    """The schema of an entry of study.json: what a candidate is. teachers: the hashes of their files."""

    recipe: str
    faces_hash: str
    teachers: list[str]


def load_candidate(path: Path | str, changes: Sequence[str] = ()) -> Candidate:
    """Load a recipe's file as a candidate. Its name is the file's, and it is about what a first comment line says.

    changes: settings, as for `load_recipe`. Raises RecipeError as that does.
    """
    recipe, path = load_recipe(path, changes), find_recipe(path)
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

    A trial that `out` holds already is not trained again, and one that was interrupted goes on. One that fails says
    why, and the others go on; the next study in `out` tries it again.

    Parameters
    ----------
    candidates
        What is compared, in the order of the table; the first is what the others are compared with.
    faces
        What the candidates are trained on, and judged by.
    out
        The folder of the study; its tables are written anew after each trial.
    seeds
        How many runs each candidate gets.
    workers
        How many trials are trained at a time. More than one are in processes of their own, so that a script needs the
        usual `if __name__ == "__main__"`.
    threads
        Processor threads of each trial.
    progress
        Is told how many epochs are done, of how many.

    Raises
    ------
    RunError
        Where two candidates have one name, or `out` holds a study of other recipes, faces or teachers.
    """
    out = Path(out)
    _require_sound(candidates, seeds=seeds, workers=workers)
    faces_of = {each.name: _candidate_faces(each, faces) for each in candidates}
    make_folder(out)
    with lock_folder(out / LOCK):
        _note_candidates(out, candidates, faces_of)
    jobs = [
        TrialJob(
            name=each.name,
            recipe=dataclasses.replace(each.recipe, seed=seed),
            faces=faces_of[each.name],
            folder=out / each.name / f"seed-{seed}",
        )
        for seed in range(1, seeds + 1)
        for each in candidates
    ]
    valid = int(((faces.splits == "valid") & (faces.labels >= 0)).sum())
    table = Comparison({each.name: each.about for each in candidates}, seeds=seeds, valid_faces=valid)
    return _run_trials(jobs, table, out, workers=workers, threads=threads, progress=progress)


def _run_trials(
    jobs: Sequence[TrialJob], table: Comparison, out: Path, *, workers: int, threads: int, progress: Progress | None
) -> Iterator[Trial]:
    done = dict.fromkeys((job.folder for job in jobs), 0)

    def on_epoch(job: TrialJob, epochs: int) -> None:
        done[job.folder] = epochs
        if progress:
            progress(sum(done.values()), sum(job.recipe.optim.epochs for job in jobs))

    with lock_folder(out / LOCK):
        finished = {job.folder: trial for job in jobs if (trial := _read_trial(job))}
        left = [job for job in jobs if job.folder not in finished]
        for job in jobs:
            if job.folder in finished:
                table.add(finished[job.folder])
                on_epoch(job, job.recipe.optim.epochs)
        table.write(out)
        yield from finished.values()
        trained = (
            run_in_turn(left, threads=threads, on_epoch=on_epoch)
            if workers == 1 or len(left) < 2
            else run_in_processes(left, workers=workers, threads=threads, on_epoch=on_epoch)
        )
        for job, trial in trained:
            if not trial.failure:
                write_text(job.folder / "trial.json", msgspec.json.encode(trial.epochs).decode())
            table.add(trial)
            table.write(out)
            on_epoch(job, job.recipe.optim.epochs)
            yield trial


def _read_trial(job: TrialJob) -> Trial | None:
    """Read a finished trial; None where it is not finished."""
    path = job.folder / "trial.json"
    if not path.exists():
        return None
    try:
        epochs = msgspec.json.decode(path.read_bytes(), type=Epochs)
    except (OSError, RecursionError, ValueError) as error:
        raise RunError(f"{path} cannot be read: remove it to train that trial again: {error}") from error
    return Trial(job.name, job.recipe.seed, tuple(epochs))


def _require_sound(candidates: Sequence[Candidate], *, seeds: int, workers: int) -> None:
    for what, number in (("candidates", len(candidates)), ("seeds", seeds), ("workers", workers)):
        if number < 1:
            raise RunError(f"{what} of a study must be 1 or more, got {number}")
    name, times = Counter(each.name for each in candidates).most_common(1)[0]
    if times > 1:
        raise RunError(f"recipes of a study must have different names, got {name} {times} times: rename a file")


def _candidate_faces(candidate: Candidate, faces: FaceSet) -> FaceSet:
    """Return the faces a candidate is trained on, together with the valid faces that all are judged on."""
    if candidate.train_faces is None:
        return faces
    train, valid = candidate.train_faces[candidate.train_faces.splits == "train"], faces[faces.splits == "valid"]
    theirs, ours = ({image.tobytes() for image in part.images} for part in (train, faces[faces.splits == "train"]))
    theirs -= ours
    leaked = np.array([image.tobytes() in theirs for image in valid.images], np.bool_)  # by another name
    shared = int((np.isin(valid.ids, train.ids) | leaked).sum())
    if shared:
        raise RunError(f"{candidate.name} must be trained on no valid face of the study, got {shared}")
    return FaceSet.concatenate([train, valid])


def _note_candidates(out: Path, candidates: Sequence[Candidate], faces_of: Mapping[str, FaceSet]) -> None:
    """Note in study.json what is compared, or see that it is what was compared before."""
    path = out / "study.json"
    known: dict[str, _Compared] = {}
    if path.exists():
        try:
            known = msgspec.json.decode(path.read_bytes(), type=dict[str, _Compared])
        except (OSError, RecursionError, ValueError) as error:
            raise RunError(f"{path} cannot be read: {error}; name another folder") from error
    for each in candidates:
        recipe = dataclasses.replace(each.recipe, seed=1).to_toml()
        now = _Compared(recipe, faces_of[each.name].hash, teacher_hashes(each.recipe.loss.teachers))
        before = known.setdefault(each.name, now)
        require_same(f"{out} holds a study of {each.name}", _comparable(before, path), _comparable(now, path))
    write_text(path, msgspec.json.format(msgspec.json.encode(known)).decode() + "\n")


def _comparable(compared: _Compared, path: Path) -> dict[str, object]:
    return {
        "another recipe": parse_recipe(compared.recipe, where=str(path)),
        "other faces": compared.faces_hash,
        "another teacher": compared.teachers,
    }
