"""The limits of the service, and the gate that refuses at once what is over them.

A client is whoever sends from one address. Where a client has more inside than its share, it gets 429. Where the
service as a whole is full, everybody gets 503. So no client takes the place of all others.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from mien.types import Detections, Detector

RETRY_SECONDS = 1  # what an overloaded service asks its clients to wait
_IPV6_BITS = 64  # of an address: one household or machine has all addresses that begin with them


class Limits(BaseModel, frozen=True):
    """The limits of a service. A request over a limit is refused, and nothing is kept of it."""

    request_bytes: Annotated[int, Field(description="Bytes of the body of a request with pictures.")] = 20_000_000
    pictures: Annotated[int, Field(description="Pictures in a request.")] = 16
    pixels: Annotated[int, Field(description="Pixels of a picture, looked at before it is decoded.")] = 50_000_000
    faces: Annotated[
        int, Field(description="Faces of a picture or a frame. The largest are read, and the others left out.")
    ] = 256
    queue: Annotated[int, Field(description="Pictures that wait or are worked on.")] = 64
    client_queue: Annotated[int, Field(description="Those of them that come from one address.")] = 48
    held_bytes: Annotated[int, Field(description="Bytes of the bodies of all requests together.")] = 256_000_000
    client_bytes: Annotated[int, Field(description="Those of them that come from one address.")] = 128_000_000
    connections: Annotated[int, Field(description="Connections at once.")] = 512
    client_connections: Annotated[int, Field(description="Those of them that come from one address.")] = 256
    receive_seconds: Annotated[
        float, Field(description="Seconds for the head of a request, and as many for its body.")
    ] = 20.0
    answer_seconds: Annotated[float, Field(description="Seconds from the end of a request's body to its answer.")] = (
        60.0
    )
    send_seconds: Annotated[
        float, Field(description="Seconds that a client may leave a part of the answer unread.")
    ] = 20.0
    clip_bytes: Annotated[int, Field(description="Bytes of the body of a request with a clip.")] = 50_000_000
    clip_receive_seconds: Annotated[float, Field(description="Seconds for that body.")] = 60.0
    clip_seconds: Annotated[float, Field(description="Seconds that a clip lasts.")] = 60.0
    clip_frames: Annotated[int, Field(description="Frames of a clip.")] = 3600
    clip_pixels: Annotated[int, Field(description="Pixels of a frame of a clip.")] = 9_000_000
    clip_rows: Annotated[int, Field(description="Faces in all frames of a clip together.")] = 50_000
    clip_work_seconds: Annotated[float, Field(description="Seconds of work on a clip.")] = 300.0
    jobs: Annotated[int, Field(description="Clips that wait, are read, or were read and not fetched.")] = 8
    client_jobs: Annotated[int, Field(description="Those of them that come from one address.")] = 4
    job_seconds: Annotated[float, Field(description="Seconds that the answer for a clip is kept, unless fetched.")] = (
        600.0
    )


def refusal(status: int, message: str, *, retry: int = 0) -> HTTPException:
    """Return the error that refuses a request in one line and closes its connection, which may still be sending.

    retry: seconds after which the client may try again; 0: it is of no use.
    """
    again = {"Retry-After": str(retry)} if retry else {}
    return HTTPException(status, message, {"Connection": "close", **again})


def client_of(host: str | None) -> str:
    """Return what stands for a client: its IPv4 address, the first half of its IPv6 address, or nothing if unknown."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return host or ""
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ip_network((address.packed, _IPV6_BITS), strict=False))
    return str(address)


class Gate:
    """Counts the pictures and bytes that are inside, and lets no more in than the limits say.

    It belongs to one event loop and needs no lock.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.pictures = self.bytes = 0
        self._pictures_of: Counter[str] = Counter()  # by client
        self._bytes_of: Counter[str] = Counter()

    @contextmanager
    def enter(self, client: str, *, most_bytes: int) -> Iterator["Admission"]:
        """Let a request in until the block ends.

        client: as `client_of` gives it. most_bytes: of its body.
        """
        admission = Admission(self, self._limits, client, most_bytes)
        try:
            yield admission
        finally:
            self.add_pictures(client, -admission.pictures)
            self.add_bytes(client, -admission.bytes)

    def require_room(self, client: str, count: int) -> None:
        """Refuse a request where there is no room for so many pictures."""
        of_client, most = self._pictures_of[client], self._limits.client_queue
        if of_client + count > most:
            message = f"your address has {of_client} of its {most} pictures inside; wait for their answers"
            raise refusal(429, message, retry=RETRY_SECONDS)
        if self.pictures + count > self._limits.queue:
            message = f"busy with {self.pictures} of {self._limits.queue} pictures; try again"
            raise refusal(503, message, retry=RETRY_SECONDS)

    def require_bytes(self, client: str, count: int) -> None:
        """Refuse a request where there is no room for so many bytes."""
        if self._bytes_of[client] + count > self._limits.client_bytes:
            message = f"your address has {self._bytes_of[client]:,} of its {self._limits.client_bytes:,} bytes inside"
            raise refusal(429, f"{message}; wait for their answers", retry=RETRY_SECONDS)
        if self.bytes + count > self._limits.held_bytes:
            raise refusal(503, "busy with large requests; try again", retry=RETRY_SECONDS)

    def add_pictures(self, client: str, count: int) -> None:
        """Count pictures in, or out where the count is negative."""
        self.pictures += count
        _add(self._pictures_of, client, count)

    def add_bytes(self, client: str, count: int) -> None:
        """Count bytes in, or out where the count is negative."""
        self.bytes += count
        _add(self._bytes_of, client, count)


def _add(counts: Counter[str], client: str, count: int) -> None:
    """Add to the count of a client. Clients with nothing inside are not remembered."""
    counts[client] += count
    if not counts[client]:
        del counts[client]


class Admission:
    """The share of one request in what is inside a gate."""

    def __init__(self, gate: Gate, limits: Limits, client: str, most_bytes: int) -> None:
        self._gate, self._limits, self._client, self._most_bytes = gate, limits, client, most_bytes
        self.pictures = self.bytes = 0

    def require_room(self) -> None:
        """Refuse a request where there is no room for a picture."""
        self._gate.require_room(self._client, 1)

    def require_bytes(self, count: int) -> None:
        """Refuse a request that has too many bytes, or for whose bytes there is no room."""
        if self.bytes + count > self._most_bytes:
            raise refusal(413, f"a request must have at most {self._most_bytes:,} bytes; send fewer or smaller")
        self._gate.require_bytes(self._client, count)

    def add_bytes(self, count: int) -> None:
        """Count bytes of the body that came. Raises a refusal where they are too many."""
        self.require_bytes(count)
        self.bytes += count
        self._gate.add_bytes(self._client, count)

    def add_pictures(self, count: int) -> None:
        """Count the pictures of the request. Raises a refusal where they are too many."""
        if count > self._limits.pictures:
            raise refusal(413, f"a request must have at most {self._limits.pictures} pictures, got {count}")
        self._gate.require_room(self._client, count)
        self.pictures += count
        self._gate.add_pictures(self._client, count)


@dataclass(frozen=True)
class LargestFaces:
    """A detector that gives the largest faces that another one finds, at most so many."""

    detector: Detector
    most: int

    def __call__(self, picture: NDArray[np.uint8], /) -> Detections:
        """Find the faces of a picture, (H, W, 3) uint8 RGB."""
        return self.detector(picture)[: self.most]
