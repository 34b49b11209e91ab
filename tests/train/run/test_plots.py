"""What a run shows of itself: a table, a picture, and TensorBoard where it is installed."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from mien.train import Epoch
from mien.train.run.plots import RunPlots

EPOCHS = [Epoch(n, 48, 2.0 / n, 2.1 / n, 0.1 * n, 0.1, 3.0, 100.0) for n in range(1, 5)]


def test_the_files_say_the_same_however_often_they_are_drawn(tmp_path: Path) -> None:
    run_plots = RunPlots(tmp_path)
    run_plots.write(EPOCHS[:3])
    run_plots.write(EPOCHS)
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["valid_accuracy"]) for row in rows] == [0.1, 0.2, 0.3, 0.4]
    with Image.open(tmp_path / "curve.png") as curve:
        assert curve.size == (960, 480)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.png", "metrics.csv"]


def test_tensorboard_hears_each_epoch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: str, *, purge_step: int) -> None:
            assert (folder, purge_step) == (str(tmp_path), 1)  # what another process has told is told again

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, value, step))

        def flush(self) -> None: ...

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    run_plots = RunPlots(tmp_path)
    run_plots.write(EPOCHS[:2])
    run_plots.write(EPOCHS[:3])
    assert [(value, step) for name, value, step in told if name == "train_loss"] == [(2.0, 1), (1.0, 2), (2 / 3, 3)]
    assert {name for name, _, _ in told} == {
        "image_size",
        "train_loss",
        "valid_loss",
        "valid_accuracy",
        "lr",
        "seconds",
        "faces_per_second",
    }


def test_a_notebooks_back_end_does_not_matter(tmp_path: Path) -> None:
    """Notebooks name a back end to all commands; Matplotlib cannot be imported where it is not installed."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mien.train.run.trainer import train\n"
        "from mien.train.run.plots import plot_curve\n"
        "plot_curve(Path(sys.argv[1]), [])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "curve.png")]
    ended = subprocess.run(
        command, env={**os.environ, "MPLBACKEND": "nonsense"}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
