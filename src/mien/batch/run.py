"""A batch as a whole: plan it, do what is not done on one of the engines, and write the errors and the manifest."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mien._version import __version__
from mien.batch.inputs import find_inputs
from mien.batch.local_engine import run_local
from mien.batch.output import Done, OutputFolder
from mien.batch.place import require_outside, require_place
from mien.batch.plan import Partition, make_plan, partition_size
from mien.batch.ray_engine import run_ray
from mien.batch.tables import TableColumns
from mien.batch.worker import Job
from mien.classify.session import cpu_count
from mien.io.frame import ALL_FRAMES, FrameSelection
from mien.io.parquet_rows import import_pyarrow
from mien.io.row_writers import RowSchema
from mien.io.video_reader import import_pyav
from mien.pipeline.predictor import Predictor

EngineName = Literal["local", "ray"]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The choice of where a batch runs; the parameters are those of `run_local` and `run_ray`."""

    name: EngineName = "local"
    workers: int = 0
    gpus: float = 0.0
    address: str = ""

    def run(self, job: Job, partitions: Sequence[Partition], on_item: Callable[[str, int], None]) -> Generator[Done]:
        """Work on partitions, and yield the result of each as it comes."""
        if self.name == "ray":
            return run_ray(job, partitions, workers=self.workers, gpus=self.gpus, address=self.address)
        return run_local(job, partitions, workers=self.workers or cpu_count(), on_item=on_item)


class Batch:
    """A batch that can be run, and run again where it was stopped.

    Parameters
    ----------
    sources
        What is to be read; `find_inputs` says how it is named.
    out
        The folder of the results, a path or an address.
    predictor
        Reads the pictures. It is sent to each worker, so it should compute with one thread.
    settings
        JSON-safe facts about the model and all that changes rows: another batch's rows are told from this one's by
        them. The inputs, the version of mien and the arguments below are added.
    columns
        The columns of Parquet files of pictures.
    selection
        The frames of videos, and how large pictures may be.
    partition
        About how many pictures a partition has; 0: as suits their number.
    update
        Whether rows of other inputs or settings in `out` are replaced.
    retry
        Whether partitions with errors are done again, as a network or a disk may have been at fault.
    on_found
        Is called with the number of pictures and videos found so far.

    Raises
    ------
    DataError
        Where a source is missing or holds nothing.
    OutputError
        Where `out` cannot be written, lies in a source, or holds the rows of others.
    ExtraError
        Where a package for Parquet, videos or addresses is missing.
    """

    def __init__(
        self,
        sources: Sequence[str],
        out: str,
        *,
        predictor: Predictor,
        settings: Mapping[str, Any],
        columns: TableColumns | None = None,
        selection: FrameSelection = ALL_FRAMES,
        partition: int = 0,
        update: bool = False,
        retry: bool = False,
        on_found: Callable[[int], None] | None = None,
    ) -> None:
        import_pyarrow()
        require_place(out)
        columns = columns or TableColumns()
        require = partial(require_outside, out)
        inputs, refused = find_inputs(sources, columns=columns, require=require, progress=on_found)
        size = partition or partition_size(sum(each.count for each in inputs))
        facts = {**settings, "mien": __version__, **asdict(selection)}
        facts |= {"bytes_column": columns.bytes, "id_column": columns.id}
        self.plan = make_plan(sources, inputs, refused, settings=facts, size=size)
        if self.plan.has_videos:
            import_pyav("reading videos")
        self._folder = OutputFolder(out)
        schema = RowSchema.of_predictions(predictor.class_names, video=self.plan.has_videos)
        self._columns = schema.columns
        self._job = Job(
            predictor=predictor,
            out=out,
            base=str(Path.cwd()),
            types=schema.types,
            columns=columns,
            selection=selection,
        )
        self._folder.begin(self.plan, update=update)
        done = self._folder.find_done(self.plan)
        self.done = {name: each for name, each in done.items() if not (retry and each.errors)}

    @property
    def left(self) -> list[Partition]:
        """The partitions that are not done."""
        return [each for each in self.plan.partitions if each.name not in self.done]

    @property
    def finished_count(self) -> int:
        """The number of pictures and videos in the partitions that are done."""
        return sum(each.inputs for each in self.done.values())

    def run(self, engine: Engine, *, on_progress: Callable[[int], None] | None = None) -> None:
        """Do what is left, and then write the errors and the manifest.

        on_progress: is called with the number of pictures and videos that are read, of `plan.count`.
        Raises MienError where the engine or a worker cannot go on; what is done stays.
        """
        reading: dict[str, int] = {}

        def report() -> None:
            if on_progress:
                on_progress(self.finished_count + sum(reading.values()))

        def on_item(partition: str, item: int) -> None:
            reading[partition] = item
            report()

        left = self.left
        if left:
            with closing(engine.run(self._job, left, on_item)) as results:
                for done in results:
                    self.done[done.name] = done
                    reading.pop(done.name, None)
                    report()
        self._folder.finish(self.plan, self.done, self._columns)
