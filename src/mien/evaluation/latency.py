"""The speed of a classifier on this machine."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import numpy as np

from mien.classify.session import import_onnxruntime
from mien.errors import DataError
from mien.types import FACE_SIDE, Classifier


@dataclass(frozen=True)
class Speed:
    """The seconds that each of several calls took, with `batch` faces at once."""

    batch: int
    seconds: tuple[float, ...]

    def __repr__(self) -> str:
        return f"<Speed {self.milliseconds:.3f} ms a face, {self.batch} at once>"

    @property
    def milliseconds(self) -> float:
        """The milliseconds that a face took in the median call."""
        return 1000 * median(self.seconds) / self.batch

    @property
    def p90_milliseconds(self) -> float:
        """The milliseconds that a face took in the call that nine tenths of the calls were faster than."""
        return 1000 * quantiles(self.seconds, n=10, method="inclusive")[-1] / self.batch

    @property
    def faces_per_second(self) -> float:
        """The faces that were classified in a second, by the median call."""
        return self.batch / median(self.seconds)


def bench(classifier: Classifier, *, batch: int = 1, seconds: float = 2.0) -> Speed:
    """Time a classifier on `batch` faces of noise at once, again and again for `seconds`; ten times at least.

    The first calls, which warm up, do not count. Raises DataError where batch is less than 1.
    """
    if batch < 1:
        raise DataError(f"batch must be 1 face or more, got {batch}")
    images = np.random.default_rng(0).integers(0, 256, (batch, FACE_SIDE, FACE_SIDE), dtype=np.uint8)
    for _ in range(3):
        classifier(images)
    times: list[float] = []
    while len(times) < 10 or sum(times) < seconds:
        started = perf_counter()
        classifier(images)
        times.append(perf_counter() - started)
    return Speed(batch, tuple(times))


def machine() -> str:
    """Describe this machine in a line: processor, CPUs, system, versions of Python and ONNX Runtime."""
    return ", ".join(
        (
            _processor(),
            f"{os.cpu_count()} CPUs",
            f"{platform.system()} {platform.machine()}",
            f"Python {platform.python_version()}",
            f"ONNX Runtime {import_onnxruntime().__version__}",
        )
    )


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"
