"""A service in this process or in one of its own, and what its tests send."""

import asyncio
import io
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, TypeVar

import httpx
import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image

from mien.serve.app import create_app
from mien.serve.limits import Limits
from mien.types import Detections

T = TypeVar("T")


@dataclass
class Client:
    """Talks to an application without a network; `talk` runs a conversation in which many requests may be open."""

    app: FastAPI
    headers: Mapping[str, str] | Mapping[bytes, bytes] = field(default_factory=dict)

    def talk(self, conversation: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
        """Run the conversation while the application is alive."""

        async def run() -> T:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with (
                self.app.router.lifespan_context(self.app),
                httpx.AsyncClient(transport=transport, base_url="http://mien", headers=self.headers) as client,
            ):
                return await conversation(client)

        return asyncio.run(run())

    def get(self, path: str, **more: Any) -> httpx.Response:
        """GET a path."""
        return self.talk(lambda client: client.get(path, **more))

    def post(self, path: str = "/v1/predict", **more: Any) -> httpx.Response:
        """POST to a path."""
        return self.talk(lambda client: client.post(path, **more))


async def finish(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Ask for a job until it has ended, and return its answer."""
    async with asyncio.timeout(60):
        while (answer := (await http.get(url)).raise_for_status().json())["state"] in ("queued", "running"):
            await asyncio.sleep(0.01)
    return dict(answer)


@dataclass
class Doorkeeper:
    """A detector that finds nothing, and waits at each picture until it is opened."""

    begun: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _picture: NDArray[np.uint8], /) -> Detections:
        self.begun.set()
        assert self.opened.wait(60)
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def assert_refused(answer: httpx.Response, status: int, words: str) -> None:
    """Require that the answer refuses in one line that says this."""
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert words in detail
    assert "\n" not in detail


def portrait() -> bytes:
    """The file of the portrait that ships."""
    return (files("mien") / "assets" / "portrait.jpg").read_bytes()


def limited(**limits: Any) -> Client:
    """A service with these limits."""
    return Client(create_app("swift-nano", limits=Limits(**limits), workers=1))


def png(picture: NDArray[np.uint8]) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@contextmanager
def serving(*command: str) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """Run a service as a process, and give the process, its address and its port."""
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "http://" in line, line + process.stderr.read()
        address = "http://" + line.partition("http://")[2].partition(";")[0]
        yield process, address, int(address.rpartition(":")[2])
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
