"""The work of a job: a clip in a file becomes rows, under the limits."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mien.errors import DataError, MienError
from mien.io.row_writers import Row, round_row
from mien.io.video_reader import describe_video
from mien.pipeline.predictor import Predictor
from mien.serve.limits import Limits, refusal


def check_clip(path: Path, source: str, limits: Limits) -> int:
    """Return about how many frames a clip has; 0 where it does not say. It is opened, and not decoded.

    Raises
    ------
    DataError
        Where it is no video.
    ExtraError
        Where PyAV is not installed.
    HTTPException
        Where it says that it is longer or larger than the limits.
    """
    try:
        facts = describe_video(str(path))
    except DataError as error:
        raise _named(error, path, source) from error
    if facts.width * facts.height > limits.clip_pixels:
        size = f"{facts.width:,} x {facts.height:,}"
        raise refusal(413, f"{source} must have frames of at most {limits.clip_pixels:,} pixels, got {size}")
    if facts.seconds is not None and round(facts.seconds) > limits.clip_seconds:
        raise refusal(413, f"{source} must last at most {limits.clip_seconds:g} seconds, got {facts.seconds:.1f}")
    if facts.count() > limits.clip_frames:
        raise refusal(413, f"{source} must have at most {limits.clip_frames:,} frames, got {facts.count():,}")
    return facts.count()


@dataclass
class ClipRows:
    """The rows of a clip as far as it was read: frames and seconds so far, and what could not be read."""

    source: str
    frames: int = 0
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    warning: str | None = None


def read_clip(
    predictor: Predictor, path: Path, source: str, limits: Limits, *, on_frame: Callable[[ClipRows], None]
) -> ClipRows:
    """Read the faces of a clip.

    Parameters
    ----------
    predictor
        What reads the frames.
    path, source
        The file, and what its rows call it.
    limits
        The most that a clip may hold. A clip may hold more than it says, so what comes is counted.
    on_frame
        Is called with what was read so far; what it raises ends the work.

    Raises
    ------
    DataError
        Where nothing can be read, or the clip is over a limit.
    """
    said: list[str] = []
    result = ClipRows(source)
    deadline = time.monotonic() + limits.clip_work_seconds
    predictions = predictor.stream([path], on_error=lambda _name, error: said.append(str(_named(error, path, source))))
    with closing(predictions):
        for prediction in predictions:
            result.frames += 1
            result.seconds = round(prediction.seconds, 6)
            result.rows += [round_row(row | {"source": source}) for row in prediction.rows()]
            on_frame(result)
            _require_within(result, limits)
            if time.monotonic() > deadline:
                raise DataError(f"{source} takes longer than {limits.clip_work_seconds:g} seconds; send a shorter one")
    result.warning = said[0] if said else None
    if not result.frames:
        raise DataError(result.warning or f"{source} holds no frame that can be read")
    return result


def _require_within(result: ClipRows, limits: Limits) -> None:
    """Refuse a clip that turns out to hold more than it may."""
    for what, most, got in (
        ("frames", limits.clip_frames, result.frames),
        ("faces in all frames", limits.clip_rows, len(result.rows)),
    ):
        if got > most:
            raise DataError(f"{result.source} must have at most {most:,} {what}, got more; send a shorter one")
    if round(result.seconds) > limits.clip_seconds:
        raise DataError(f"{result.source} must last at most {limits.clip_seconds:g} seconds, got more")


def _named(error: MienError, path: Path, source: str) -> DataError:
    """Return an error that calls the file by the name that its sender gave."""
    return DataError(str(error).replace(str(path), source))
