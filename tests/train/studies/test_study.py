"""Studies: what is trained in which order, what is not trained again, and that the table says what the runs came to."""

import csv
import os
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from mien.errors import ModelError, OutputError, RecipeError, RunError
from mien.metrics import Proportion
from mien.train import Candidate, Epoch, Trial, load_candidate, study, train
from mien.train.recipe_toml import parse_recipe
from mien.train.studies.comparison import Comparison
from mien.train.studies.trials import TrialJob, run_in_processes
from support import ONE_THREAD, tiny_model, train_and_valid

RECIPE = "[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nepochs = 2\nbatch = 16\n"
FACES = train_and_valid(48, 14)


def _candidate(name: str, more: str = "", *, about: str = "") -> Candidate:
    return Candidate(name, parse_recipe(RECIPE + more), about)


def _rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "table.csv").open(encoding="utf-8") as file:
        return {row["recipe"]: row for row in csv.DictReader(file)}


def test_each_cell_is_a_run_of_its_seed(tmp_path: Path) -> None:
    candidates = [_candidate("a", about="Plain."), _candidate("b", "lr = 0.01\n")]
    told: list[tuple[int, int]] = []
    trials = list(study(candidates, FACES, out=tmp_path / "s", progress=lambda *both: told.append(both)))
    assert [(trial.name, trial.seed) for trial in trials] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    alone = train(replace(candidates[1].recipe, seed=2), FACES, out=tmp_path / "alone", hardware=ONE_THREAD)
    assert [epoch.train_loss for epoch in alone] == [epoch.train_loss for epoch in trials[3].epochs]
    assert (tmp_path / "s" / "b" / "seed-2" / "best.safetensors").exists()
    assert told[-1] == (8, 8)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    row = _rows(tmp_path / "s")["b"]
    lasts = [trials[1].epochs[-1].valid_accuracy, trials[3].epochs[-1].valid_accuracy]
    assert float(row["last"]) == pytest.approx(fmean(lasts))
    assert float(row["last_sd"]) == pytest.approx(stdev(lasts))
    baseline = [trials[0].epochs[-1].valid_accuracy, trials[2].epochs[-1].valid_accuracy]
    assert float(row["difference"]) == pytest.approx(fmean(lasts) - fmean(baseline))


def test_a_study_goes_on(tmp_path: Path) -> None:
    candidates = [_candidate("a"), _candidate("b", "lr = 0.01\n")]
    whole = list(study(candidates, FACES, out=tmp_path / "whole"))
    broken: Any = study(candidates, FACES, out=tmp_path / "s")
    next(broken)
    broken.close()
    half = iter(train(replace(candidates[1].recipe, seed=1), FACES, out=tmp_path / "s/b/seed-1", hardware=ONE_THREAD))
    next(half)  # as a study leaves it that is killed after the first epoch of its second trial
    written = (tmp_path / "s/a/seed-1/last.safetensors").stat().st_mtime_ns
    trials = list(study(candidates, FACES, out=tmp_path / "s"))
    assert (tmp_path / "s/a/seed-1/last.safetensors").stat().st_mtime_ns == written
    for one, other in zip(whole, trials, strict=True):
        assert [epoch.train_loss for epoch in one.epochs] == [epoch.train_loss for epoch in other.epochs]
        same = [(tmp_path / name / one.name / f"seed-{one.seed}" / "last.safetensors") for name in ("whole", "s")]
        assert _tensors(same[0]) == _tensors(same[1])


def _tensors(path: Path) -> dict[str, bytes]:
    from mien.train.run.checkpoint import load_checkpoint

    return {name: tensor.numpy().tobytes() for name, tensor in load_checkpoint(path).tensors.items()}


def test_a_failure_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    candidates = [_candidate("a"), _candidate("wild", "lr = 100\nweight_decay = 10\nwarmup = 0\n"), _candidate("c")]
    trials = list(study(candidates, FACES, out=tmp_path, seeds=1))
    assert [bool(trial.failure) for trial in trials] == [False, True, False]
    assert "nan" in trials[1].failure
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| wild | 0 of 1, 1 failed |" in text
    assert "wild, seed 1, failed: the loss is nan" in text
    again = list(study(candidates, FACES, out=tmp_path, seeds=1))
    assert [trial.name for trial in again] == ["a", "c", "wild"]


