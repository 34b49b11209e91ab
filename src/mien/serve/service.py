"""The parts that the addresses of one application share, and what they do with a request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

from fastapi import Request

from mien.errors import DataError
from mien.pipeline.predictor import Predictor
from mien.serve.batching import Answer, Batcher, SentPicture
from mien.serve.body import receive_body, split_body
from mien.serve.limits import Admission, Gate, Limits, client_of, refusal
from mien.serve.metrics import Metrics
from mien.serve.schemas import Model
from mien.serve.video.clip import ClipRows, check_clip, read_clip
from mien.serve.video.jobs import VideoJob, VideoJobs


class Service:
    """Reads the pictures and clips of requests, under the limits."""

    def __init__(self, predictor: Predictor, limits: Limits, workers: int) -> None:
        self.limits = limits
        self.gate = Gate(limits)
        self.model = Model.of(predictor)
        self.jobs = VideoJobs(self._read_clip, limits, model=self.model.name)
        self.metrics = Metrics(self.gate, self.jobs)
        self.batcher = Batcher(predictor, limits, workers=workers, on_batch=self.metrics.batch.observe)
        self._predictor = predictor

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work, in threads, until the block ends."""
        async with self.jobs, self.batcher:
            yield

    async def predict(self, request: Request, *, annotate: bool) -> list[tuple[str, Answer | DataError]]:
        """Read the pictures of a request, and return the name of each with its answer, or why it cannot be read.

        Raises HTTPException and MienError.
        """
        limits = self.limits
        with self.metrics.seconds.time(), self._enter(request, most_bytes=limits.request_bytes) as admission:
            admission.require_room()
            files = await _receive(request, admission, seconds=limits.receive_seconds, most=limits.pictures)
            if annotate and len(files) != 1:
                raise refusal(422, f"draw=1 takes one picture a request, got {len(files)}")
            admission.add_pictures(len(files))
            outcomes = await self.batcher.read([SentPicture(content, name, annotate) for name, content in files])
        answers = [each for each in outcomes if isinstance(each, Answer)]
        self.metrics.pictures.inc(len(answers))
        self.metrics.faces.inc(sum(len(answer.prediction.faces) for answer in answers))
        return [(name, outcome) for (name, _), outcome in zip(files, outcomes, strict=True)]

    async def add_clip(self, request: Request) -> VideoJob:
        """Take the clip of a request in as a job. Raises HTTPException and MienError."""
        client = _client(request)
        self.jobs.require_room(client)  # before the body is read
        with self._enter(request, most_bytes=self.limits.clip_bytes) as admission:
            seconds = self.limits.clip_receive_seconds
            ((name, content),) = await _receive(request, admission, seconds=seconds, most=1, what="clip")
            return await self.jobs.add(client, name, content, check=self._check_clip)

    def count_response(self, status: int) -> None:
        """Count a response."""
        self.metrics.responses.labels(str(status)).inc()

    def _check_clip(self, path: Path, source: str) -> int:
        return check_clip(path, source, self.limits)

    def _read_clip(self, job: VideoJob, on_frame: Callable[[ClipRows], None]) -> ClipRows:
        result = read_clip(self._predictor, job.path, job.source, self.limits, on_frame=on_frame)
        self.metrics.frames.inc(result.frames)
        self.metrics.faces.inc(len(result.rows))
        return result

    def _enter(self, request: Request, *, most_bytes: int) -> AbstractContextManager[Admission]:
        return self.gate.enter(_client(request), most_bytes=most_bytes)


def _client(request: Request) -> str:
    return client_of(request.client.host if request.client else None)


async def _receive(
    request: Request, admission: Admission, *, seconds: float, most: int, what: str = "picture"
) -> list[tuple[str, bytes]]:
    """Return the names and contents of the files; the body as a whole is not kept."""
    body = await receive_body(request, admission, seconds=seconds)
    content_type = request.headers.get("content-type", "")
    return await asyncio.to_thread(split_body, content_type, body, most=most, what=what)
