"""The plan of a batch: its inputs in partitions, each named by the hash of its inputs, the model and the settings."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from mien.batch.inputs import Input, Refused

_LEAST, _MOST, _PARTS = 16, 1024, 32  # pictures of a partition where nobody says how many, and partitions
_LETTERS = 32  # of a hash that a name has
_SPREAD = 2  # a partition has at least the wanted size over this, and at most as many times the size


@dataclass(frozen=True, slots=True)
class Partition:
    """Inputs that are read together, by one worker, into one file.

    name: the hash of the inputs, the model and the settings, by which it is known whether it is done.
    """

    name: str
    inputs: tuple[Input, ...]

    @property
    def count(self) -> int:
        """The number of its pictures; a video counts as one."""
        return sum(each.count for each in self.inputs)

    def to_json(self) -> str:
        """Return it as text, for another process."""
        return json.dumps([self.name, [astuple(each) for each in self.inputs]])

    @staticmethod
    def from_json(text: str) -> "Partition":
        """Return what `to_json` wrote."""
        name, inputs = json.loads(text)
        return Partition(
            name,
            tuple(
                Input(path, kind, size, stamp, tuple(groups), count)
                for path, kind, size, stamp, groups, count in inputs
            ),
        )


@dataclass(frozen=True)
class Plan:
    """The work of a batch.

    sources: what the user named. settings: all that the rows depend on. refused: what was missing when it was made.
    """

    sources: tuple[str, ...]
    settings: Mapping[str, Any]
    partitions: tuple[Partition, ...]
    refused: tuple[Refused, ...] = ()

    @property
    def count(self) -> int:
        """The number of pictures; a video counts as one."""
        return sum(each.count for each in self.partitions)

    @property
    def has_videos(self) -> bool:
        """True if some inputs are videos, so that rows have times and tracks."""
        return has_videos(each for partition in self.partitions for each in partition.inputs)


def make_plan(
    sources: Sequence[str],
    inputs: Sequence[Input],
    refused: Sequence[Refused] = (),
    *,
    settings: Mapping[str, Any],
    size: int,
) -> Plan:
    """Cut inputs into partitions of about `size` pictures each.

    A video is a partition of its own. Where a partition ends is told by the paths of its inputs: a picture that comes
    or goes changes one or two partitions, and leaves the others' names as they are.
    """
    facts = {**settings, "videos": has_videos(inputs)}
    seed = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    partitions = tuple(Partition(_name(seed, some), tuple(some)) for some in _cut(inputs, size))
    return Plan(tuple(sources), facts, partitions, tuple(refused))


def partition_size(count: int) -> int:
    """Return how many pictures of `count` a partition should have: there are 32 or more of them, of 16 to 1024 each."""
    size = _LEAST
    while size < _MOST and count >= _PARTS * 2 * size:
        size *= 2
    return size


def has_videos(inputs: Iterator[Input] | Sequence[Input]) -> bool:
    """Return whether some inputs are videos."""
    return any(each.kind == "video" for each in inputs)


def _cut(inputs: Sequence[Input], size: int) -> Iterator[list[Input]]:
    waiting: list[Input] = []
    count = 0
    for each in inputs:
        if waiting and (each.kind == "video" or count + each.count > _SPREAD * size):
            yield waiting
            waiting, count = [], 0
        waiting.append(each)
        count += each.count
        if each.kind == "video" or (count * _SPREAD >= size and _ends_here(each, size)):
            yield waiting
            waiting, count = [], 0
    if waiting:
        yield waiting


def _ends_here(last: Input, size: int) -> bool:
    """Tell by an input's name whether it is the last of its partition: of single pictures, one in size / 2 is."""
    digest = hashlib.sha256(f"{last.path}\0{last.groups}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % max(1, size // (_SPREAD * last.count)) == 0


def _name(seed: str, inputs: Sequence[Input]) -> str:
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass"))
    for each in inputs:
        digest.update(json.dumps(astuple(each)).encode())
    return digest.hexdigest()[:_LETTERS]