def test_all_are_judged_on_the_same_faces(tmp_path: Path) -> None:
    fewer = FACES[(FACES.splits == "train") & (np.arange(len(FACES)) % 3 > 0)]
    candidates = [_candidate("a"), replace(_candidate("fewer"), train_faces=fewer)]
    list(study(candidates, FACES, out=tmp_path, seeds=1))
    runs = [(tmp_path / name / "seed-1/run.json").read_text(encoding="utf-8") for name in ("a", "fewer")]
    assert '"train_faces": 48' in runs[0]
    assert '"train_faces": 32' in runs[1]
    assert all('"valid_faces": 14' in run for run in runs)
    leaking = replace(FACES[np.arange(len(FACES)) > 30], splits=np.full(len(FACES) - 31, "train"))
    with pytest.raises(RunError, match=r"leaking must be trained on no valid face of the study, got 14"):
        study([_candidate("a"), replace(_candidate("leaking"), train_faces=leaking)], FACES, out=tmp_path)


def test_valid_faces_by_other_names_are_known(tmp_path: Path) -> None:
    """But for those whose twins the study itself is trained on, as FER2013 has some."""
    ids = np.array([f"other {name}" for name in FACES.ids])
    leaking = replace(FACES, splits=np.full(len(FACES), "train"), ids=ids)
    with pytest.raises(RunError, match="leaking must be trained on no valid face of the study, got 14"):
        study([_candidate("a"), replace(_candidate("leaking"), train_faces=leaking)], FACES, out=tmp_path)
    images = FACES.images.copy()
    images[FACES.splits == "valid"] = images[0]
    twins = replace(FACES, images=images)
    own = replace(twins[twins.splits == "train"], ids=ids[FACES.splits == "train"])
    study([_candidate("a"), replace(_candidate("own"), train_faces=own)], twins, out=tmp_path)


def test_processes_give_the_same_and_one_may_die_alone(tmp_path: Path) -> None:
    recipe = parse_recipe(RECIPE)
    told: list[int] = []
    deadly: Any = _Deadly()
    jobs = [TrialJob("deadly", recipe, deadly, tmp_path / "d"), TrialJob("a", recipe, FACES, tmp_path / "a")]
    found = {
        job.name: trial
        for job, trial in run_in_processes(jobs, workers=2, threads=1, on_epoch=lambda _, epochs: told.append(epochs))
    }
    assert found["deadly"].failure == "its process ended with code 3"
    here = train(recipe, FACES, out=tmp_path / "here", hardware=ONE_THREAD)
    assert [epoch.train_loss for epoch in found["a"].epochs] == [epoch.train_loss for epoch in here]
    assert told == [0, 1, 2]


class _Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)


def test_what_another_study_compared_is_not_mixed_in(tmp_path: Path) -> None:
    next(study([_candidate("a")], FACES, out=tmp_path))
    before = (tmp_path / "study.json").read_bytes()
    with pytest.raises(RunError, match="holds a study of a with another recipe"):
        study([_candidate("a", "lr = 0.5\n")], FACES, out=tmp_path)
    with pytest.raises(RunError, match="holds a study of a with other faces"):
        study([_candidate("a")], train_and_valid(48, 14, seed=9), out=tmp_path)
    assert (tmp_path / "study.json").read_bytes() == before
    study([_candidate("a"), _candidate("new", "lr = 0.5\n")], FACES, out=tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"a": null}', '{"a": {"recipe": 1}}', "[" * 100_000, '{"\\ud800": {}}'])
def test_a_damaged_file_of_a_study_is_named(tmp_path: Path, text: str) -> None:
    next(study([_candidate("a")], FACES, out=tmp_path, seeds=1))
    whole = (tmp_path / "study.json").read_text()
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(RunError, match=r"study\.json cannot be read: .*; name another folder") as caught:
        study([_candidate("a")], FACES, out=tmp_path, seeds=1)
    assert len(str(caught.value).splitlines()) == 1
    (tmp_path / "study.json").write_text(whole)
    (tmp_path / "a/seed-1/trial.json").write_text(text)
    with pytest.raises(RunError, match=r"trial\.json cannot be read: remove it to train that trial again"):
        list(study([_candidate("a")], FACES, out=tmp_path, seeds=1))


