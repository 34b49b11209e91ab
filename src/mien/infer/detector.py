"""Finding faces: `YuNet`, whose network ships with mien, and `whole`, which takes the picture for one face.

Any function from a picture, (H, W, 3) uint8 RGB, to `Detections` is a detector; see `mien.types.Detector`.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import DataError, ModelError
from mien.types import Detections

SMALLEST = 16  # pixels: the width from which on the network finds upright faces
_SIDE = 192  # pixels: no picture's longer side is looked at with fewer, so that a face that fills it is found
_LARGE, _CLOSE_UP = 400, 256  # pixels: longer sides than the first are looked at a second time, with the second
_STEP = 32  # pixels: the network takes sides that are multiples of this
_BAND = 1 << 24  # pixels of a huge picture that are reduced at a time


@dataclass(frozen=True, kw_only=True)
class YuNet:
    """Finds faces, and five landmarks on each, with the network YuNet (Wu, Peng and Yu, 2023).

    min_face:  the width, in pixels of the picture, of the smallest faces that must be found. Pictures are scaled down
               to what that needs, so a larger one is faster: twice the width, a quarter of the time.
    threshold: the confidence, in [0, 1], from which on something is a face.
    overlap:   of boxes whose intersection over union is more than this, the most confident one stays.
    max_side:  pixels; no picture is looked at with a longer side than this, whatever `min_face` needs. None: no limit.
    threads:   CPU threads to use; 0: all.

    Raises ModelError where one of these is out of range. May be pickled, and called from several threads at once.
    """

    min_face: float = 20
    threshold: float = 0.65
    overlap: float = 0.3
    max_side: int | None = 2048
    threads: int = 1

    def __post_init__(self) -> None:
        sides = np.inf if self.max_side is None else self.max_side
        for name, value, least, most in (
            ("min_face", self.min_face, 1, np.inf),
            ("threshold", self.threshold, 0.01, 1),
            ("overlap", self.overlap, 0, 1),
            ("max_side", sides, _STEP, np.inf),
            ("threads", self.threads, 0, 1024),
        ):
            if not least <= value <= most:
                raise ModelError(f"{name} must be {least} to {most}, got {value}")

    def __call__(self, picture: NDArray[np.uint8], /) -> Detections:
        """Find the faces of a picture, (H, W, 3) uint8 RGB. Raises DataError for other arrays."""
        _require_picture(picture)
        height, width = picture.shape[:2]
        looks = []
        for side in self._sides(max(height, width)):
            scale = side / max(height, width)
            picture = _resized(picture, max(1, round(height * scale)), max(1, round(width * scale)))
            pixels = np.array([width / picture.shape[1], height / picture.shape[0]], np.float32)
            looks.append(self._look(picture, pixels))
        scores, boxes, landmarks = (np.concatenate(parts) for parts in zip(*looks, strict=True))
        kept = suppress(boxes, scores, overlap=self.overlap)
        return Detections(boxes[kept], scores[kept], landmarks[kept])

    def _sides(self, longest: int) -> list[int]:
        """The longest sides, in pixels, that a picture is looked at with, largest first."""
        side = max(longest * min(1.0, SMALLEST / self.min_face), _SIDE)
        side = round(min(side, self.max_side or side))
        return [side, _CLOSE_UP] if side > _LARGE else [side]

    def _look(self, picture: NDArray[np.uint8], scale: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Scores, boxes and landmarks, times the scale (2,), of all cells above the threshold."""
        height, width = picture.shape[:2]
        padded = np.zeros((1, -(-height // _STEP) * _STEP, -(-width // _STEP) * _STEP, 3), np.uint8)
        padded[0, :height, :width] = picture
        scores, boxes, landmarks = (output[0] for output in _session(self.threads).run(None, {"pictures": padded}))
        chosen = (scores >= self.threshold) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return scores[chosen], boxes[chosen] * np.tile(scale, 2), landmarks[chosen] * scale


def whole(picture: NDArray[np.uint8], /) -> Detections:
    """Take the whole picture, (H, W, 3) uint8 RGB, for one face. Raises DataError for other arrays."""
    _require_picture(picture)
    height, width = picture.shape[:2]
    return Detections(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))


def overlaps(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The intersection over union of a box (4,) with each of several (M, 4): left, top, right, bottom."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    shares: NDArray[np.float32] = shared / ((box[2:] - box[:2]).prod() + areas - shared)
    return shares


def suppress(boxes: NDArray[np.float32], scores: NDArray[np.float32], *, overlap: float) -> NDArray[np.intp]:
    """The rows that stay of boxes (M, 4) with scores (M,), best first: none overlaps a better one that stays by more
    than `overlap` (greedy non-maximum suppression)."""
    left = np.argsort(-scores, kind="stable")
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[overlaps(boxes[best], boxes[left]) <= overlap]
    return np.array(kept, np.intp)


@cache
def _session(threads: int) -> Any:
    """The network, loaded once for each number of threads."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False  # pictures come in every shape, and a pattern is kept for each
    model = files("mien").joinpath("models", "yunet.onnx").read_bytes()
    return InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _resized(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A picture in another size; a huge one is first reduced band by band, so as to hold no copy of it."""
    if picture.shape[:2] == (height, width):
        return picture
    rows, columns = picture.shape[:2]
    factor = max(1, min(rows // height, columns // width) // 2)  # leaves twice the size, for a good resampling
    if factor > 1:
        band = max(1, _BAND // (columns * factor)) * factor
        bands = [Image.fromarray(picture[top : top + band]).reduce(factor) for top in range(0, rows, band)]
        picture = np.concatenate([np.asarray(band) for band in bands])
    inside = (0.0, 0.0, columns / factor, rows / factor)
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR, box=inside))


def _require_picture(picture: NDArray[np.uint8]) -> None:
    shape = picture.shape
    if picture.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise DataError(f"picture must be (H, W, 3) uint8 RGB, got {shape} {picture.dtype}")
