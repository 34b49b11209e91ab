"""Helpers of the values: read-only arrays, checks, and counts in one-line forms."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError, MienError


def frozen(value: object, dtype: Any) -> NDArray[Any]:
    """Return a read-only view of an array, of this type; a copy only where it has another type or layout."""
    array = np.ascontiguousarray(value, dtype=dtype).view()
    array.flags.writeable = False
    return array


def require(condition: bool, message: str, error: type[MienError] = DataError) -> None:
    """Raise an error with this message unless a condition holds."""
    if not condition:
        raise error(message)


def count_of(count: int, what: str) -> str:
    """Return `no face`, `1 face` or `1,234 faces`."""
    return f"no {what}" if not count else f"1 {what}" if count == 1 else f"{count:,} {what}s"
