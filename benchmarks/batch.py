"""Whether a batch loses or doubles rows when workers and its driver are killed, and what its engines cost.

    python benchmarks/batch.py [--pictures 20000] [--timed 2000] [--rounds 3] [-m swift-nano] [--cost-only]

Generated pictures, 160x120, with none to two faces (scikit-image's astronaut, in many sizes and tones), lie half in
folders and half in Parquet files. Three things are printed:

- cost: the processor time of `mien batch --workers 1` by each engine, over that of a plain loop of the predictor on the
  same pictures, in partitions of the size that all pictures get. What a single picture takes, the start, is subtracted.
  All processes count, those of Ray, too; then the worker alone, and what the others take of a CPU while it works. They
  look about for as long as a batch runs, however slowly: on a busy machine, where it runs for longer, they cost more
  for each picture. So the last figure is what it costs where the worker has a CPU to itself. `--cost-only` ends here.
- unbroken: the wall time of the local engine on all pictures, with a worker for each CPU.
- broken: the same on two nodes of a Ray cluster, each with one CPU. Two actors are killed with SIGKILL, and then the
  command; it is started again. Rows, errors and manifest are compared with those of the unbroken batch.
"""

import argparse
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import skimage.data
from PIL import Image
from pyarrow import parquet

from mien.batch.plan import partition_size
from mien.batch.ray_engine import import_ray

WIDTH, HEIGHT = 160, 120  # pixels
HEAD = (130, 20, 320, 210)  # in the astronaut's picture: left, top, right, bottom
MOST_FACES = 2
SHARD, GROUP, FOLDER = 2000, 250, 1000  # pictures of a Parquet file, of a row group, of a folder
KILLED_AT = (0.2, 0.4, 0.6)  # shares of the partitions after which an actor, another, and the driver are killed
ACTOR = b"ray::MapWorker"  # in the name that Ray gives to the process of an actor
WORKERS = (b"sys.argv[1:]", b"spawn_main(", ACTOR)  # in the command of the loop, of a local worker, of an actor
TICK = os.sysconf("SC_CLK_TCK")  # a second
LOOP = """
import sys
from mien import Predictor
for prediction in Predictor().stream(sys.argv[1:]):
    prediction.rows()
"""


def make_pictures(folder: Path, count: int) -> list[str]:
    """Write pictures half into folders and half into Parquet files, and return the sources."""
    rng = np.random.default_rng(0)
    head = Image.fromarray(skimage.data.astronaut()).crop(HEAD)
    heads = [head.resize((side, side)) for side in range(56, 80, 3)]
    heads += [each.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for each in heads]
    contents = [_picture(rng, heads) for _ in range(count)]
    loose = count // 2
    for place, content in enumerate(contents[:loose]):
        path = folder / "photos" / f"{place // FOLDER:03d}" / f"{place:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "shards").mkdir()
    for start in range(loose, count, SHARD):
        some = contents[start : start + SHARD]
        table = pa.table({"id": [f"{start + place:06d}" for place in range(len(some))], "bytes": some})
        parquet.write_table(table, folder / "shards" / f"{start:06d}.parquet", row_group_size=GROUP)
    (folder / "photos" / "000" / "broken.jpg").write_bytes(contents[0][:200])
    return ["photos", "shards"]


