"""A command that is told to end leaves nothing half-written, and what a killed one leaves is said."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clips import Actor, at, write_clip
from mien.data.formats.npz import save_faces
from processes import has_part, stop_mien
from support import random_faces, run_mien, tiny_model

pytestmark = pytest.mark.linux


def stopped(folder: Path, number: int, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, and send it a signal once it has begun to write a part."""
    return stop_mien(lambda: has_part(folder), number, *command.split(), folder=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with faces, a model and a video."""
    save_faces(random_faces(6000), tmp_path / "f.npz")
    tiny_model(tmp_path / "m.onnx")
    write_clip(tmp_path / "clip.mp4", [Actor(at(100, 100))], duration=6)
    return tmp_path


@pytest.mark.parametrize(
    ("number", "command"),
    [
        (signal.SIGTERM, "data export f.npz --format folder -o out"),
        (signal.SIGHUP, "data export f.npz --format fer2013 -o out.csv"),
        (signal.SIGTERM, "predict clip.mp4 -m m.onnx --draw out.mp4 --summary"),
    ],
)
def test_a_signal_to_end_leaves_nothing(folder: Path, number: int, command: str) -> None:
    ended = stopped(folder, number, command)
    assert ended.returncode == 128 + number
    assert "Traceback" not in ended.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["clip.mp4", "f.npz", "m.onnx"]


def test_what_a_killed_command_left_is_said_by_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    command = "data export f.npz --format folder -o out"
    assert stopped(folder, signal.SIGKILL, command).returncode == -signal.SIGKILL
    (left,) = folder.glob("*.part")
    outcome = run_mien(*command.split())
    assert outcome.code == 0
    assert len(list((folder / "out").rglob("*.png"))) == 6000
    assert f"{left.name} is of a command that was stopped, or that still runs" in outcome.err


INTERRUPTED_WHILE_LOADING = """
import sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "mien.cli.main":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from mien.__main__ import main
main()
"""


def test_an_interruption_while_modules_load_is_quiet() -> None:
    command = [sys.executable, "-c", INTERRUPTED_WHILE_LOADING]
    ended = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")
