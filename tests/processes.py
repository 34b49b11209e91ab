"""Other processes: commands that are stopped in the middle of their work, and holders of a lock."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_MIEN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # who started the tests may have them ignore these signals
signal.signal(signal.SIGHUP, signal.SIG_DFL)
{before}
from mien.cli.main import main
main()
"""
_HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print(flush=True)
    sys.stdin.read()
"""


def stop_mien(
    ready: Callable[[], bool], number: int, *arguments: str | Path, folder: Path, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `mien ARGUMENTS...` in a folder, its standard input without an end; send it a signal once `ready()`.

    before: Python that runs before the command.
    """
    command = [sys.executable, "-c", _MIEN.format(before=before), *map(str, arguments)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # what runs before may be the tests' own
    with subprocess.Popen(
        command, cwd=folder, env=variables, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as job:
        assert job.stderr is not None
        deadline = time.monotonic() + 300
        while not ready() and time.monotonic() < deadline:
            assert job.poll() is None, job.stderr.read()
            time.sleep(0.01)
        job.send_signal(number)
        try:
            job.wait(timeout=60)
        finally:
            job.kill()
        return subprocess.CompletedProcess(command, job.returncode, "", job.stderr.read())


def has_part(folder: Path, name: str = "*", *, more_than: int = -1) -> bool:
    """Say whether a part of an output of that name lies in the folder, with more than so many bytes."""
    return any(part.stat().st_size > more_than for part in folder.glob(f"{name}.part"))


@contextmanager
def hold_lock(lock: Path) -> Iterator[None]:
    """Let another process hold a lock, and be killed at the end of the block."""
    command = [sys.executable, "-c", _HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"\n"
        try:
            yield
        finally:
            other.kill()
