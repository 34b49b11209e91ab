"""A training's time: how long the next epoch will take, and whether that is left."""

import time
from collections.abc import Sequence

from mien.train.optim import side_at
from mien.train.recipe import Optim
from mien.train.run import Epoch

_SLACK = 1.1  # an epoch's time varies, and it has to be saved


def expected_seconds(how: Optim, epochs: Sequence[Epoch]) -> float:
    """How long the epoch after these will take: as the last one, by the area of a face; 0 where there was none."""
    if not epochs:
        return 0.0
    last = epochs[-1]
    return last.seconds * (side_at(how, last.number) / last.side) ** 2


class Budget:
    """Minutes from now on; 0: no limit."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + minutes * 60 if minutes else float("inf")

    def allows(self, seconds: float) -> bool:
        """Whether something that takes so long can still be finished in time. What takes 0 seconds always can."""
        return not seconds or time.monotonic() + _SLACK * seconds <= self._end
