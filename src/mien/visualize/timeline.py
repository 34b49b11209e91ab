"""The expressions of each face over time, as a picture or a page: `Timeline` collects, in memory that does not grow."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import ExtraError, ModelError, OutputError
from mien.io.atomic_write import atomic_write
from mien.labels import COLOURS
from mien.types import Prediction, Scores
from mien.visualize.summary import FrameDurations, same_names

MOST_SHOWN = 20  # faces: the longest seen ones
_MOST_KEPT = 100  # faces: beyond, the shortest seen of those that are gone are only counted
_GONE = 10.0  # seconds without a look at a face, after which it is not expected again
_FINEST = 1 / 64  # seconds: a bin; doubled as often as the video needs
_MOST_BINS = 2048  # from the first second to the last
_BETTER = 1.1  # times: how much better a view must be to be the thumbnail
_VIEW = 96  # pixels: a thumbnail's side
_MARGIN = 0.12  # share of the face's longer side around it
_OTHERS = ((96, 96, 112), (140, 120, 90), (60, 60, 60), (200, 190, 170))  # of classes that have no colour


@dataclass
class Band:
    """A face over time. first, last: seconds; best: how good the view is that the thumbnail shows.

    shown: (K,) the seconds for which each expression was the most probable.
    bins:  by number, (K + 1,): each expression's probability times the seconds seen, then these seconds.
    """

    source: str
    track: int
    first: float
    last: float
    shown: NDArray[np.float64]
    bins: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    view: NDArray[np.uint8] | None = None
    best: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it was seen."""
        return float(self.shown.sum())

    def runs(self) -> list[tuple[int, NDArray[np.float64]]]:
        """Where it was seen without a break: the first bin, and the mean probabilities (B, K) from there on."""
        numbers = np.array(sorted(self.bins))
        parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
        return [(int(part[0]), self._means(part)) for part in parts if len(part)]

    def _means(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        sums = np.array([self.bins[number] for number in numbers.tolist()])
        means: NDArray[np.float64] = sums[:, :-1] / sums[:, -1:]
        return means


class Timeline:
    """Draws what each face of a video showed: a band a face, its probabilities stacked over time, the face beside it.

    It keeps at most 2048 bins of time, however long the video, and the 100 faces that were seen longest; 20 are shown.
    A frame lasts until the next one, whatever the frame rate.
    """

    def __init__(self) -> None:
        self._spans = FrameDurations()
        self._bands: dict[tuple[str, int], Band] = {}
        self._left_out = 0
        self._names: tuple[str, ...] | None = None
        self._width = _FINEST
        self._start, self._end = math.inf, -math.inf
        self._sources: list[str] = []

    def add(self, prediction: Prediction, picture: NDArray[np.uint8] | None = None) -> None:
        """Take up the next prediction; those of a video in their order.

        picture: (H, W, 3) uint8 RGB, what it is of, for the thumbnails: each face as it was seen largest and surest.
        Raises ModelError where the prediction has no tracks, or other expressions than those before.
        """
        if prediction.tracks is None:
            raise ModelError("a timeline needs predictions of a video, got one without tracks")
        self._names = same_names(self._names, prediction)
        for span in self._spans.add(prediction):
            self._lay(*span)
        self._meet(prediction)
        if picture is not None:
            self._look(prediction, picture)

    def write(self, path: Path | str) -> None:
        """Write a picture (.png) or a page that needs no network (.html), whole or not at all.

        Raises OutputError for other suffixes and where the file cannot be written; ExtraError where the picture needs
        matplotlib, which is not installed.
        """
        require_timeline(path)
        content = _WRITERS[PurePath(path).suffix.lower()](self.chart())
        with atomic_write(path) as file:
            file.write(content)

    def chart(self) -> "Chart":
        """What is to be drawn."""
        for span in self._spans.rest():
            self._lay(*span)
        bands = sorted(self._bands.values(), key=lambda band: (-band.seconds, band.track))
        shown = sorted(bands[:MOST_SHOWN], key=lambda band: (band.first, band.track))
        start, end = (self._start, self._end) if self._start < self._end else (0.0, 1.0)
        left_out = self._left_out + max(len(bands) - MOST_SHOWN, 0)
        return Chart(tuple(self._sources), self._names or Scores.class_names, shown, left_out, start, end, self._width)

    def _meet(self, prediction: Prediction) -> None:
        """Have a band for each face that is there, and drop bands beyond the most that are kept."""
        if prediction.source not in self._sources:
            self._sources.append(prediction.source)
        now, count = prediction.seconds, len(prediction.scores.class_names)
        for track in _tracks(prediction):
            key = (prediction.source, track)
            band = self._bands.setdefault(key, Band(*key, now, now, np.zeros(count)))
            band.last = max(band.last, now)
        if len(self._bands) > _MOST_KEPT:
            gone = [key for key, band in self._bands.items() if key[0] != prediction.source or now - band.last > _GONE]
            for key in sorted(gone, key=lambda key: self._bands[key].seconds)[: len(self._bands) - _MOST_KEPT]:
                del self._bands[key]
                self._left_out += 1

    def _lay(self, prediction: Prediction, start: float, end: float) -> None:
        """Add what was seen, for as long as it lasted, to the bins."""
        self._start, self._end = min(self._start, start), max(self._end, end)
        while self._end - self._start > _MOST_BINS * self._width:
            self._coarsen()
        edges = np.arange(math.floor(start / self._width), math.ceil(end / self._width) + 1)
        spent = np.diff(np.clip(edges * self._width, start, end))
        for track, probs in zip(_tracks(prediction), prediction.scores.probs, strict=True):
            band = self._bands[prediction.source, track]
            band.last = max(band.last, end)
            band.shown[probs.argmax()] += end - start
            for number, share in zip(edges.tolist(), spent.tolist(), strict=False):
                if share > 0:
                    total = band.bins.setdefault(number, np.zeros(len(probs) + 1))
                    total += share * np.append(probs, 1)

    def _coarsen(self) -> None:
        """Make bins twice as long."""
        self._width *= 2
        for band in self._bands.values():
            halved: dict[int, NDArray[np.float64]] = {}
            for number, total in band.bins.items():
                halved[number // 2] = halved.get(number // 2, 0) + total
            band.bins = halved

    def _look(self, prediction: Prediction, picture: NDArray[np.uint8]) -> None:
        """Keep the best view of each face so far."""
        for track, box, sure in zip(
            _tracks(prediction), prediction.faces.boxes, prediction.faces.confidence.tolist(), strict=True
        ):
            band = self._bands[prediction.source, track]
            height, width = picture.shape[:2]
            inside = np.clip(box, 0, [width, height, width, height])
            whole = float((inside[2:] - inside[:2]).prod() / (box[2:] - box[:2]).prod())
            worth = math.sqrt(float((box[2:] - box[:2]).prod())) * sure * whole**2
            if worth > band.best * _BETTER:
                band.view, band.best = _thumbnail(picture, box), worth


@dataclass(frozen=True)
class Chart:
    """What a timeline shows. bands: in the order in which they begin; left_out: how many more faces there were.

    start, end: seconds; width: seconds a bin, of which number 0 begins at 0.
    """

    sources: tuple[str, ...]
    names: tuple[str, ...]
    bands: list[Band]
    left_out: int
    start: float
    end: float
    width: float

    @property
    def title(self) -> str:
        """What was seen: the name of the source, without its folders."""
        first, *more = [PurePath(source).name or source for source in self.sources] or ["nothing"]
        return f"{first} and {len(more)} more" if more else first

    @property
    def remark(self) -> str:
        """What one should know of it."""
        if not self.bands:
            return "No face was seen."
        told = (
            "Heights are probabilities; the percentage is of the time for which that expression was the most probable."
        )
        if not self.left_out:
            return told
        return f"{told} Left out, as seen for less time: {self.left_out} {'face' if self.left_out == 1 else 'faces'}."

    def colour(self, name: str) -> tuple[int, int, int]:
        """(red, green, blue) of an expression."""
        others = [each for each in self.names if each not in COLOURS]
        return COLOURS[name] if name in COLOURS else _OTHERS[others.index(name) % len(_OTHERS)]

    def told(self, band: Band) -> tuple[str, str]:
        """A band in words: when, and what for most of the time."""
        shares = band.shown / max(band.seconds, 1e-12)
        top = int(shares.argmax())
        fine = self.end - self.start < 10
        first, last = clock(band.first, fine=fine), clock(band.last, fine=fine)
        return first if first == last else f"{first} to {last}", f"{self.names[top]} {shares[top]:.0%}"

    def ticks(self, *, most: int = 10) -> list[tuple[float, str]]:
        """Round seconds of the time axis, and what they are called."""
        steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)
        step = next((step for step in steps if (self.end - self.start) / step <= most), 86400)
        numbers = range(math.ceil(self.start / step - 1e-9), math.floor(self.end / step + 1e-9) + 1)
        return [(number * step, clock(number * step, fine=step < 1)) for number in numbers]


def clock(seconds: float, *, fine: bool = False) -> str:
    """Seconds as m:ss, with tenths where it is to be fine, or h:mm:ss from an hour on."""
    tenths = round(seconds * 10) if fine else round(seconds) * 10
    whole, rest = divmod(max(tenths, 0), 10)
    minutes, last = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{last:02}" if hours else f"{minutes}:{last:02}"
    return f"{text}.{rest}" if fine else text


def require_timeline(path: Path | str) -> None:
    """Refuse, before the work rather than after it, what `Timeline.write` will refuse.

    Raises OutputError where the suffix is neither .png nor .html; ExtraError where matplotlib is missing for .png.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in _WRITERS:
        raise OutputError(f"a timeline's name must end in {' or '.join(_WRITERS)}, got {path}")
    if suffix == ".png":
        from importlib.util import find_spec

        if find_spec("matplotlib") is None:
            raise ExtraError("a timeline as .png", extra="video")


def _png(chart: Chart) -> bytes:
    from mien.visualize.timeline_png import timeline_picture

    return timeline_picture(chart)


def _html(chart: Chart) -> bytes:
    from mien.visualize.timeline_html import timeline_page

    return timeline_page(chart).encode()


_WRITERS: dict[str, Callable[[Chart], bytes]] = {".png": _png, ".html": _html}


def _tracks(prediction: Prediction) -> list[int]:
    return [] if prediction.tracks is None else prediction.tracks.tolist()


def _thumbnail(picture: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The square around a face, (96, 96, 3), the picture's edge repeated where it reaches beyond."""
    left, top, right, bottom = box.tolist()
    half = max(right - left, bottom - top) * (0.5 + _MARGIN)
    low = np.floor([(top + bottom) / 2 - half, (left + right) / 2 - half]).astype(int)
    rows, columns = (
        np.clip(np.arange(start, start + max(round(2 * half), 1)), 0, size - 1)
        for start, size in zip(low, picture.shape, strict=False)
    )
    part = Image.fromarray(np.ascontiguousarray(picture[rows[:, None], columns]))
    return np.asarray(part.resize((_VIEW, _VIEW), Image.Resampling.BICUBIC))
