"""The protocols of classifiers and detectors, and of what a long job calls as it goes."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mien.types.detections import Detections
from mien.types.scores import Scores

Progress = Callable[[int, int], None]  # called with how many are done, and of how many (0: unknown)


class Classifier(Protocol):
    """Anything that tells the expressions of face crops."""

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """(N, 48, 48) uint8 -> Scores with N rows."""
        ...


class Detector(Protocol):
    """Anything that finds faces in a picture."""

    def __call__(self, picture: NDArray[np.uint8], /) -> Detections:
        """(H, W, 3) uint8 RGB -> Detections."""
        ...


def batches(count: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover `count` items."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
