"""The jobs of a service: clips that wait, the one that is read, and results that wait to be fetched."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from mien.errors import MienError
from mien.serve.limits import Limits, refusal
from mien.serve.schemas import JobAnswer
from mien.serve.video.clip import ClipRows
from mien.serve.video.folder import JobFolder, remove_abandoned

RETRY_SECONDS = 5  # what a service with too many jobs asks its clients to wait
_ID_BYTES = 16  # of an identifier: nobody guesses it

_log = logging.getLogger(__name__)


class _Cancelled(Exception):  # noqa: N818  # it ends the work of a job that nobody wants, and is no error
    """A job was cancelled."""


@dataclass(eq=False)
class VideoJob:
    """A clip that is to be read, is read, or was read.

    Attributes
    ----------
    client, model, source
        Who sent the clip, the name of the model that reads it, and the name of the clip.
    path
        The file of the clip, and once it is read that of the answer.
    expected
        About how many frames it has; 0: not known.
    """

    client: str
    model: str
    source: str
    path: Path
    expected: int = 0
    id: str = field(default_factory=lambda: secrets.token_urlsafe(_ID_BYTES))
    state: Literal["queued", "running", "done", "failed"] = "queued"
    frames: int = 0
    seconds: float = 0.0
    error: str | None = None
    cancelled: bool = False
    expiry: asyncio.TimerHandle | None = None

    @property
    def ended(self) -> bool:
        """True once the job is done or failed."""
        return self.state in ("done", "failed")

    def answer(self) -> JobAnswer:
        """Return how the job stands, in the form in which it is sent."""
        expected = max(self.expected, self.frames) if self.expected else None
        return JobAnswer(
            id=self.id,
            state=self.state,
            url=f"/v1/jobs/{self.id}",
            model=self.model,
            source=self.source,
            progress=round(self.frames / expected, 3) if expected else 0.0,
            frames=self.frames,
            expected=expected,
            seconds=self.seconds,
            error=self.error,
        )


ReadClip = Callable[[VideoJob, Callable[[ClipRows], None]], ClipRows]  # reads a clip; it calls back after each frame


class VideoJobs:
    """Keeps the jobs, and reads one clip at a time in a thread of its own. Use it as an async context manager.

    It belongs to one event loop, which all requests of a service are answered in. So each request finds each job.

    Parameters
    ----------
    read
        Reads the clip of a job. It raises MienError where that cannot be read.
    limits
        Say how many jobs there may be, and how long a result is kept.
    model
        The name of the model that reads the clips.
    """

    def __init__(self, read: ReadClip, limits: Limits, *, model: str) -> None:
        self._read, self._limits, self._model = read, limits, model
        self._jobs: dict[str, VideoJob] = {}

    async def __aenter__(self) -> Self:
        self._queue: asyncio.Queue[VideoJob] = asyncio.Queue()  # bounded by `require_room`
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mien-serve-video")
        self._folder = JobFolder()
        await asyncio.to_thread(remove_abandoned)
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for job in list(self._jobs.values()):
            self._forget(job)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown)
        await asyncio.to_thread(self._folder.close)

    def __len__(self) -> int:
        return len(self._jobs)

    def require_room(self, client: str) -> None:
        """Refuse a job where a client or the service has too many already."""
        of_client = sum(job.client == client for job in self._jobs.values())
        if of_client >= self._limits.client_jobs:
            raise refusal(
                429,
                f"your address has {of_client} of {self._limits.client_jobs} jobs; fetch or delete one, or wait",
                retry=RETRY_SECONDS,
            )
        if len(self) >= self._limits.jobs:
            raise refusal(503, f"busy with {len(self)} of {self._limits.jobs} jobs; try again", retry=RETRY_SECONDS)

    async def add(self, client: str, source: str, content: bytes, *, check: Callable[[Path, str], int]) -> VideoJob:
        """Take a clip in, and return its job.

        check: returns about how many frames the clip in a file has, or raises.

        Raises
        ------
        HTTPException
            Where there are too many jobs.
        OutputError
            Where the clip cannot be written.
        """
        self.require_room(client)
        job = VideoJob(client, self._model, source, Path())
        self._jobs[job.id] = job  # so that others find its place taken while it is written
        try:
            job.path = await asyncio.to_thread(self._folder.write, f"{job.id}.mp4", content)
            job.expected = await asyncio.to_thread(check, job.path, source)
        except BaseException:
            self._forget(job)
            self._remove_file(job)
            raise
        self._queue.put_nowait(job)
        return job

    def find(self, identifier: str) -> VideoJob:
        """Return a job. Raises a refusal where there is none."""
        job = self._jobs.get(identifier)
        if job is None:
            raise refusal(404, "there is no such job: it was fetched, deleted or too old, or never was")
        return job

    async def take(self, job: VideoJob) -> bytes:
        """Return the answer of a job that has ended, as JSON, and forget the job."""
        self._forget(job)  # first, so that nobody else takes it
        if job.state == "failed":
            return job.answer().model_dump_json().encode()
        try:
            return await asyncio.to_thread(job.path.read_bytes)
        finally:
            self._remove_file(job)

    def cancel(self, job: VideoJob) -> None:
        """Forget a job. If its clip is being read, that ends after the frame that is in work."""
        self._forget(job)
        if job.state != "running":
            self._remove_file(job)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            job = await self._queue.get()
            if job.id not in self._jobs:  # it was cancelled
                continue
            job.state = "running"
            state: Literal["done", "failed"] = "failed"
            try:
                state = await loop.run_in_executor(self._pool, self._run, job)
            finally:
                job.state = state  # here, in the event loop, so that nobody takes a job that is in work
                if job.id not in self._jobs:
                    self._remove_file(job)
            if job.id in self._jobs:
                job.expiry = loop.call_later(self._limits.job_seconds, self.cancel, job)

    def _run(self, job: VideoJob) -> Literal["done", "failed"]:
        """Read the clip, put the answer in its place, and return how that ended."""
        state: Literal["done", "failed"] = "failed"
        clip = job.path
        try:
            result = self._read(job, lambda so_far: _note_progress(job, so_far))
            more = {"state": "done", "progress": 1.0, "rows": result.rows, "warning": result.warning}
            done = job.answer().model_copy(update=more)
            job.path = self._folder.write(f"{job.id}.json", done.model_dump_json().encode())
            state = "done"
        except _Cancelled:
            pass
        except MienError as error:
            job.error = str(error)
        except Exception:  # noqa: BLE001  # a fault of ours is told to whoever asks for the job, and the next one goes on
            _log.exception("a fault while a clip was read")
            job.error = "the service failed at this clip"
        _unlink(clip)
        return state

    def _forget(self, job: VideoJob) -> None:
        job.cancelled = True
        self._jobs.pop(job.id, None)
        if job.expiry is not None:
            job.expiry.cancel()

    @staticmethod
    def _remove_file(job: VideoJob) -> None:
        if job.path.name:
            _unlink(job.path)


def _unlink(path: Path) -> None:
    with suppress(OSError):  # what cannot be removed now goes with the folder
        path.unlink(missing_ok=True)


def _note_progress(job: VideoJob, so_far: ClipRows) -> None:
    """Note how far a job has come. Raises `_Cancelled` where nobody wants it any more."""
    job.frames, job.seconds = so_far.frames, so_far.seconds
    if job.cancelled:
        raise _Cancelled
