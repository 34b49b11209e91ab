"""The server: uvicorn on one socket, with time limits for clients that send or read slowly."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.h11_impl import H11Protocol

from mien.errors import MienError
from mien.serve.guard import REFUSAL
from mien.serve.limits import Limits, client_of

_IDLE_SECONDS = 5  # that a connection stays open between two requests
_REFUSED_SECONDS = 2.0  # in which a connection that is one too many must ask, to be answered that
_MOST_TIMES = 1.5  # the connections that the limits allow: more of them are not even answered
_HEAD_BYTES = 16_384  # of a request


class _Timer:
    """Calls a function after some seconds, unless it is stopped before."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._handle: asyncio.TimerHandle | None = None

    def start(self, call: Callable[[], None]) -> None:
        """Start; a timer that runs goes on as it does."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, call)

    def stop(self) -> None:
        """Stop, so that it may be started anew."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def _refusing(app: ASGI3Application, status: int, detail: str) -> ASGI3Application:
    """Return an application that refuses each request through the guard of another one."""

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await app(scope | {REFUSAL: (status, detail)}, receive, send)

    return refuse


class TimedProtocol(H11Protocol):
    """HTTP as uvicorn speaks it, but a connection ends whose client is slow to send a head or to read the answer.

    Where there are too many connections, a new one is answered that at once, or ends if it asks for nothing.
    """

    sender = ""  # who is at the other end, as `client_of` gives it

    def __init__(self, *arguments: Any, limits: Limits, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._receiving, self._sending = _Timer(limits.receive_seconds), _Timer(limits.send_seconds)
        self._limits = limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self.sender = client_of(self.client[0] if self.client else None)
        refusal = self._refusal()
        if refusal is not None:
            self.app = _refusing(self.app, *refusal)
            self._receiving = _Timer(min(_REFUSED_SECONDS, self._limits.receive_seconds))
        self._receiving.start(transport.abort)
        if len(self.connections) > _MOST_TIMES * self._limits.connections:
            transport.abort()

    def _refusal(self) -> tuple[int, str] | None:
        """Return why there are too many connections with this one, as a status and a line; None where there are not."""
        most, share = self._limits.connections, self._limits.client_connections
        if len(self.connections) > most:
            return 503, f"busy with {most} connections; try again"
        if sum(getattr(each, "sender", None) == self.sender for each in self.connections) > share:
            return 429, f"your address has its {share} connections open; close one"
        return None

    def data_received(self, data: bytes) -> None:
        """Take bytes. A head must be whole some seconds after its first byte; a body has a limit of its own."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._receiving.start(self.transport.abort)
        else:
            self._receiving.stop()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._sending.start(self.transport.abort)

    def resume_writing(self) -> None:
        """Go on, since the client has read."""
        super().resume_writing()
        self._sending.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._receiving.stop()
        self._sending.stop()
        super().connection_lost(exc)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0: any that is free. Raises MienError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(host, port, family)  # a name that nobody knows; create_server would not tell it from others
        return socket.create_server((host, port), family=family)
    except OSError as error:
        wrong = "--host" if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL else "--port"
        reason = (error.strerror or str(error)).partition(" (while")[0]  # a remark that repeats the address
        raise MienError(f"cannot listen on {host}:{port}: {reason}; choose another {wrong}") from error


def run(app: FastAPI, listener: socket.socket, limits: Limits) -> None:
    """Serve until a signal ends it. Requests that came in before are answered first."""
    protocol = cast("type[asyncio.Protocol]", partial(TimedProtocol, limits=limits))
    for name in ("uvicorn", "python_multipart"):  # which remark on each damaged request
        logging.getLogger(name).setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=int(limits.answer_seconds),
    )
    uvicorn.Server(config).run(sockets=[listener])
