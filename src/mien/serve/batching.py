"""Pictures of many requests, read together: a queue, and threads that take a batch at a time through one predictor."""

import asyncio
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import DataError
from mien.io.image import read_picture
from mien.pipeline.predictor import Predictor
from mien.serve.limits import RETRY_SECONDS, Limits, refusal
from mien.types import Prediction
from mien.visualize.annotate import draw

WAIT = 0.004  # seconds that the first picture of a batch waits for others
_MOST = 16  # pictures of a batch: with more, the first one waits long
_DECODED_BYTES = 1 << 25  # that wait decoded for others of their batch


@dataclass(frozen=True, eq=False)
class SentPicture:
    """A picture to read: the bytes of its file and its name; annotate: whether a drawn copy is wanted."""

    content: bytes = field(repr=False)
    source: str
    annotate: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """The prediction of a picture, its size in pixels, and a drawn copy as JPEG where one was wanted."""

    prediction: Prediction
    width: int
    height: int
    annotated: bytes | None = field(default=None, repr=False)


_Place = tuple[SentPicture, "asyncio.Future[Answer]"]
_Decoded = tuple[int, NDArray[np.uint8]]  # the place of a picture in its batch, and its pixels


class Batcher:
    """Reads pictures in batches, in threads beside the event loop. Use it as an async context manager.

    Parameters
    ----------
    predictor
        What reads the pictures.
    limits
        Say how many pixels a picture may have, and how long an answer may take.
    workers
        Threads.
    on_batch
        Is called with the number of pictures of each batch, in the event loop.
    """

    def __init__(
        self,
        predictor: Predictor,
        limits: Limits,
        *,
        workers: int,
        on_batch: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._predictor, self._limits, self._on_batch = predictor, limits, on_batch
        self._workers = workers

    async def __aenter__(self) -> Self:
        self._queue: asyncio.Queue[_Place] = asyncio.Queue()  # bounded by the gate, before a picture comes here
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="mien-serve")
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while not self._queue.empty():
            self._queue.get_nowait()[1].cancel()
        await asyncio.to_thread(self._pool.shutdown)

    async def read(self, sent: Sequence[SentPicture]) -> list[Answer | DataError]:
        """Return an answer for each picture, or the error of one that cannot be read.

        Raises
        ------
        DataError
            Of the first picture, where none can be read.
        HTTPException
            Where the answer takes too long.
        """
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Answer]] = [loop.create_future() for _ in sent]
        for place in zip(sent, futures, strict=True):
            self._queue.put_nowait(place)
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                outcomes = await asyncio.gather(*futures, return_exceptions=True)
        except TimeoutError as error:
            seconds = self._limits.answer_seconds
            raise refusal(503, f"no answer within {seconds:g} seconds; try again", retry=RETRY_SECONDS) from error
        finally:
            for future in futures:
                future.cancel()  # so that nobody works on what nobody waits for
        read: list[Answer | DataError] = []
        for outcome in outcomes:
            if not isinstance(outcome, Answer | DataError):
                raise outcome
            read.append(outcome)
        if isinstance(read[0], DataError) and not any(isinstance(each, Answer) for each in read):
            raise read[0]
        return read

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            places = await self._batch()
            self._on_batch(len(places))
            try:
                outcomes = await loop.run_in_executor(self._pool, self._outcomes, [picture for picture, _ in places])
            except Exception as error:  # noqa: BLE001  # a fault of ours is told to those who wait, and the worker goes on
                outcomes = [error] * len(places)
            except asyncio.CancelledError:
                for _, future in places:
                    future.cancel()
                raise
            for (_, future), outcome in zip(places, outcomes, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, Answer):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)

    async def _batch(self) -> list[_Place]:
        """Return the pictures that come within a moment after the first one that somebody still waits for."""
        places: list[_Place] = []
        while not places:
            places += [place for place in [await self._queue.get()] if not place[1].done()]
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT):
                while len(places) < _MOST:
                    place = await self._queue.get()
                    if not place[1].done():
                        places.append(place)
        return places

    def _outcomes(self, sent: Sequence[SentPicture]) -> list[Answer | Exception]:
        """Return the answer of each picture, or the error of one that cannot be read."""
        outcomes: dict[int, Answer | Exception] = {}
        for group in self._groups(sent, outcomes):
            outcomes |= self._read_group(sent, group)
        return [outcomes[place] for place in range(len(sent))]

    def _read_group(self, sent: Sequence[SentPicture], group: Sequence[_Decoded]) -> dict[int, Answer | Exception]:
        """Return the outcomes by place; where reading them together fails, each is read by itself: one is at fault."""
        pictures = [picture for _, picture in group]
        try:
            predictions = self._predictor.predict_batch(pictures, sources=[sent[place].source for place, _ in group])
            return {
                place: _answer(sent[place], picture, prediction)
                for (place, picture), prediction in zip(group, predictions, strict=True)
            }
        except Exception as error:  # noqa: BLE001  # it is told to the one who sent the picture, and to nobody else
            if len(group) == 1:
                return {group[0][0]: error}
        outcomes: dict[int, Answer | Exception] = {}
        for each in group:
            outcomes |= self._read_group(sent, [each])
        return outcomes

    def _groups(self, sent: Sequence[SentPicture], outcomes: dict[int, Answer | Exception]) -> Iterator[list[_Decoded]]:
        """Decode the pictures, and yield them in groups that fit in memory; what cannot be read is an outcome."""
        group: list[_Decoded] = []
        for place, one in enumerate(sent):
            try:
                group.append((place, read_picture(one.content, max_pixels=self._limits.pixels)))
            except DataError as error:
                outcomes[place] = DataError(str(error).replace("the picture", one.source, 1))
            if sum(picture.nbytes for _, picture in group) >= _DECODED_BYTES:
                yield group
                group = []
        if group:
            yield group


def _answer(sent: SentPicture, picture: NDArray[np.uint8], prediction: Prediction) -> Answer:
    annotated = _jpeg(draw(picture, prediction)) if sent.annotate else None
    return Answer(prediction, picture.shape[1], picture.shape[0], annotated)


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=92)
    return file.getvalue()
