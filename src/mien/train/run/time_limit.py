"""A training's time: how long the next epoch will take, and whether that is left."""

import statistics
import time
from collections.abc import Sequence

from mien.train.optim.schedules import side_at
from mien.train.optim.settings import Optim
from mien.train.run.checkpoint import Epoch

_SLACK = 1.1  # an epoch's time varies, and it has to be saved


def expected_seconds(how: Optim, epochs: Sequence[Epoch]) -> float:
    """How long the epoch after these will take, by the area of a face; 0 where there was none.

    As the middle one of the last three (of two, the shorter): when the machine slept, that says nothing of the next.
    """
    if not epochs:
        return 0.0
    next_side = side_at(how, epochs[-1].number)
    return statistics.median_low(epoch.seconds * (next_side / epoch.side) ** 2 for epoch in epochs[-3:])


class TimeLimit:
    """Minutes from now on; 0: no limit."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + minutes * 60 if minutes else float("inf")

    def allows(self, seconds: float) -> bool:
        """Whether something that takes so long can still be finished in time. What takes 0 seconds always can."""
        return not seconds or time.monotonic() + _SLACK * seconds <= self._end
