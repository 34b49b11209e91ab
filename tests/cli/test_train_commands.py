"""`mien train` as its user meets it: lines on stderr, the result on stdout, one clear line for whatever goes wrong."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mien.data.formats.npz import save_faces
from mien.train.run.state import TrainingState
from support import fill_disk, run_mien, train_and_valid

RECIPE = "[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nepochs = 3\nbatch = 16\n"


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    save_faces(train_and_valid(40, 14), tmp_path / "faces.npz")
    files = [str(tmp_path / "recipe.toml"), "--faces", str(tmp_path / "faces.npz"), "-o", str(tmp_path / "run")]
    return ["train", *files, "--threads", "1", "--accelerator", "cpu"]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_line_an_epoch_and_what_came_of_it(command: list[str], tmp_path: Path) -> None:
    ended = run_mien(*command)
    assert ended.code == 0, ended.err
    assert [line[:11] for line in ended.err.splitlines()] == [
        "epoch   1  ",
        "epoch   2  ",
        "epoch   3  ",
        "next: mien ",
    ]
    assert ended.out.startswith(f"{tmp_path / 'run'}: best valid accuracy 0.")
    again = run_mien(*command)
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith(f"mien: {tmp_path / 'run'} already holds a run: add --resume")
    resumed = run_mien(*command, "--resume")
    assert (resumed.code, resumed.out) == (0, ended.out)
    assert "going on after epoch 3 of 3" in resumed.err


def test_a_terminal_gets_a_bar(command: list[str]) -> None:
    training = run_mien(*command, watched=True)
    assert training.code == 0
    words = " ".join(training.err.split())
    assert re.search(r"epoch 3 loss \d\.\d{3} \d+ faces/s \S+ 3/3 .*left", words)
    assert "epoch 4" not in words


def test_ctrl_c_says_where_it_stands(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, step = TrainingState.step, 0

    def interrupted(state: TrainingState, lr: float, decay: float) -> None:
        nonlocal step
        step += 1
        if step == 3:  # there are two an epoch
            raise KeyboardInterrupt
        whole(state, lr, decay)

    monkeypatch.setattr(TrainingState, "step", interrupted)
    ended = run_mien(*command)
    assert ended.code == 130
    assert ended.err.splitlines()[1:] == [
        f"stopped in epoch 2 of 3; the first 1 are safe in {tmp_path / 'run'}: go on with --resume"
    ]
    monkeypatch.setattr(TrainingState, "step", whole)
    resumed = run_mien(*command, "--resume")
    assert resumed.code == 0
    assert "going on after epoch 1 of 3" in resumed.err


def test_the_clock(command: list[str], tmp_path: Path) -> None:
    ended = run_mien(*command, "--minutes", "0.00001")
    assert ended.code == 0
    assert "time is up after epoch 1 of 3: the next takes about" in ended.err
    assert "best valid accuracy" in ended.out
    assert (tmp_path / "run" / "best.safetensors").exists()
    assert run_mien(*command, "--minutes", "1", "--folds", "2").code == 2


def test_an_early_end(command: list[str]) -> None:
    still = ["--set", "optim.early_stop_patience=1", "--set", "optim.lr=1e-9", "--set", "optim.ema=0"]
    ended = run_mien(*command, *still)
    assert ended.code == 0
    assert "ended after epoch 2 of 3: the last 1 were no better" in ended.err
    assert "epoch   3" not in run_mien(*command, *still, "--resume").err


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (["--faces", "nowhere.npz"], "nowhere.npz"),
        (["--set", "optim.epoch=2"], "did you mean optim.epochs"),
        (["--set", "optim.lr=100", "--set", "optim.weight_decay=10", "--set", "optim.warmup=0"], "the loss is "),
        (["--accelerator", "cuda"], "cannot train on 1 cuda devices on each of 1 machines: "),
    ],
)
def test_one_line_for_what_goes_wrong(command: list[str], change: list[str], line: str) -> None:
    ended = run_mien(*command, *change)
    assert (ended.code, ended.out) == (1, "")
    assert line in ended.err
    assert ended.err.count("\n") == 1


def test_other_data_under_resume_overwrites_nothing(command: list[str], tmp_path: Path) -> None:
    """The run is refused whether it has finished an epoch or not."""
    assert run_mien(*command, "--minutes", "0.00001").code == 0
    save_faces(train_and_valid(40, 14, seed=1), tmp_path / "faces.npz")
    for missing in ("none", "last.safetensors"):
        (tmp_path / "run" / missing).unlink(missing_ok=True)
        before = content(tmp_path / "run")
        ended = run_mien(*command, "--resume")
        assert ended.code == 1
        assert ended.err.startswith(f"mien: {tmp_path / 'run'} holds a run with other faces: resume it with its own")
        assert ended.err.count("\n") == 1
        assert content(tmp_path / "run") == before


@pytest.mark.parametrize("file", ["last.safetensors", "metrics.csv"])
def test_a_full_disk(command: list[str], tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_mien(*command, "--minutes", "0.00001").code == 0
    before = content(tmp_path / "run")
    with monkeypatch.context() as patch:
        fill_disk(patch, file)
        ended = run_mien(*command, "--resume")
    lines = [line for line in ended.err.splitlines() if line.startswith("mien: ")]
    assert ended.code == 1
    assert lines == [f"mien: cannot write {tmp_path / 'run' / file}: No space left on device"]
    assert content(tmp_path / "run")[file] == before[file]
    resumed = run_mien(*command, "--resume")
    assert resumed.code == 0
    assert "epoch   3" in resumed.err


# Runs commands, and ends with 1 where one of them ends well or imports torch.
EARLY = """
import sys
from mien.cli.main import main
for command in sys.argv[1:]:
    sys.argv = ["mien", *command.split()]
    try:
        main()
    except SystemExit as end:
        if end.code == 1 and "torch" not in sys.modules:
            continue
    sys.exit(1)
"""


def test_a_missing_file_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    commands = [
        "train nowhere.toml --faces f.npz -o run",
        "train plain --faces nowhere.npz -o run",
        "study nowhere.toml --faces f.npz -o run",
        "study plain --faces nowhere.npz -o run",
    ]
    script = [sys.executable, "-c", EARLY, *commands]
    ended = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert [line[:25] for line in ended.stderr.splitlines()] == [
        "mien: cannot read the rec",
        "mien: cannot read nowhere",
        "mien: cannot read the rec",
        "mien: cannot read nowhere",
    ]
