"""The Ray engine: Ray Data gives partitions to actors on all machines of a cluster, each with its own predictor."""

import logging
import os
import socket
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np

from mien.batch.deaths import Deaths
from mien.batch.output import Done
from mien.batch.plan import Partition
from mien.batch.worker import Job, sendable, work_on
from mien.errors import ExtraError, RunError

# The part of a CPU that an actor reserves. It computes with one thread, and so fills one; but with a whole CPU
# reserved by each, actors would leave none to Ray's own tasks, which feed them, nor to an actor whose machine is lost.
ACTOR_CPUS = 0.5

_MOST_BLOCKS = 20_000  # of the data set that the partitions are: Ray keeps an object of each
_STORE_BYTES = 200_000_000  # of shared memory, on this machine: only the names of files go through it
_PATIENCE = 10.0  # seconds: how long a cluster may take to answer
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray would send how it is used to its makers
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # else it warns about the actors that Ray Data itself makes
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns about what it will do another day
}


def import_ray() -> Any:
    """Import Ray and Ray Data so that they report nothing. Raises ExtraError where they are not installed."""
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray.data  # an extra, and heavy; and see above
    except ImportError as error:
        raise ExtraError("--engine ray", extra="ray") from error
    return ray


def run_ray(
    job: Job,
    partitions: Sequence[Partition],
    *,
    workers: int = 0,
    gpus: float = 0.0,
    address: str = "",
) -> Generator[Done]:
    """Work on partitions in actors of Ray, and yield the result of each as it comes.

    Parameters
    ----------
    job
        What is to be done with each partition.
    partitions
        The partitions that are not done.
    workers
        The number of actors; 0: one for each CPU of the cluster, or, with `gpus`, as many as its GPUs take.
    gpus
        GPUs, or a part of one, that each actor reserves.
    address
        Of the cluster, `HOST:6379` or `auto`; "": Ray is started on this machine, and ended with the batch.

    Raises
    ------
    MienError
        That a worker raised.
    RunError
        Where Ray cannot be started or reached, or ends.
    """
    ray = import_ray()
    _connect(ray, address)
    try:
        yield from _results(ray, job, partitions, workers=workers or _most_workers(ray, gpus), gpus=gpus)
    except ray.exceptions.RayError as error:
        raise RunError(f"Ray ended the batch: {_last_line(error)}; the same command goes on") from error
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    """Start Ray on this machine, or reach a cluster. Raises RunError."""
    where = f"reach Ray at {address}" if address else "start Ray on this machine"
    local = {} if address else {"object_store_memory": _STORE_BYTES, "include_dashboard": False}
    try:
        _require_answer(address)
        ray.init(
            address=address or "local",
            logging_level=logging.ERROR,
            log_to_driver=False,
            **local,
        )
    except Exception as error:  # Ray raises `Exception` itself where a busy machine keeps it from starting in time
        raise RunError(f"cannot {where}: {_last_line(error)}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _require_answer(address: str) -> None:
    """Ask whether somebody listens at `HOST:PORT`; Ray itself would ask for minutes. Raises OSError."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()


def _most_workers(ray: Any, gpus: float) -> int:
    there = ray.cluster_resources()
    return max(1, int(there.get("GPU", 0) / gpus) if gpus else int(there.get("CPU", 1)))


def _results(ray: Any, job: Job, partitions: Sequence[Partition], *, workers: int, gpus: float) -> Iterator[Done]:
    deaths = ray.remote(num_cpus=0)(Deaths).remote()
    items = [{"partition": each.to_json()} for each in partitions]
    done = ray.data.from_items(items, override_num_blocks=min(len(items), _MOST_BLOCKS)).map_batches(
        PartitionActor,
        fn_constructor_args=([ray.put(job)], deaths),  # in a list, it is fetched by the actor, when restarted, too
        batch_size=1,
        num_cpus=ACTOR_CPUS,
        num_gpus=gpus,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(items))),
    )
    for row in done.iter_rows():
        if row["error"] is not None:
            raise row["error"]
        yield row["done"]


class PartitionActor:
    """The actor that works on partitions, one at a time. Ray starts it again where it ends."""

    def __init__(self, job: list[Any], deaths: Any) -> None:
        self._ray, self._deaths = import_ray(), deaths
        self._job: Job = self._ray.get(job[0])
        logging.getLogger("mien").addHandler(logging.NullHandler())

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Work on the partitions of a batch; an error comes back as a value, since Ray would try again."""
        results = [self._result(Partition.from_json(str(text))) for text in batch["partition"]]
        return {"done": _objects([done for done, _ in results]), "error": _objects([error for _, error in results])}

    def _result(self, partition: Partition) -> tuple[Done | None, Exception | None]:
        try:
            return self._work_on(partition), None
        except Exception as error:  # noqa: BLE001  # it is raised where it can be shown
            return None, sendable(error)

    def _work_on(self, partition: Partition) -> Done:
        done = self._job.output().read_done(partition.name)
        if done is not None:  # by an actor that ended before it could say so
            return done
        ray = self._ray
        attempt = ray.get(self._deaths.begin.remote(partition.name))

        def tell(item: int) -> None:
            ray.get(self._deaths.read.remote(partition.name, item))

        # Nobody is told of each picture unless workers ended here: of a whole cluster these would be too many.
        done = work_on(self._job, partition, attempt, on_item=tell if attempt.careful else None)
        self._deaths.finish.remote(partition.name)
        return done


def _objects(values: Sequence[object]) -> Any:
    """Return values as an array of objects, which goes through Ray as it is."""
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
