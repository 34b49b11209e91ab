"""How fast `read_fer2013` reads FER2013's CSV file, against pandas.read_csv and a parse of each row by numpy.

    python benchmarks/csv_import.py fer2013.csv [--rounds 3]

The contestants take turns, each time in a process of its own, and must read the same pixels. Prints the median seconds
(from the file to the array of images and labels, imports left out), the spread, the peak memory of each process, and
the ratio.
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Read = tuple[NDArray[np.uint8], NDArray[np.int64]]


def with_mien(path: str) -> Callable[[], Read]:
    import mien

    read = mien.read_fer2013

    def run() -> Read:
        faces = read(path)
        return faces.images, faces.labels

    return run


def with_pandas(path: str) -> Callable[[], Read]:
    import pandas as pd

    def run() -> Read:
        table = pd.read_csv(path)
        rows = [np.array(pixels.split(), dtype=np.uint8).reshape(48, 48) for pixels in table["pixels"]]
        return np.stack(rows), table["emotion"].fillna(-1).to_numpy(np.int64)

    return run


def with_pandas_fromstring(path: str) -> Callable[[], Read]:
    import pandas as pd

    def run() -> Read:
        table = pd.read_csv(path)
        rows = [np.fromstring(pixels, dtype=np.uint8, sep=" ").reshape(48, 48) for pixels in table["pixels"]]
        return np.stack(rows), table["emotion"].fillna(-1).to_numpy(np.int64)

    return run


CONTESTANTS = {
    "mien.read_fer2013": with_mien,
    "pandas.read_csv, np.array(row.split())": with_pandas,
    "pandas.read_csv, np.fromstring(row)": with_pandas_fromstring,
}


def peak_megabytes() -> float:
    """The most memory that this process ever held."""
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def one(name: str, path: str) -> None:
    """Run one contestant in this process, and print what was measured as JSON."""
    run = CONTESTANTS[name](path)
    start = time.perf_counter()
    images, labels = run()
    seconds = time.perf_counter() - start
    megabytes = peak_megabytes()
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    print(json.dumps({"seconds": seconds, "megabytes": megabytes, "faces": len(images), "digest": digest}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one, arguments.csv)
        return
    with Path(arguments.csv).open("rb") as file:  # from here on it is in the system's cache, for all alike
        while file.read(1 << 24):
            pass
    results: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(arguments.rounds):
        for name in CONTESTANTS:
            command = [sys.executable, __file__, arguments.csv, "--one", name]
            results[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    if len({run["digest"] for runs in results.values() for run in runs}) != 1:
        sys.exit("the contestants read different faces")
    report(results)


def report(results: dict[str, list[dict[str, float]]]) -> None:
    faces = next(iter(results.values()))[0]["faces"]
    print(f"{faces:,} faces; {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    print(f"{'':40}{'seconds':>9}{'least':>8}{'most':>8}{'peak MB':>9}{'times as long':>15}")
    ours = statistics.median(run["seconds"] for run in results["mien.read_fer2013"])
    for name, runs in results.items():
        seconds = [run["seconds"] for run in runs]
        median, peak = statistics.median(seconds), max(run["megabytes"] for run in runs)
        print(f"{name:40}{median:9.2f}{min(seconds):8.2f}{max(seconds):8.2f}{peak:9.0f}{median / ours:15.1f}")


if __name__ == "__main__":
    main()
