"""A stopwatch for the parts of a training: data, step and bookkeeping. Off unless something measures."""

import time
from typing import Literal

import torch

Part = Literal["data", "step", "bookkeeping"]


class Stopwatch:
    """Adds up the seconds of each part. A GPU is waited for at each lap, so that its work counts where it belongs.

    device: the one that computes; None: nothing is measured, and nothing is waited for.
    """

    def __init__(self, device: torch.device | None) -> None:
        self.device = device
        self.seconds: dict[Part, float] = {"data": 0.0, "step": 0.0, "bookkeeping": 0.0}
        self._last = 0.0

    def start(self) -> None:
        """Begin: what was before is of no part."""
        self._last = self._now()

    def lap(self, part: Part) -> None:
        """Add the time since the last lap to a part."""
        if self.device is None:
            return
        now = self._now()
        self.seconds[part] += now - self._last
        self._last = now

    def _now(self) -> float:
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


NO_STOPWATCH = Stopwatch(None)
