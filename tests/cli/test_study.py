"""`mien study`, as its user runs it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data.formats.npz import save_faces
from processes import hold_lock
from support import python_of, run_mien, train_and_valid

ONE = "# A small net.\n[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nepochs = 2\nbatch = 16\n"


def _study(folder: Path) -> tuple[Path, Path, Path]:
    """Two recipes and a file of faces."""
    faces = train_and_valid(48, 14)
    save_faces(faces, folder / "faces.npz")
    (folder / "one.toml").write_text(ONE, encoding="utf-8")
    (folder / "wild.toml").write_text(
        '# Too fast.\nbase = "one.toml"\n[optim]\nlr = 100\nweight_decay = 10\nwarmup = 0\n'
    )
    return folder / "one.toml", folder / "wild.toml", folder / "faces.npz"


def test_a_study_prints_its_table_and_goes_on(tmp_path: Path) -> None:
    one, _, faces = _study(tmp_path)
    (tmp_path / "two.toml").write_text('# Twice as fast.\nbase = "one.toml"\n[optim]\nlr = 0.02\n', encoding="utf-8")
    command = ("study", one, tmp_path / "two.toml", "--faces", faces, "-o", tmp_path / "s", "--seeds", "1")
    changes = ("--set", "optim.epochs=1")
    ended = run_mien(*command, *changes)
    assert ended.code == 0, ended.err
    assert ended.out == (tmp_path / "s/table.md").read_text(encoding="utf-8")
    assert "| one | 1 of 1 |" in ended.out
    assert "Twice as fast. |" in ended.out
    assert "trial 1 of 2: one, seed 1: last 0." in ended.err
    assert "minutes left" in ended.err
    written = (tmp_path / "s/one/seed-1/last.safetensors").stat().st_mtime_ns
    again = run_mien(*command, *changes)
    assert again.out == ended.out
    assert (tmp_path / "s/one/seed-1/last.safetensors").stat().st_mtime_ns == written
    other = run_mien(*command)
    assert other.code == 1
    assert other.err.startswith("mien: ")
    assert "holds a study of one with another recipe" in other.err


def test_what_differs_needs_a_file(tmp_path: Path) -> None:
    one, _, faces = _study(tmp_path)
    for old in (f"{one}@{faces}", f"{one}+optim.lr=2e-3", f"{one}@{faces}+net.widths=[4, 6]"):
        ended = run_mien("study", one, old, "--faces", faces, "-o", tmp_path / "s")
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert 'write what differs into a recipe with base = "OTHER.toml"' in ended.err
    assert not (tmp_path / "s").exists()


def test_a_recipe_that_is_named_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _, faces = _study(tmp_path)
    (tmp_path / "two.toml").write_text('base = "one.toml"\n[optim]\nlr = 0.01\n', encoding="utf-8")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    command = ("study", one, "../two.toml", "../one.toml", "--faces", faces, "-o", "s", "--seeds", "1")
    ended = run_mien(*command)
    assert ended.code == 0, ended.err
    assert [line.split(" | ")[0] for line in ended.out.splitlines()[2:4]] == ["| one", "| two"]


def test_a_killed_study_ends_its_processes_and_goes_on_later(tmp_path: Path) -> None:
    """The first trial is short, the other would take hours."""
    one, _, faces = _study(tmp_path)
    two = tmp_path / "two.toml"
    two.write_text('base = "one.toml"\n[optim]\nepochs = 1000000\n', encoding="utf-8")
    command = ["study", str(one), str(two), "--faces", str(faces), "-o", str(tmp_path / "s")]
    command += ["--seeds", "1"]
    mien = [sys.executable, "-c", "from mien.cli.main import main; main()"]
    with subprocess.Popen([*mien, *command, "--workers", "2"], stderr=subprocess.PIPE, text=True) as study:
        assert study.stderr is not None
        assert study.stderr.readline().startswith("trial 1 of 2: one, seed 1: last")
        study.kill()
        study.communicate(timeout=60)  # until no process has hold of its standard error
    assert study.returncode
    two.rename(tmp_path / "three.toml")
    (tmp_path / "three.toml").write_text('base = "one.toml"\n[net]\nwidths = [4, 6]\n', encoding="utf-8")
    ended = run_mien(*(word.replace("two.toml", "three.toml") for word in command))
    assert ended.code == 0, ended.err
    assert "| three | 1 of 1 |" in ended.out


def test_two_studies_in_one_folder(tmp_path: Path) -> None:
    one, _, faces = _study(tmp_path)
    (tmp_path / "s").mkdir()
    command = ("study", one, "--faces", faces, "-o", tmp_path / "s")
    with hold_lock(tmp_path / "s/study.lock"):
        ended = run_mien(*command)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[-1].startswith(f"mien: another process trains in {tmp_path / 's'}")
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["study.lock"]


def test_a_failed_trial_fails_the_command_at_its_end(tmp_path: Path) -> None:
    one, wild, faces = _study(tmp_path)
    ended = run_mien("study", wild, one, wild, "--faces", faces, "-o", tmp_path / "s", "--seeds", "1")
    assert ended.code == 1
    assert ended.out.splitlines()[2].startswith("| wild | 0 of 1, 1 failed |")  # first, though it was named again
    assert "| one | 1 of 1 |" in ended.out
    assert "trial 1 of 2: wild, seed 1: failed: the loss is nan" in ended.err
    assert ended.err.splitlines()[-1].startswith("mien: 1 of 2 trials failed")


def test_what_cannot_be_read_stops_it_before_it_starts(tmp_path: Path) -> None:
    one, _, faces = _study(tmp_path)
    (tmp_path / "bad.toml").write_text("[optim]\nepoch = 2\n", encoding="utf-8")
    for recipe, complaint in (("bad.toml", "did you mean optim.epochs"), ("no.toml", "No such file")):
        ended = run_mien("study", one, tmp_path / recipe, "--faces", faces, "-o", tmp_path / "s")
        assert ended.code == 1
        assert complaint in ended.err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "one.toml").write_text(ONE, encoding="utf-8")
    ended = run_mien("study", one, tmp_path / "other" / "one.toml", "--faces", faces, "-o", tmp_path / "s")
    assert "must have different names, got one 2 times" in ended.err
    assert not (tmp_path / "s").exists()


def test_faces_without_valid_ones_are_said_once_a_cell(tmp_path: Path) -> None:
    one, _, _ = _study(tmp_path)
    faces = train_and_valid(48, 14)
    save_faces(replace(faces, splits=np.full(len(faces), "train")), tmp_path / "train.npz")
    ended = run_mien("study", one, "--faces", tmp_path / "train.npz", "-o", tmp_path / "s", "--seeds", "1")
    assert ended.code == 1
    assert "--split-valid" in ended.err


def test_the_pages_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    one, _, _ = _study(tmp_path)
    (tmp_path / "recipes").mkdir()
    one.rename(tmp_path / "recipes" / "plain.toml")
    exec(compile(python_of("study.md"), "study.md", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.startswith("plain 1 0.")


def test_seeds_are_the_studys(tmp_path: Path) -> None:
    one, _, faces = _study(tmp_path)
    ended = run_mien("study", one, "--faces", faces, "-o", tmp_path / "s", "--set", "seed=7")
    assert (ended.code, "leave seed=... out" in " ".join(ended.err.split())) == (2, True), ended.err
    assert not (tmp_path / "s").exists()
