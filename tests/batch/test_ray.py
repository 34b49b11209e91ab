"""The Ray engine: the files of the local one, byte for byte, also where actors are killed; and no reports."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from clips import Actor, at, write_clip
from deadly import Deadly, grey_pictures
from mien import Predictor
from mien.batch.run import Batch, Engine
from mien.detect.whole_image import whole_image
from support import run_mien, tiny_model

pytestmark = pytest.mark.linux

_KILLED = """
import sys
from pathlib import Path
from deadly import Deadly
from mien import Predictor
from mien.batch.run import Batch, Engine
from mien.detect.whole_image import whole_image
predictor = Predictor(Deadly(Path("lives")), detector=whole_image)
Batch(["photos"], "out", predictor=predictor, settings={}, partition=16).run(Engine(name="ray", workers=2))
"""
_LATE = """
import ray
def init(**_):
    raise Exception("The current node timed out during startup.")  # as Ray does after 30 seconds
ray.init = init
from mien.__main__ import main
main()
"""
_REPORTS = """
from mien.batch.ray_engine import import_ray
import_ray()
from ray._common.usage.usage_lib import usage_stats_enabled
print(usage_stats_enabled())
"""


def run_python(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own: Ray leaves threads and open files, which tests take for faults."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, *words], env=variables, capture_output=True, text=True, check=False)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_both_engines_write_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = grey_pictures(tmp_path / "photos", 24)
    parquet.write_table(
        pa.table({"bytes": [path.read_bytes() for path in paths[:5]]}), tmp_path / "photos" / "a.parquet"
    )
    paths[3].write_bytes(b"no picture")
    write_clip(tmp_path / "photos" / "party.mp4", [Actor(at(160, 120))], duration=0.4)
    tiny_model(tmp_path / "m.onnx")
    words = ("batch", "photos", "-m", "m.onnx", "--workers", "2", "-o")
    assert run_mien(*words, "local").code == 0
    ended = run_python("-m", "mien", *words, "ray", "--engine", "ray")
    assert ended.returncode == 0, ended.stderr
    assert "\n1 error, all in ray/errors.parquet; " in ended.stderr
    assert "Warning" not in ended.stderr
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")


def test_killed_actors_lose_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    grey_pictures(tmp_path / "photos", 60, fatal=(5, 33))
    lives = Path("lives")
    lives.mkdir()
    predictor = Predictor(Deadly(lives), detector=whole_image)
    Batch(["photos"], "local", predictor=predictor, settings={}, partition=16).run(Engine(workers=1))
    (lives / "1").touch()
    (lives / "2").touch()
    ended = run_python("-c", _KILLED)
    assert ended.returncode == 0, ended.stderr
    assert not list(lives.iterdir())
    assert files_of(tmp_path / "out") == files_of(tmp_path / "local")


def test_ray_reports_nothing() -> None:
    assert run_python("-c", _REPORTS).stdout == "False\n"


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey_pictures(tmp_path / "photos", 1)
    tiny_model(tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")  # so that what the command sets is gone afterwards
    words = (tmp_path / "photos", "-o", tmp_path / "out", "-m", tmp_path / "m.onnx", "--engine", "ray")
    ended = run_mien("batch", *words)
    assert ended.code == 1
    assert "--engine ray needs more packages; install them with" in ended.err


def test_a_cluster_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    grey_pictures(tmp_path / "photos", 1)
    tiny_model(tmp_path / "m.onnx")
    words = (tmp_path / "photos", "-o", tmp_path / "out", "-m", tmp_path / "m.onnx", "--engine", "ray")
    ended = run_python("-m", "mien", "batch", *words, "--address", "127.0.0.1:1")
    assert ended.returncode == 1
    assert ended.stderr.startswith("mien: cannot reach Ray at 127.0.0.1:1: ")
    assert ended.stderr.count("\n") == 1


def test_a_machine_too_busy_to_start_ray_is_said_in_a_line(tmp_path: Path) -> None:
    grey_pictures(tmp_path / "photos", 1)
    tiny_model(tmp_path / "m.onnx")
    words = (tmp_path / "photos", "-o", tmp_path / "out", "-m", tmp_path / "m.onnx", "--engine", "ray")
    ended = run_python("-c", _LATE, "batch", *words)
    assert ended.returncode == 1
    assert ended.stderr == "mien: cannot start Ray on this machine: The current node timed out during startup.\n"