def test_a_teacher_that_changed_is_not_mixed_in(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "t.onnx")
    candidate = _candidate("a", f'[loss]\nteachers = ["{model.as_posix()}"]\n')
    study([candidate], FACES, out=tmp_path / "s")
    study([candidate], FACES, out=tmp_path / "s")
    tiny_model(tmp_path / "t.onnx", seed=5)
    with pytest.raises(RunError, match="holds a study of a with another teacher"):
        study([candidate], FACES, out=tmp_path / "s")
    model.unlink()
    with pytest.raises(ModelError, match=r"no file and no model that ships is named .*t\.onnx"):
        study([candidate], FACES, out=tmp_path / "s")


def test_faces_of_its_own_keep_their_votes(tmp_path: Path) -> None:
    votes = np.ones((len(FACES), 10), np.float32)
    voted = replace(_candidate("voted", "[loss]\naux_ferplus_weight = 0.5\n"), train_faces=replace(FACES, votes=votes))
    (trial,) = study([voted], FACES, out=tmp_path, seeds=1)
    assert not trial.failure


def test_a_cell_without_an_epoch_has_no_accuracy() -> None:
    trial = Trial("a", 1, (), "broken")
    assert np.isnan([trial.last, trial.best]).all()


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"must have different names, got a 2 times"):
        study([_candidate("a"), _candidate("b"), _candidate("a")], FACES, out=tmp_path / "s")
    with pytest.raises(RunError, match="candidates of a study must be 1 or more, got 0"):
        study([], FACES, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make the folder"):
        study([_candidate("a")], FACES, out=tmp_path / "file" / "s")


def test_a_candidate_is_about_its_files_first_line(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("# What it is.\n# More.\nseed = 4\n", encoding="utf-8")
    candidate = load_candidate(path, ["optim.epochs=3"])
    assert (candidate.name, candidate.about, candidate.recipe.optim.epochs) == ("r", "What it is.", 3)
    path.write_text("seed = 4\n# Later.\n", encoding="utf-8")
    assert load_candidate(path).about == ""
    with pytest.raises(RecipeError):
        load_candidate(tmp_path / "no.toml")


def _trial(name: str, seed: int, *accuracies: float, failure: str = "") -> Trial:
    epochs = (Epoch(at + 1, 48, 1.0, 1.0, value, 0.1, 30.0, 100.0) for at, value in enumerate(accuracies))
    return Trial(name, seed, tuple(epochs), failure)


def test_differences_are_between_equal_seeds(tmp_path: Path) -> None:
    table = Comparison({"a": "", "b|": "x | y"}, seeds=3, valid_faces=1000)
    for trial in (_trial("a", 1, 0.5, 0.4), _trial("a", 2, 0.8), _trial("b|", 1, 0.45), _trial("b|", 3, 0.1)):
        table.add(trial)
    first, second = table.rows()
    assert first.best == pytest.approx(0.65)
    assert first.last == pytest.approx(0.6)
    assert second.difference == pytest.approx(0.05)  # of seed 1 alone: seed 2 is missing here, seed 3 there
    assert first.minutes == pytest.approx(0.75)
    table.write(tmp_path)
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    assert lines[2] == "| a | 2 of 3 | 60.00 ± 28.28 | 65.00 ± 21.21 |  | 0.8 |  |"
    assert lines[3] == "| b\\| | 2 of 3 | 27.50 ± 24.75 | 27.50 ± 24.75 | +5.00 | 0.5 | x \\| y |"
    low, high = Proportion(438, 1000).interval  # of the mean of 60% and 27.5%
    assert f"±{50 * (high - low):.1f} points" in lines[5]
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_without_a_finished_cell_has_a_table(tmp_path: Path) -> None:
    table = Comparison({"a": "", "b": ""}, seeds=1, valid_faces=10)
    table.write(tmp_path)
    table.add(_trial("a", 1, failure="broken"))
    table.add(_trial("b", 1, 0.5))
    table.write(tmp_path)
    assert table.rows()[1].difference is None
    assert "a, seed 1, failed: broken" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_the_reports_page_says_of_each_recipe_what_the_file_says() -> None:
    root = Path(__file__).parents[3]
    page = (root / "docs/report-study.md").read_text(encoding="utf-8")
    for path in sorted((root / "recipes/report").glob("*.toml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        about, *said = [line.removeprefix("# ") for line in takewhile(lambda line: line.startswith("# "), lines)]
        row = next(line for line in page.splitlines() if line.startswith(f"| [{path.stem}]("))
        assert row.endswith(f"| {about} | {' '.join(said).removeprefix('Report: ')} |")
