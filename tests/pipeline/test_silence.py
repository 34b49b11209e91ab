"""A prediction sends nothing, writes nothing, and leaves no thread behind: "offline" is a promise."""

import os
import platform
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

# On an ordinary machine none of these is set; ONNX Runtime's telemetry keeps still where it sees a CI or a test.
QUIETENING = ("CI", "GITHUB", "ORT_", "TF_BUILD", "JENKINS", "GITLAB", "TRAVIS", "BUILDKITE", "XDG_", "PYTEST")

PREDICT = """
import skimage.data, mien
print(mien.predict(skimage.data.astronaut()).rows()[0]["expression"], flush=True)
"""

# Lets the system end this process by SIGSYS as soon as any of its threads opens a socket of the Internet.
NO_NETWORK = """
import ctypes, struct
SOCKET = {number}
LOAD, EQUAL, RETURN, ALLOW, KILL = 0x20, 0x15, 0x06, 0x7FFF0000, 0x80000000
steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 3, SOCKET), (LOAD, 0, 0, 16), (EQUAL, 2, 0, 2), (EQUAL, 1, 0, 10)]
steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0, "no seccomp"
"""

THREADS = """
from pathlib import Path
assert len(list(Path("/proc/self/task").iterdir())) == 1, "a thread is left"
"""


def run(home: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python with an empty home folder, and without what tells that this is a test."""
    home.mkdir(exist_ok=True)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(QUIETENING)}
    env = plain | {"HOME": str(home), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


def test_a_prediction_writes_nothing_into_the_home_folder(tmp_path: Path) -> None:
    done = run(tmp_path / "home", PREDICT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "happy\n", "")
    assert list((tmp_path / "home").rglob("*")) == []


@pytest.mark.linux
def test_a_prediction_leaves_no_thread_behind(tmp_path: Path) -> None:
    done = run(tmp_path / "home", PREDICT + THREADS)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}, reason="needs Linux's seccomp"
)
def test_a_program_that_predicts_never_asks_the_network(tmp_path: Path) -> None:
    """ONNX Runtime's telemetry looks its host up after 12 seconds, in a thread; so none may be left."""
    guard = NO_NETWORK.format(number={"x86_64": 41, "aarch64": 198}[platform.machine()])
    done = run(tmp_path / "home", guard + PREDICT + THREADS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "happy\n", "")
    caught = run(tmp_path / "home", guard + "import socket\nsocket.socket(socket.AF_INET)")
    assert caught.returncode != 0  # or it would be no guard


def test_the_variable_that_keeps_the_telemetry_off_does_not_stay(tmp_path: Path) -> None:
    asked = 'import os\nassert "ORT_DISABLE_TELEMETRY" not in os.environ'
    assert run(tmp_path / "home", PREDICT + asked).returncode == 0
    kept = 'import os\nos.environ["ORT_DISABLE_TELEMETRY"] = "yes"\n'
    check = 'assert os.environ["ORT_DISABLE_TELEMETRY"] == "yes"'
    assert run(tmp_path / "home", kept + PREDICT + check).returncode == 0


def test_mien_alone_imports_onnx_runtime_by_its_quiet_way() -> None:
    source = Path(__file__).parents[2] / "src"
    loud = [path.name for path in source.rglob("*.py") if "import onnxruntime" in path.read_text(encoding="utf-8")]
    assert loud == ["session.py"]


def test_pyinstaller_finds_the_hook() -> None:
    from mien import _pyinstaller

    (folder,) = _pyinstaller.get_hook_dirs()
    assert (Path(folder) / "hook-mien.py").is_file()
    for entry in entry_points(group="pyinstaller40"):
        if entry.value.startswith("mien."):
            assert entry.load()() == [folder]
