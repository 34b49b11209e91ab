"""The face detector `YuNet`; its network ships with mien.

Any function from a picture, (H, W, 3) uint8 RGB, to `Detections` is a detector; see `mien.types.Detector`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.classify.session import CPU, make_session
from mien.detect.boxes import non_max_suppression
from mien.errors import ModelError
from mien.io.pixels import require_picture
from mien.types import Detections

SMALLEST = 16  # pixels: the width from which on the network finds upright faces
_SIDE = 192  # pixels: no picture's longer side gets below this, so that a face that fills it is found
_LARGE, _CLOSE_UP = 400, 256  # pixels: beyond the first, there is a second look, at no more than the second
_STEP = 32  # pixels: the network takes sides that are multiples of this
_BAND = 1 << 24  # pixels of a huge picture that are made smaller at a time


@dataclass(frozen=True, kw_only=True)
class YuNet:
    """Finds faces, and five landmarks on each, with the network YuNet (Wu, Peng and Yu, 2023).

    May be pickled, and called from several threads at once.

    Parameters
    ----------
    min_face
        The width, in pixels of the picture, of the smallest faces that should be found. From 32 on, pictures are
        halved for it, from 48 on brought to a third, and so on; a quarter of the pixels takes a quarter of the time.
        Narrower faces may be found as well.
    threshold
        The confidence, in [0, 1], from which on something is a face.
    overlap
        Of boxes whose intersection over union is more than this, the most confident one stays.
    max_side
        Pixels; larger pictures are made smaller than this, whatever `min_face` needs. None: no limit.
    threads
        CPU threads that search one picture; 0: as many as there are CPUs for this process.
    providers
        Of ONNX Runtime, best first.

    Raises
    ------
    ModelError
        Where one of these is out of range.
    """

    min_face: float = 20
    threshold: float = 0.65
    overlap: float = 0.3
    max_side: int | None = 2048
    threads: int = 1
    providers: tuple[str, ...] = CPU

    def __post_init__(self) -> None:
        sides = np.inf if self.max_side is None else self.max_side
        for name, value, least, most in (
            ("min_face", self.min_face, 1, np.inf),
            ("threshold", self.threshold, 0.01, 1),
            ("overlap", self.overlap, 0, 1),
            ("max_side", sides, _SIDE, np.inf),
            ("threads", self.threads, 0, 1024),
        ):
            if not least <= value <= most:
                raise ModelError(f"{name} must be {least} to {most}, got {value}")

    def __call__(self, picture: NDArray[np.uint8], /) -> Detections:
        """Find the faces of a picture, (H, W, 3) uint8 RGB. Raises DataError for other arrays."""
        require_picture(picture)
        looks = [self._search(view, scale) for view, scale in self._views(picture)]
        scores, boxes, landmarks = (np.concatenate(parts) for parts in zip(*looks, strict=True))
        kept = non_max_suppression(boxes, scores, overlap=self.overlap)
        return Detections(boxes[kept], scores[kept], landmarks[kept])

    def _views(self, picture: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], float]]:
        """Yield the views to search, each with how many pixels of the picture one of its own stands for."""
        longest = max(picture.shape[:2])
        if longest < _SIDE:
            factor = -(-_SIDE // longest)
            yield _enlarged(picture, factor), 1 / factor
            return
        factor = max(1, int(min(self.min_face / SMALLEST, longest / _SIDE)))
        if self.max_side is not None:
            factor = max(factor, -(-longest // self.max_side))
        view = _shrunk(picture, factor)
        yield view, factor
        longest = max(view.shape[:2])
        if longest > _LARGE:
            further = -(-longest // _CLOSE_UP)
            yield _shrunk(view, further), factor * further

    def _search(self, view: NDArray[np.uint8], scale: float) -> tuple[NDArray[np.float32], ...]:
        """Return scores (M,), boxes (M, 4) and landmarks (M, 5, 2), times the scale, of all beyond the threshold."""
        height, width = view.shape[:2]
        padded = np.zeros((1, -(-height // _STEP) * _STEP, -(-width // _STEP) * _STEP, 3), np.uint8)
        padded[0, :height, :width] = view
        session = _session(self.threads, self.providers, os.getpid())
        scores, boxes, landmarks = (output[0] for output in session.run(None, {"pictures": padded}))
        chosen = (scores >= self.threshold) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return scores[chosen], boxes[chosen] * np.float32(scale), landmarks[chosen] * np.float32(scale)


@cache
def _session(threads: int, providers: tuple[str, ...], process: int) -> Any:  # noqa: ARG001 (part of the key)
    """Return the network, loaded once for these settings in each process, since a fork takes no threads along."""
    model = files("mien").joinpath("assets", "yunet.onnx").read_bytes()
    return make_session(model, providers=providers, threads=threads, varying_shapes=True, name="the face detector")


def _shrunk(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return the means of squares of factor x factor pixels; a huge picture goes band by band, uncopied."""
    if factor == 1:
        return picture
    height, width = picture.shape[:2]
    rows = max(1, _BAND // (width * factor)) * factor
    bands = (Image.fromarray(picture[top : top + rows]) for top in range(0, height, rows))
    return np.concatenate([np.asarray(band.reduce(factor)) for band in bands])


def _enlarged(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    return np.asarray(image.resize((image.width * factor, image.height * factor), Image.Resampling.BILINEAR))
