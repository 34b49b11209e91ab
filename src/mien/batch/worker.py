"""The work on one partition, in whichever process: read its inputs, predict, and write its rows as one file."""

import io
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mien.batch.deaths import Attempt
from mien.batch.inputs import Refused
from mien.batch.output import Done, OutputFolder
from mien.batch.plan import Partition
from mien.batch.reading import Item, local_video, read_items
from mien.batch.storage import storage_of
from mien.batch.tables import TableColumns
from mien.errors import DataError, ModelError, RunError
from mien.io.frame import ALL_FRAMES, FrameSelection
from mien.io.image import read_picture
from mien.io.parquet_rows import parquet_rows
from mien.io.source import FoundSource
from mien.pipeline.predictor import Predictor
from mien.types import Prediction

_PICTURES, _BYTES = 16, 1 << 25  # that are held until their faces are classified together

OnItem = Callable[[int], None]  # called with the number of an item in its partition, before it is read


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a worker needs to know beside its partitions. May be pickled.

    types: the columns of the rows, and their types. base: the folder that relative paths start from.
    """

    predictor: Predictor
    out: str
    base: str
    types: Mapping[str, type]
    columns: TableColumns = field(default_factory=TableColumns)
    selection: FrameSelection = ALL_FRAMES

    def output(self) -> OutputFolder:
        """Return the folder that the rows go to."""
        return OutputFolder(self.out, storage=storage_of(self.out, base=self.base))


@dataclass
class _Counts:
    pictures: int = 0
    frames: int = 0
    faces: int = 0
    errors: list[Refused] = field(default_factory=list)

    def add(self, prediction: Prediction, *, frame: bool) -> Prediction:
        self.pictures += not frame
        self.frames += frame
        self.faces += len(prediction.faces)
        return prediction

    def refuse(self, name: str, error: Exception | str) -> None:
        self.errors.append(Refused(name, str(error)))


def work_on(job: Job, partition: Partition, attempt: Attempt | None = None, *, on_item: OnItem | None = None) -> Done:
    """Read a partition and write its rows; the file appears when it is whole.

    Parameters
    ----------
    job
        What is to be done with each partition.
    partition
        The inputs.
    attempt
        How it is to be read where workers ended in it before. What is left out counts as an error.
    on_item
        Is called before each item is read.

    Raises
    ------
    OutputError
        Where the rows cannot be written.
    """
    counts = _Counts()
    content = io.BytesIO()
    with parquet_rows(content, job.types) as table:
        for prediction in _predict(job, partition, counts, attempt or Attempt(), on_item):
            table.add(prediction.rows())
        done = Done(partition.name, partition.count, counts.pictures, counts.frames, counts.faces, tuple(counts.errors))
        table.note(done.note())
    job.output().write_partition(done, content.getvalue())
    return done


def sendable(error: Exception) -> Exception:
    """Return an error with its traceback as a note; as a RunError where another process could not take it as it is."""
    trace = "".join(traceback.format_exception(error))
    error.add_note(trace)
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own; many libraries' errors fail at either
    except Exception:  # noqa: BLE001  # whatever its class does
        error = RunError(f"a worker failed: {type(error).__name__}: {error}")
        error.add_note(trace)
    return error


def _predict(
    job: Job, partition: Partition, counts: _Counts, attempt: Attempt, on_item: OnItem | None
) -> Iterator[Prediction]:
    waiting = _Waiting(job, counts, most=1 if attempt.careful else _PICTURES)
    with closing(read_items(partition.inputs, base=job.base, columns=job.columns)) as items:
        for number, item in enumerate(items):
            if on_item:
                on_item(number)
            if number in attempt.skip:
                counts.refuse(item.name, f"{item.name} cannot be read: all workers that read it ended")
            elif item.video:
                yield from waiting.take()
                yield from _predict_video(job, item, counts)
            else:
                yield from waiting.add(item)
    yield from waiting.take()


class _Waiting:
    """Decoded pictures that wait for others, so that their faces are classified together."""

    def __init__(self, job: Job, counts: _Counts, *, most: int) -> None:
        self._job, self._counts, self._most = job, counts, most
        self._pictures: list[NDArray[np.uint8]] = []
        self._names: list[str] = []

    def add(self, item: Item) -> Iterator[Prediction]:
        """Decode a picture; where enough wait, yield their predictions."""
        try:
            self._pictures.append(self._job.selection.shrink(read_picture(item.fetch())))
            self._names.append(item.name)
        except (DataError, MemoryError) as error:
            self._counts.refuse(item.name, str(error) or f"{item.name} cannot be read: there is not enough memory")
        if len(self._pictures) >= self._most or sum(each.nbytes for each in self._pictures) >= _BYTES:
            yield from self.take()

    def take(self) -> Iterator[Prediction]:
        """Yield the predictions of all that wait."""
        pictures, names = self._pictures, self._names
        self._pictures, self._names = [], []
        try:
            predictions = self._job.predictor.predict_batch(pictures, sources=names) if pictures else []
        except (DataError, ModelError) as error:
            if len(pictures) == 1:
                self._counts.refuse(names[0], error)
                return
            for each in zip(pictures, names, strict=True):  # one of them is at fault: each by itself
                self._pictures, self._names = [each[0]], [each[1]]
                yield from self.take()
            return
        for prediction in predictions:
            yield self._counts.add(prediction, frame=False)


def _predict_video(job: Job, item: Item, counts: _Counts) -> Iterator[Prediction]:
    """Yield the predictions of a video; where it is damaged, those of the frames before, and note the error."""
    selection = job.selection
    try:
        with local_video(item.video, base=job.base) as path:

            def refuse(_name: str, error: DataError) -> None:
                counts.refuse(item.name, str(error).replace(path, item.name))

            predictions = job.predictor.stream(
                FoundSource(path),
                every=selection.every,
                start=selection.start,
                end=selection.end,
                max_side=selection.max_side,
                on_error=refuse,
            )
            with closing(predictions):
                for prediction in predictions:
                    yield counts.add(replace(prediction, source=item.name), frame=True)
    except DataError as error:
        counts.refuse(item.name, error)
