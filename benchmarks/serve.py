"""Load `mien serve` with many clients, and say if each answer is right, memory stays flat, and how fast it is.

    python benchmarks/serve.py --clients 64 --seconds 60

Each client sends a picture after the other over a connection of its own, and compares the answer with what the
predictor says in this process. Only a right answer, or 429 or 503 with Retry-After, is clean; after the latter the
client waits as long as it is asked to. The yardstick is a plain loop of the predictor over the same pictures, before
and after the load. Clients and service share the machine, so the clients count against the service. The exit code
is 1 if a claim does not hold:

- no wrong answer, and no connection that breaks;
- the service's memory at most 10% above what it was after the first minute (or a quarter of a shorter run);
- at least 0.8 pictures for each picture of the plain loop.
"""

import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from mien import Predictor
from mien.io.row_writers import round_row

_TOLERANCE = 2e-4  # of probabilities, and of boxes relative to the picture: the last digits depend on the batch
_LEAST_RATIO, _MOST_GROWTH = 0.8, 1.1
_CLEAN = (429, 503)


@dataclass(frozen=True)
class Sent:
    """A picture: the bytes of its request, and the rows that are right."""

    request: bytes
    rows: list[dict[str, Any]]


@dataclass
class Tally:
    """What the clients met."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # from a request to its right answer
    memory: list[tuple[float, int]] = field(default_factory=list)  # seconds from the start, bytes
    elapsed: float = 0.0  # seconds until the last answer
    processor: float = 0.0  # seconds of the service's processor time


def draw_pictures() -> list[bytes]:
    """Return JPEG files: the portrait in several sizes, lights and places, two portraits in one, and no face."""
    with Image.open(io.BytesIO((files("mien") / "assets" / "portrait.jpg").read_bytes())) as image:
        portrait = image.convert("RGB")
    pictures = [portrait, ImageOps.mirror(portrait), ImageEnhance.Brightness(portrait).enhance(0.7)]
    pictures += [portrait.resize((side, side * portrait.height // portrait.width)) for side in (240, 320, 400, 640)]
    pair = Image.new("RGB", (640, 320), (90, 120, 150))
    for place, one in enumerate((portrait, ImageOps.mirror(portrait))):
        pair.paste(one.resize((280, 280)), (20 + 320 * place, 20))
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    pictures += [pair, Image.fromarray(noise).resize((640, 480))]
    contents = []
    for picture in pictures:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        contents.append(file.getvalue())
    return contents


@dataclass(frozen=True)
class Speed:
    """Pictures a second, and processor seconds a picture: the latter depends less on what else the machine does."""

    rate: float
    cost: float

    def __str__(self) -> str:
        return f"{self.rate:.1f} a second, {self.cost * 1000:.1f} ms of processor each"


def plain_loop(predictor: Predictor, contents: list[bytes], *, seconds: float) -> Speed:
    """Return how fast a loop of the predictor reads pictures."""
    begun, used, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        predictor(contents[count % len(contents)])
        count += 1
    return Speed(count / (time.perf_counter() - begun), (time.process_time() - used) / count)


@contextmanager
def run_service(model: str, workers: int) -> Iterator[tuple[int, int]]:
    """Run `mien serve`, and give the number of its process and its port."""
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", "-m", model, "--workers", str(workers)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None  # noqa: S101
            line = process.stderr.readline()
            yield process.pid, int(line.partition("127.0.0.1:")[2].partition(";")[0])
        finally:
            process.terminate()
            print(process.communicate()[1], file=sys.stderr, end="")


async def load(port: int, process: int, pictures: list[Sent], *, clients: int, seconds: float) -> Tally:
    """Let many clients send pictures for some seconds."""
    tally, begun, used = Tally(), time.perf_counter(), _processor_seconds(process)
    watching = asyncio.create_task(_watch_memory(process, tally, begun))
    ends = begun + seconds
    await asyncio.gather(*(_client(port, pictures, tally, number, ends) for number in range(clients)))
    watching.cancel()
    tally.elapsed = time.perf_counter() - begun
    tally.processor = _processor_seconds(process) - used
    return tally


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _client(port: int, pictures: list[Sent], tally: Tally, number: int, ends: float) -> None:
    while time.perf_counter() < ends:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            tally.broken[type(error).__name__] += 1
            continue
        try:
            await _talk(reader, writer, pictures, tally, number, ends)
        except (OSError, EOFError) as error:
            tally.broken[type(error).__name__] += 1
        finally:
            writer.close()
        number += 7


async def _talk(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    pictures: list[Sent],
    tally: Tally,
    number: int,
    ends: float,
) -> None:
    """Send pictures over one connection until it is to be closed."""
    while time.perf_counter() < ends:
        sent = pictures[number % len(pictures)]
        number += 1
        begun = time.perf_counter()
        writer.write(sent.request)
        await writer.drain()
        status, headers, body = await _answer(reader)
        tally.statuses[status] += 1
        if status == 200:
            tally.wrong += not _is_right(json.loads(body), sent.rows)
            tally.seconds.append(time.perf_counter() - begun)
        elif status in _CLEAN and "retry-after" in headers:
            await asyncio.sleep(float(headers["retry-after"]))
        else:
            tally.wrong += 1
        if headers.get("connection") == "close":
            return


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


def _is_right(answer: dict[str, Any], expected: list[dict[str, Any]]) -> bool:
    (picture,) = answer["pictures"]
    rows, size = picture["rows"], max(picture["width"], picture["height"])
    return len(rows) == len(expected) and all(
        row.keys() == right.keys() and all(_is_near(name, row[name], right[name], size) for name in row)
        for row, right in zip(rows, expected, strict=True)
    )


def _is_near(name: str, value: Any, right: Any, size: int) -> bool:
    if not isinstance(right, float):
        return bool(value == right) or name == "source"
    return abs(value - right) <= _TOLERANCE * (size if name in ("left", "top", "right", "bottom") else 1)


async def _watch_memory(process: int, tally: Tally, begun: float) -> None:
    while True:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                tally.memory.append((time.perf_counter() - begun, int(line.split()[1]) << 10))
        await asyncio.sleep(0.5)


def growth(memory: list[tuple[float, int]], *, warm_up: float) -> tuple[int, int]:
    """Return the memory after the warm-up, and the most that it was later."""
    later = [used for seconds, used in memory if seconds >= warm_up]
    return later[0], max(later)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--model", default="swift")
    parser.add_argument("--workers", type=int, default=0)
    chosen = parser.parse_args()
    contents = draw_pictures()
    predictor = Predictor(chosen.model)
    head = "POST /v1/predict HTTP/1.1\r\nHost: mien\r\nContent-Length: {}\r\n\r\n"
    pictures = [
        Sent(head.format(len(content)).encode() + content, [round_row(row) for row in predictor(content).rows()])
        for content in contents
    ]
    print(f"{len(pictures)} pictures with {sum(len(one.rows) for one in pictures)} faces; {chosen.model}")
    part = min(20.0, chosen.seconds / 4)
    before = plain_loop(predictor, contents, seconds=part)
    with run_service(chosen.model, chosen.workers) as (process, port):
        options = {"clients": chosen.clients, "seconds": chosen.seconds}
        tally = asyncio.run(load(port, process, pictures, **options))
    after = plain_loop(predictor, contents, seconds=part)
    return report(tally, chosen.seconds, before, after)


def report(tally: Tally, seconds: float, before: Speed, after: Speed) -> int:
    """Print what came out. Return 1 if a claim does not hold, else 0."""
    first, most = growth(tally.memory, warm_up=min(60.0, seconds / 4))
    answered = tally.statuses[200]
    service = Speed(answered / tally.elapsed, tally.processor / max(answered, 1))
    ratio = service.rate / (before.rate + after.rate) * 2
    waits = np.array(tally.seconds or [0.0])
    print(
        f"answers by status: {dict(sorted(tally.statuses.items()))}; wrong: {tally.wrong}; broken: {dict(tally.broken)}"
    )
    print(f"seconds to an answer: median {np.median(waits):.2f}, 99% within {np.quantile(waits, 0.99):.2f}")
    print(
        f"memory: {first / 1e6:.0f} MB after the warm-up, at most {most / 1e6:.0f} MB later: {most / first:.3f} times"
    )
    print(f"pictures: {service}\nplain loop before: {before}\nplain loop after: {after}\nratio of rates: {ratio:.2f}")
    holds = not tally.wrong and not tally.broken and most <= _MOST_GROWTH * first and ratio >= _LEAST_RATIO
    print("every claim holds" if holds else "a claim does not hold")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
