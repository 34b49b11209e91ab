"""The limits of the service, and the gate that refuses at once what is over them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from mien.types import Detections, Detector

RETRY_SECONDS = 1  # what an overloaded service asks its clients to wait


class Limits(BaseModel, frozen=True):
    """The limits of a service. A request over a limit is refused, and nothing is kept of it."""

    request_bytes: Annotated[int, Field(description="Bytes of the body of a request.")] = 20_000_000
    pictures: Annotated[int, Field(description="Pictures in a request.")] = 16
    pixels: Annotated[int, Field(description="Pixels of a picture, looked at before it is decoded.")] = 50_000_000
    faces: Annotated[int, Field(description="Faces of a picture. The largest are read, and the others left out.")] = 256
    queue: Annotated[int, Field(description="Pictures that wait or are worked on.")] = 64
    held_bytes: Annotated[int, Field(description="Bytes of the bodies of all requests together.")] = 256_000_000
    receive_seconds: Annotated[
        float, Field(description="Seconds for the head of a request, and as many for its body.")
    ] = 20.0
    answer_seconds: Annotated[float, Field(description="Seconds from the end of a request's body to its answer.")] = (
        60.0
    )
    send_seconds: Annotated[
        float, Field(description="Seconds that a client may leave a part of the answer unread.")
    ] = 20.0


def refusal(status: int, message: str, *, retry: bool = False) -> HTTPException:
    """Return the error that refuses a request in one line and closes its connection, which may still be sending."""
    again = {"Retry-After": str(RETRY_SECONDS)} if retry else {}
    return HTTPException(status, message, {"Connection": "close", **again})


class Gate:
    """Counts the pictures and bytes that are inside, and lets no more in than the limits say.

    It belongs to one event loop and needs no lock.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.pictures = self.bytes = 0

    @contextmanager
    def enter(self) -> Iterator["Admission"]:
        """Let a request in until the block ends. Raises a refusal where there is no room for a picture."""
        admission = Admission(self, self._limits)
        self.require_room(1)
        try:
            yield admission
        finally:
            self.pictures -= admission.pictures
            self.bytes -= admission.bytes

    def require_room(self, count: int) -> None:
        """Refuse a request where there is no room for so many pictures."""
        if self.pictures + count > self._limits.queue:
            raise refusal(503, f"busy with {self.pictures} of {self._limits.queue} pictures; try again", retry=True)


class Admission:
    """The share of one request in what is inside a gate."""

    def __init__(self, gate: Gate, limits: Limits) -> None:
        self._gate, self._limits = gate, limits
        self.pictures = self.bytes = 0

    def add_bytes(self, count: int) -> None:
        """Count bytes of the body that came. Raises a refusal where they are too many."""
        if self.bytes + count > self._limits.request_bytes:
            raise refusal(
                413, f"a request must have at most {self._limits.request_bytes:,} bytes; send fewer or smaller"
            )
        if self._gate.bytes + count > self._limits.held_bytes:
            raise refusal(503, "busy with large requests; try again", retry=True)
        self.bytes += count
        self._gate.bytes += count

    def add_pictures(self, count: int) -> None:
        """Count the pictures of the request. Raises a refusal where they are too many."""
        if count > self._limits.pictures:
            raise refusal(413, f"a request must have at most {self._limits.pictures} pictures, got {count}")
        self._gate.require_room(count)
        self.pictures += count
        self._gate.pictures += count


@dataclass(frozen=True)
class LargestFaces:
    """A detector that gives the largest faces that another one finds, at most so many."""

    detector: Detector
    most: int

    def __call__(self, picture: NDArray[np.uint8], /) -> Detections:
        """Find the faces of a picture, (H, W, 3) uint8 RGB."""
        return self.detector(picture)[: self.most]
