"""The time limit of a training: how long the next epoch will take, and whether that much time is left."""

import statistics
import time
from collections.abc import Sequence

from mien.train.optim.schedules import side_at
from mien.train.optim.settings import Optim
from mien.train.run.checkpoint import Epoch

_MARGIN = 1.1  # an epoch's time varies, and it has to be saved


def expected_seconds(optim: Optim, epochs: Sequence[Epoch]) -> float:
    """Estimate how long the epoch after these will take; 0 where there was none.

    Time grows with the area of a face. The estimate is the median of the last three epochs (of two, the shorter), since
    an epoch in which the machine slept says nothing about the next.
    """
    if not epochs:
        return 0.0
    next_size = side_at(optim, epochs[-1].number)
    return statistics.median_low(epoch.seconds * (next_size / epoch.image_size) ** 2 for epoch in epochs[-3:])


class TimeLimit:
    """The end of a training, so many minutes from now; 0: none."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + minutes * 60 if minutes else float("inf")

    def allows(self, seconds: float) -> bool:
        """Return whether something that takes so long can still be finished in time. 0 seconds always can."""
        return not seconds or time.monotonic() + _MARGIN * seconds <= self._end
