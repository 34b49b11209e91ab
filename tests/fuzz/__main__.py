"""Reads damaged files by every reader: `PYTHONPATH=tests python -m fuzz --seconds 60 --seed 0`.

Only a MienError may come out, within 2 seconds and 1 GB of memory, and nothing may be written to standard error. Files
that break this are kept in the folder that --keep names. The readers run in a process of their own, which is replaced
when a file kills it or holds it up.
"""

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from fuzz.inputs import READERS
from fuzz.mutations import mutate

_PATIENCE = 60.0  # seconds, after which a reader is held up: a busy machine is slow


class Worker:
    """A process that reads one file after the other, and says what came of it."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors.open("w+b")
        command = [sys.executable, "-m", "fuzz.worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)
        self._answer(_PATIENCE * 2)  # it is ready
        self._errors.truncate(0)

    def read(self, reader: str, path: Path) -> str:
        """Return what is wrong with how a file was read, or "ok" or "refused"."""
        assert self._process.stdin
        self._process.stdin.write(f"{json.dumps([reader, str(path)])}\n".encode())
        self._process.stdin.flush()
        answer = self._answer(_PATIENCE)
        if answer is None:
            self._process.kill()
            code = self._process.wait()
            return f"killed by {-code}" if code != -9 else f"held up for more than {_PATIENCE:.0f} seconds"
        said = self._said()
        if said:
            return f"wrote to standard error: {said[:300]}"
        return answer

    @property
    def alive(self) -> bool:
        """Whether it can read on."""
        return self._process.poll() is None

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _answer(self, patience: float) -> str | None:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], patience)
        line = self._process.stdout.readline() if ready else b""
        return str(json.loads(line)) if line else None

    def _said(self) -> str:
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace")
        self._errors.seek(0)
        self._errors.truncate(0)
        return said


def fuzz(*, seconds: float, seed: int, readers: list[str], keep: Path) -> int:
    """Read damaged files for some seconds and return how many broke the rules."""
    names = readers or list(READERS)
    wrong, counts = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        sound: dict[str, bytes] = {}
        for name in names:
            path = Path(folder, f"sound{READERS[name].suffix}")
            READERS[name].write(path)
            sound[name] = path.read_bytes()
        worker = Worker(Path(folder, "errors"))
        end, case = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            name = names[case % len(names)]
            suffix = READERS[name].suffix
            content = sound[name]
            if case >= len(names):  # the sound files come first
                content = mutate(content, suffix, np.random.default_rng([seed, case]))
            path = Path(folder, f"{name}-{case}{suffix}")
            path.write_bytes(content)
            came = worker.read(name, path)
            counts[came if came in ("ok", "refused") else "wrong"] += 1
            if came not in ("ok", "refused") or (case < len(names) and came != "ok"):
                wrong += 1
                keep.mkdir(parents=True, exist_ok=True)
                (keep / path.name).write_bytes(content)
                print(f"{name} case {case}: {came}", flush=True)
            path.unlink()
            if not worker.alive:
                worker = Worker(Path(folder, "errors"))
            case += 1
        worker.end()
    print(f"{case:,} files, seed {seed}: {counts['ok']:,} read, {counts['refused']:,} refused, {wrong:,} wrong")
    return wrong


def main() -> None:
    """Run by the command line. Exits with 1 where a file broke the rules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", default=[])
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir(), "mien-fuzz"))
    options = parser.parse_args()
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.exit(bool(fuzz(seconds=options.seconds, seed=options.seed, readers=options.reader, keep=options.keep)))


if __name__ == "__main__":
    main()
