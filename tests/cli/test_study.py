"""`mien study`, as its user runs it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.data.formats.npz import save_faces
from support import python_of, run_mien, train_and_valid

ONE = "# A small net.\n[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nepochs = 2\nbatch = 16\n"


def _study(folder: Path) -> tuple[Path, Path, Path]:
    """Two recipes and a file of faces."""
    faces = train_and_valid(48, 14)
    save_faces(faces, folder / "faces.npz")
    save_faces(faces[np.arange(len(faces)) >= 14], folder / "fewer.npz")
    (folder / "one.toml").write_text(ONE, encoding="utf-8")
    (folder / "wild.toml").write_text('# Too fast.\nbase = "one.toml"\n[optim]\nlr = 1e30\nwarmup = 0\n')
    return folder / "one.toml", folder / "wild.toml", folder / "faces.npz"


def test_a_study_prints_its_table_and_goes_on(tmp_path: Path) -> None:
    one, _, faces = _study(tmp_path)
    command = ("study", one, f"{one}@{tmp_path / 'fewer.npz'}", "--faces", faces, "-o", tmp_path / "s", "--seeds", "1")
    changes = ("--set", "optim.epochs=1")
    ended = run_mien(*command, *changes)
    assert ended.code == 0, ended.err
    assert ended.out == (tmp_path / "s/table.md").read_text(encoding="utf-8")
    assert "| one | 1 of 1 |" in ended.out
    assert "A small net. On the 34 train faces of fewer.npz. |" in ended.out
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


def test_a_recipe_may_have_settings_of_its_own(tmp_path: Path) -> None:
    one, _, faces = _study(tmp_path)
    varied = f"{one}@{tmp_path / 'fewer.npz'}+optim.lr=2e-3+net.widths=[4, 6]"
    command = ("study", one, varied, "--faces", faces, "-o", tmp_path / "s", "--seeds", "1")
    ended = run_mien(*command, "--set", "optim.lr=0.05", "--set", "optim.epochs=1")
    assert ended.code == 0, ended.err
    about = "A small net. On the 34 train faces of fewer.npz. With optim.lr=2e-3. With net.widths=[4, 6]. |"
    assert "| one@fewer+optim.lr=2e-3+net.widths=_4_6_ | 1 of 1 |" in ended.out
    assert about in ended.out
    own, other = (
        (tmp_path / "s" / name / "seed-1" / "recipe.toml").read_text(encoding="utf-8")
        for name in ("one@fewer+optim.lr=2e-3+net.widths=_4_6_", "one")
    )
    assert "lr = 0.002\n" in own
    assert "widths = [4, 6]\n" in own
    assert "epochs = 1\n" in own
    assert "lr = 0.05\n" in other
    wrong = run_mien("study", f"{one}+optim.epoch=1", "--faces", faces, "-o", tmp_path / "t")
    assert wrong.code == 1
    assert "did you mean optim.epochs" in wrong.err


def test_one_file_of_faces_does_for_several_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named from below, as in docs/report-study.md: recipe@../faces.npz is no path, though it looks like one."""
    one, _, faces = _study(tmp_path)
    (tmp_path / "two.toml").write_text('base = "one.toml"\n[optim]\nlr = 0.01\n', encoding="utf-8")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    named = [f"{tmp_path / name}@../fewer.npz" for name in ("one.toml", "two.toml")]
    command = ("study", one, *named, "../one.toml", "--faces", faces, "-o", "s", "--seeds", "1", "--workers", "2")
    ended = run_mien(*command)
    assert ended.code == 0, ended.err
    assert [line.split(" | ")[0] for line in ended.out.splitlines()[2:5]] == ["| one", "| one@fewer", "| two@fewer"]


def test_a_killed_study_takes_its_processes_with_it_and_is_gone_on_with(tmp_path: Path) -> None:
    """The first trial is short, the other would take hours."""
    one, _, faces = _study(tmp_path)
    command = ["study", str(one), f"{one}+net.widths=[4, 6]", "--faces", str(faces), "-o", str(tmp_path / "s")]
    command += ["--seeds", "1", "--workers", "2"]
    endless = [*command[:2], f"{one}+optim.epochs=1000000", *command[3:]]
    mien = [sys.executable, "-c", "from mien.cli.main import main; main()"]
    with subprocess.Popen([*mien, *endless], stderr=subprocess.PIPE, text=True) as study:
        assert study.stderr is not None
        assert study.stderr.readline().startswith("trial 1 of 2: one, seed 1: last")
        study.kill()
        study.communicate(timeout=60)  # until no process has hold of its standard error
    assert study.returncode
    ended = run_mien(*command)
    assert ended.code == 0, ended.err
    assert "| one+net.widths=_4_6_ | 1 of 1 |" in ended.out


def test_two_studies_in_one_folder(tmp_path: Path) -> None:
    one, _, faces = _study(tmp_path)
    (tmp_path / "s").mkdir()
    command = ("study", one, "--faces", faces, "-o", tmp_path / "s")
    hold = "import sys\nfrom mien.train.run.run_dir import lock_folder\nfrom pathlib import Path\n"
    hold += (
        f"with lock_folder(Path({str(tmp_path / 's/study.lock')!r})):\n    print(flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        ended = run_mien(*command)
        other.kill()
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[-1].startswith(f"mien: another process trains in {tmp_path / 's'}")
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["study.lock"]


def test_a_failed_cell_fails_the_command_at_its_end(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("own", [True, False])
def test_seeds_are_the_studys(tmp_path: Path, own: bool) -> None:
    one, _, faces = _study(tmp_path)
    recipe, more = (f"{one}+seed=7", []) if own else (one, ["--set", "seed=7"])
    ended = run_mien("study", recipe, "--faces", faces, "-o", tmp_path / "s", *more)
    assert (ended.code, "leave seed=... out" in " ".join(ended.err.split())) == (2, True), ended.err
    assert not (tmp_path / "s").exists()
