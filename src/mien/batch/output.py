"""The folder that a batch writes: `rows/`, a file a partition; `errors.parquet`; and in the end `manifest.json`."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from mien._version import __version__
from mien.batch.inputs import Refused
from mien.batch.place import ERRORS, MANIFEST, ROWS, SUFFIX
from mien.batch.plan import Plan
from mien.batch.storage import Storage, explained, join, remove_parts, storage_of
from mien.errors import DataError, OutputError
from mien.io.parquet_rows import parquet_rows, read_note
from mien.types.checks import count_of

_AT_ONCE = 16  # files whose notes are read at a time


@dataclass(frozen=True)
class Done:
    """The result of a partition, which stands as a note in its file, too.

    pictures: that were read; frames: of videos, that were read; errors: what could not be read, and why.
    """

    name: str
    inputs: int
    pictures: int
    frames: int
    faces: int
    errors: tuple[Refused, ...] = ()

    def note(self) -> dict[str, Any]:
        """Return the note, which `from_note` takes."""
        return asdict(self)

    @staticmethod
    def from_note(note: Mapping[str, Any]) -> "Done":
        """Return what a note says. Raises DataError for another note."""
        try:
            return Done(**{**note, "errors": tuple(Refused(**each) for each in note["errors"])})
        except (KeyError, TypeError) as error:
            raise DataError(f"a note must be of a partition of mien batch: {error}") from error


class OutputFolder:
    """The folder of a batch's results, on the local disk or at an address."""

    def __init__(self, path: str, *, storage: Storage | None = None) -> None:
        self.path = path
        self._storage = storage or storage_of(path)

    def write_partition(self, done: Done, content: bytes) -> None:
        """Write the rows of a partition, whole or not at all."""
        self._storage.write(self._file(done.name), content)

    def find_done(self, plan: Plan) -> dict[str, Done]:
        """Return the partitions of a plan that are done, by their names; damaged files are not."""
        there = set(self._names())
        names = [each.name for each in plan.partitions if each.name in there]
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return {done.name: done for done in threads.map(self.read_done, names) if done is not None}

    def read_done(self, name: str) -> Done | None:
        """Return the result of a partition, or None where its file is missing or damaged."""
        path = self._file(name)
        try:
            with explained(path), self._storage.open(path) as file:
                return Done.from_note(read_note(file, path))
        except DataError:
            return None

    def find_others(self, plan: Plan) -> list[str]:
        """Return the names of partitions that are not in the plan: of other inputs, models or settings."""
        planned = {each.name for each in plan.partitions}
        return [name for name in self._names() if name not in planned]

    def begin(self, plan: Plan, *, update: bool) -> None:
        """Refuse a folder with the rows of other inputs or settings, unless those may be replaced.

        Raises OutputError.
        """
        others = self.find_others(plan)
        if others and not update:
            raise OutputError(
                f"{self.path} holds {count_of(len(others), 'partition')} of other inputs, another model or other"
                " settings; choose another folder, or replace them by --update"
            )
        self._storage.remove(join(self.path, MANIFEST))  # it says that all is done

    def finish(self, plan: Plan, done: Mapping[str, Done], columns: Sequence[str]) -> None:
        """Remove the rows of other inputs, and write the errors and the manifest. Raises OutputError."""
        for name in self.find_others(plan):
            self._storage.remove(self._file(name))
        remove_parts(self._storage, join(self.path, ROWS))
        results = [done[each.name] for each in plan.partitions]
        errors = [*plan.refused, *(error for result in results for error in result.errors)]
        self._storage.write(join(self.path, ERRORS), _error_table(errors))
        facts = {
            "mien": __version__,
            "sources": list(plan.sources),
            "settings": dict(plan.settings),
            "columns": list(columns),
            **{name: sum(getattr(result, name) for result in results) for name in ("pictures", "frames", "faces")},
            "errors": len(errors),
            "partitions": [_facts(result) for result in results],
        }
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        self._storage.write(join(self.path, MANIFEST), text.encode("utf-8", "replace"))

    def _names(self) -> list[str]:
        names = self._storage.names(join(self.path, ROWS))
        return [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX) and not name.startswith(".")]

    def _file(self, name: str) -> str:
        return join(self.path, ROWS, name + SUFFIX)


def _facts(done: Done) -> dict[str, Any]:
    return {"file": f"{ROWS}/{done.name}{SUFFIX}", **done.note(), "errors": len(done.errors)}


def _error_table(errors: Iterable[Refused]) -> bytes:
    content = io.BytesIO()
    with parquet_rows(content, {"source": str, "error": str}) as table:
        table.add([asdict(error) for error in errors])
    return content.getvalue()
