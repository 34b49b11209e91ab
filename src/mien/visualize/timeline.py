"""The expressions of each face over time, as a picture or a page: `Timeline` collects, in memory that does not grow."""

import math
from collections.abc import Callable
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import ModelError, OutputError
from mien.io.atomic_write import atomic_write
from mien.types import Prediction, Scores
from mien.visualize.figure import make_figure
from mien.visualize.summary import FrameDurations, require_same_classes
from mien.visualize.timeline_chart import Band, Chart
from mien.visualize.timeline_html import timeline_page
from mien.visualize.timeline_png import timeline_picture

MOST_SHOWN = 20  # faces: the longest seen ones
_MOST_KEPT = 100  # faces: beyond, the shortest seen of those that are gone are only counted
_GONE = 10.0  # seconds out of sight, after which a face is not expected again
_FINEST = 1 / 64  # seconds: a bin; doubled as often as the video needs
_MOST_BINS = 2048  # from the first second to the last
_BETTER = 1.1  # times: how much better a view must be to be the thumbnail
_VIEW = 96  # pixels: a thumbnail's side
_MARGIN = 0.12  # of the face's longer side, on each side of it

_WRITERS: dict[str, Callable[[Chart], bytes]] = {
    ".png": timeline_picture,
    ".html": lambda chart: timeline_page(chart).encode(),
}


class Timeline:
    """Collects what each face of a video showed, and draws it: a band a face, its probabilities stacked over time.

    It keeps at most 2048 bins of time, however long the video, and the 100 faces that were seen longest; 20 are shown.
    A frame lasts until the next one, whatever the frame rate.
    """

    def __init__(self) -> None:
        self._durations = FrameDurations()
        self._bands: dict[tuple[str, int], Band] = {}
        self._left_out = 0
        self._class_names: tuple[str, ...] | None = None
        self._width = _FINEST
        self._start, self._end = math.inf, -math.inf
        self._sources: list[str] = []

    def __repr__(self) -> str:
        faces = len(self._bands) + self._left_out
        return f"<Timeline {self.chart().title}: {faces:,} face{'' if faces == 1 else 's'}>"

    def add(self, prediction: Prediction, picture: NDArray[np.uint8] | None = None) -> None:
        """Take in the next prediction; those of a video in their order.

        Parameters
        ----------
        prediction
            A frame of a video.
        picture
            (H, W, 3) uint8 RGB: that frame, for the thumbnails. Each shows its face as it was seen largest and surest.

        Raises
        ------
        ModelError
            If the prediction has no tracks, or other expressions than those before.
        """
        if prediction.tracks is None:
            raise ModelError("a timeline needs predictions of a video, got one without tracks")
        self._class_names = require_same_classes(self._class_names, prediction)
        for ended in self._durations.add(prediction):
            self._fill_bins(*ended)
        self._find_bands(prediction)
        if picture is not None:
            self._take_views(prediction, picture)

    def write(self, path: Path | str) -> None:
        """Write a picture (.png) or a page that needs no network (.html), whole or not at all.

        Raises
        ------
        OutputError
            If the name has another suffix, or the file cannot be written.
        ExtraError
            If the picture needs Matplotlib, which is not installed.
        """
        require_timeline(path)
        content = _WRITERS[PurePath(path).suffix.lower()](self.chart())
        with atomic_write(path) as file:
            file.write(content)

    def chart(self) -> Chart:
        """Return what is to be drawn."""
        for ended in self._durations.rest():
            self._fill_bins(*ended)
        bands = sorted(self._bands.values(), key=lambda band: (-band.seconds, band.track))
        shown = sorted(bands[:MOST_SHOWN], key=lambda band: (band.first, band.track))
        start, end = (self._start, self._end) if self._start < self._end else (0.0, 1.0)
        left_out = self._left_out + max(len(bands) - MOST_SHOWN, 0)
        names = self._class_names or Scores.class_names
        return Chart(tuple(self._sources), names, shown, left_out, start, end, self._width)

    def _find_bands(self, prediction: Prediction) -> None:
        """Begin a band for each new face, and drop bands beyond the most that are kept."""
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

    def _fill_bins(self, prediction: Prediction, start: float, end: float) -> None:
        """Add a frame's probabilities to the bins from its start to its end."""
        self._start, self._end = min(self._start, start), max(self._end, end)
        while self._end - self._start > _MOST_BINS * self._width:
            self._double_width()
        edges = np.arange(math.floor(start / self._width), math.ceil(end / self._width) + 1)
        spent = np.diff(np.clip(edges * self._width, start, end))
        for track, probs in zip(_tracks(prediction), prediction.scores.probs, strict=True):
            band = self._bands[prediction.source, track]
            band.last = max(band.last, end)
            band.shown[probs.argmax()] += end - start
            for number, seconds in zip(edges.tolist(), spent.tolist(), strict=False):
                if seconds > 0:
                    total = band.bins.setdefault(number, np.zeros(len(probs) + 1))
                    total += seconds * np.append(probs, 1)

    def _double_width(self) -> None:
        """Make bins twice as long."""
        self._width *= 2
        for band in self._bands.values():
            halved: dict[int, NDArray[np.float64]] = {}
            for number, total in band.bins.items():
                halved[number // 2] = halved.get(number // 2, 0) + total
            band.bins = halved

    def _take_views(self, prediction: Prediction, picture: NDArray[np.uint8]) -> None:
        """Keep the best view of each face so far: large, sure, and inside the picture."""
        height, width = picture.shape[:2]
        for track, box, sure in zip(
            _tracks(prediction), prediction.faces.boxes, prediction.faces.confidence.tolist(), strict=True
        ):
            band = self._bands[prediction.source, track]
            area = float((box[2:] - box[:2]).prod())
            inside = np.clip(box, 0, [width, height, width, height])
            worth = math.sqrt(area) * sure * (float((inside[2:] - inside[:2]).prod()) / area) ** 2
            if worth > band.view_worth * _BETTER:
                band.view, band.view_worth = _thumbnail(picture, box), worth


def require_timeline(path: Path | str) -> None:
    """Refuse, before the work rather than after it, what `Timeline.write` would refuse.

    Raises
    ------
    OutputError
        If the suffix is neither .png nor .html.
    ExtraError
        If a .png needs Matplotlib, which is not installed.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in _WRITERS:
        raise OutputError(f"a timeline's name must end in {' or '.join(_WRITERS)}, got {path}")
    if suffix == ".png":
        make_figure()


def _tracks(prediction: Prediction) -> list[int]:
    return [] if prediction.tracks is None else prediction.tracks.tolist()


def _thumbnail(picture: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the square around a face, (96, 96, 3); the picture's edge is repeated where it reaches beyond."""
    left, top, right, bottom = box.tolist()
    half = max(right - left, bottom - top) * (0.5 + _MARGIN)
    low = np.floor([(top + bottom) / 2 - half, (left + right) / 2 - half]).astype(int)
    rows, columns = (
        np.clip(np.arange(start, start + max(round(2 * half), 1)), 0, size - 1)
        for start, size in zip(low, picture.shape, strict=False)
    )
    part = Image.fromarray(np.ascontiguousarray(picture[rows[:, None], columns]))
    return np.asarray(part.resize((_VIEW, _VIEW), Image.Resampling.BICUBIC))
