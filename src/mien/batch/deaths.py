"""A count of the workers that ended in the middle of a partition, and of what they were reading then."""

from collections import Counter
from dataclasses import dataclass, field

from mien.errors import RunError

_CAREFUL_FROM = 2  # workers that ended in a partition, from which on its pictures are read one by one
_MOST_AT_AN_ITEM = 2  # careful workers that may end while they read an item, before it is left out
_MOST_IN_A_ROW = 12  # workers that may end in a partition, none of them at an item that is left out then


@dataclass(frozen=True)
class Attempt:
    """The way that a partition is to be read.

    skip: the numbers of the items to leave out. careful: whether each picture is read by itself, and told of before.
    """

    skip: tuple[int, ...] = ()
    careful: bool = False


@dataclass
class Deaths:
    """Counts where workers ended, so that a picture that ends all who read it does not end the batch."""

    _open: dict[str, int] = field(default_factory=dict)  # partition -> the item that is being read; -1: not known
    _at_item: Counter[tuple[str, int]] = field(default_factory=Counter)
    _in_a_row: Counter[str] = field(default_factory=Counter)
    _skip: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def begin(self, partition: str) -> Attempt:
        """Note that a worker begins with a partition, and return how it is to read it.

        Raises RunError where workers end there again and again.
        """
        if partition in self._open:  # another worker began, and did not finish
            self._count(partition, self._open[partition])
        self._open[partition] = -1
        ended = self._in_a_row[partition]
        if ended >= _MOST_IN_A_ROW:
            raise RunError("workers end again and again: perhaps the memory is too little for as many --workers")
        skip = self._skip.get(partition, ())
        return Attempt(skip, careful=bool(skip) or ended >= _CAREFUL_FROM)

    def read(self, partition: str, item: int) -> None:
        """Note which item of a partition is read next."""
        if partition in self._open:
            self._open[partition] = item

    def finish(self, partition: str) -> None:
        """Note that a partition is done."""
        self._open.pop(partition, None)

    def _count(self, partition: str, item: int) -> None:
        self._in_a_row[partition] += 1
        if item < 0 or self._in_a_row[partition] <= _CAREFUL_FROM:  # else it may have been another of those that waited
            return
        self._at_item[partition, item] += 1
        if self._at_item[partition, item] >= _MOST_AT_AN_ITEM:
            self._skip[partition] = (*self._skip.get(partition, ()), item)
            self._in_a_row[partition] = _CAREFUL_FROM