def _picture(rng: np.random.Generator, heads: list[Image.Image]) -> bytes:
    ground = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(ground).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    for place in rng.permutation(MOST_FACES)[: rng.integers(0, MOST_FACES + 1)].tolist():
        gain = rng.uniform(0.6, 1.2)
        head = heads[rng.integers(len(heads))].point([min(255, int(value * gain)) for value in range(256)] * 3)
        picture.paste(head, (place * WIDTH // MOST_FACES, int(rng.integers(0, HEIGHT - head.height))))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def mien_batch(*words: str) -> list[str]:
    """Return the command; its model is the default one, unless words name another."""
    return [sys.executable, "-m", "mien", "batch", *words, "-q"]


class Cost(NamedTuple):
    """Processor seconds of all processes and of the worker alone, and seconds by the clock."""

    total: float
    worker: float
    wall: float


def cost_of(command: Sequence[str], folder: Path) -> Cost:
    """Run a command, and return what it and all processes that it started cost."""
    seconds: dict[int, float] = {}
    workers: set[int] = set()
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as job:
        while job.poll() is None:
            there = {each.pid: each for each in _processes()}
            for each in there.values():
                if _descends(each, job.pid, there):
                    seconds[each.pid] = max(each.seconds, seconds.get(each.pid, 0.0))
                    if any(mark in each.command for mark in WORKERS):
                        workers.add(each.pid)
            time.sleep(0.2)
    if job.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    wall = time.perf_counter() - started
    return Cost(sum(seconds.values()), sum(seconds[pid] for pid in workers), wall)


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    command: bytes
    seconds: float


def _processes() -> Iterator[_Process]:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            command = (place / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        yield _Process(int(place.name), int(fields[1]), command, (int(fields[11]) + int(fields[12])) / TICK)


def _descends(process: _Process, ancestor: int, there: dict[int, _Process]) -> bool:
    while process.pid != ancestor:
        if process.parent not in there:
            return False
        process = there[process.parent]
    return True


def measure_cost(folder: Path, count: int, rounds: int, size: int) -> None:
    """Print what the engines cost over a plain loop: the least of several rounds, since others may compute, too."""
    photos = sorted(str(path.relative_to(folder)) for path in folder.glob("photos/*/0*.jpg"))[:count]
    (folder / "many.txt").write_text("\n".join(photos))
    (folder / "one.txt").write_text(photos[0])

    def command(name: str, which: str, number: int) -> list[str]:
        if name == "loop":
            return [sys.executable, "-c", LOOP, f"@{which}.txt"]
        settings = ["--workers", "1", "--engine", name, "--partition", str(size)]
        return mien_batch(f"@{which}.txt", "-o", f"{name}-{which}-{number}", *settings)

    least: dict[tuple[str, str], Cost] = {}
    for number in range(rounds):
        for name in ("loop", "local", "ray"):
            for which in ("one", "many"):
                cost = cost_of(command(name, which, number), folder)
                before = least.get((name, which), cost)
                least[name, which] = Cost(*map(min, cost, before))
    spent = {
        name: Cost(*(many - one for many, one in zip(least[name, "many"], least[name, "one"], strict=True)))
        for name in ("loop", "local", "ray")
    }
    loop = spent["loop"].total
    print(f"cost of {len(photos):,} pictures in partitions of about {size}, least of {rounds}")
    for name, cost in spent.items():
        start = (
            f"{name}: start {least[name, 'one'].total:.1f} s, then {cost.total / len(photos) * 1000:.2f} ms a picture"
        )
        if name == "loop":
            print(start)
            continue
        beside = (cost.total - cost.worker) / cost.wall
        print(
            f"{start} ({cost.total / loop - 1:+.1%}); the worker alone {cost.worker / loop - 1:+.1%}, the others "
            f"{beside:.1%} of a CPU; with a CPU to itself {cost.worker * (1 + beside) / loop - 1:+.1%}",
            flush=True,
        )


def run_broken(folder: Path, words: list[str], total: int) -> None:
    """Run a batch on two nodes; kill two actors and the driver on the way, and start it again."""
    ray = import_ray()
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 10**8})
    cluster.add_node(num_cpus=1, object_store_memory=10**8)
    try:
        command = mien_batch(*words, "-o", "broken", "--engine", "ray", "--address", cluster.address)
        job = subprocess.Popen(command, cwd=folder)
        for share in KILLED_AT[:2]:
            _wait_for(folder / "broken", share * total, job)
            victim = _actors()[0]
            os.kill(victim, signal.SIGKILL)
            print(f"killed actor {victim} after {_done(folder / 'broken')} of {total} partitions", flush=True)
        _wait_for(folder / "broken", KILLED_AT[2] * total, job)
        job.kill()
        job.wait()
        print(f"killed the driver after {_done(folder / 'broken')} of {total} partitions", flush=True)
        subprocess.run(command, cwd=folder, check=True)
    finally:
        cluster.shutdown()
    del ray


def _done(out: Path) -> int:
    return len(list(out.glob("rows/*.parquet")))


def _wait_for(out: Path, partitions: float, job: "subprocess.Popen[bytes]") -> None:
    while _done(out) < partitions:
        if job.poll() is not None:
            raise SystemExit("the command ended too early")
        time.sleep(0.05)


def _actors() -> list[int]:
    """Return the processes of actors that work, which Ray names after their method."""
    return [each.pid for each in _processes() if ACTOR in each.command]


def same_files(one: Path, other: Path) -> str:
    """Compare two results: file for file, and else row for row."""
    names = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    others = sorted(str(path.relative_to(other)) for path in other.rglob("*") if path.is_file())
    if names != others:
        return f"DIFFERENT FILES: {set(names) ^ set(others)}"
    unlike = [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()]
    for name in unlike:
        if not parquet.read_table(one / name).equals(parquet.read_table(other / name)):
            return f"DIFFERENT ROWS in {name}"
    rows = sum(parquet.read_metadata(one / name).num_rows for name in names if name.startswith("rows/"))
    return f"all {rows:,} rows are equal, and {len(names) - len(unlike)} of {len(names)} files to the byte"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--timed", type=int, default=2000, help="pictures that the cost is measured on; 0: not")
    parser.add_argument("--rounds", type=int, default=3, help="of which the least cost counts")
    parser.add_argument("-m", "--model", default="swift-nano", help="of the unbroken and the broken batch")
    parser.add_argument("--cost-only", action="store_true", help="make no more pictures than the cost is measured on")
    wanted = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        count = 2 * wanted.timed if wanted.cost_only else wanted.pictures
        sources = make_pictures(folder, count)
        print(f"made {count:,} pictures in {time.perf_counter() - start:.0f} s", flush=True)
        if wanted.timed:
            measure_cost(folder, wanted.timed, wanted.rounds, partition_size(wanted.pictures))
        if wanted.cost_only:
            return
        words = [*sources, "-m", wanted.model]
        start = time.perf_counter()
        subprocess.run(mien_batch(*words, "-o", "whole"), cwd=folder, check=True)
        seconds = time.perf_counter() - start
        total = _done(folder / "whole")
        size = sum(path.stat().st_size for path in (folder / "whole").rglob("*.parquet"))
        print(
            f"unbroken: {total} partitions in {seconds:.0f} s, {wanted.pictures / seconds:.0f} a second, {size:,} bytes"
        )
        start = time.perf_counter()
        run_broken(folder, words, total)
        print(f"broken: {time.perf_counter() - start:.0f} s; {same_files(folder / 'whole', folder / 'broken')}")


if __name__ == "__main__":
    main()
