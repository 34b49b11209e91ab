"""The face detector `YuNet`; its network ships with mien.

Any function from a picture, (H, W, 3) uint8 RGB, to `Detections` is a detector; see `mien.types.Detector`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.classify.session import CPU
from mien.detect.boxes import non_max_suppression
from mien.detect.network import Found, run_network
from mien.detect.orientation import find_turned_faces, turn_doubtful_faces
from mien.detect.views import LEAST_SIDE, SMALLEST, View, finest_factor, small_view, tiles, whole_views
from mien.errors import ModelError
from mien.io.pixels import require_picture
from mien.types import Detections

_GIANT = 4  # a picture that had to be made that much smaller shows no small faces that would be a hint
_HINT, _TINY = 0.5, 1.5 * SMALLEST  # confidence, pixels: something that narrow in a view tells that more may be missed


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
        Pixels; larger pictures are made smaller than this first, whatever `min_face` needs. Where tiny faces appear in
        what that leaves, as in a crowd, the picture is searched once more, tile by tile, at the scale that `min_face`
        needs. None: no limit.
    turned
        Whether faces on their side or on their head are looked for, too.
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
    threshold: float = 0.75
    overlap: float = 0.3
    max_side: int | None = 2048
    turned: bool = True
    threads: int = 1
    providers: tuple[str, ...] = CPU

    def __post_init__(self) -> None:
        sides = np.inf if self.max_side is None else self.max_side
        for name, value, least, most in (
            ("min_face", self.min_face, 1, np.inf),
            ("threshold", self.threshold, 0.01, 1),
            ("overlap", self.overlap, 0, 1),
            ("max_side", sides, LEAST_SIDE, np.inf),
            ("threads", self.threads, 0, 1024),
        ):
            if not least <= value <= most:
                raise ModelError(f"{name} must be {least} to {most}, got {value}")

    def __call__(self, picture: NDArray[np.uint8], /) -> Detections:
        """Find the faces of a picture, (H, W, 3) uint8 RGB. Raises DataError for other arrays."""
        require_picture(picture)
        views = list(whole_views(picture, min_face=self.min_face, max_side=self.max_side))
        found = [self._search(view) for view in views]
        found += self._search_tiles(picture, found[0], views[0].scale)
        faces = self._merge(found)
        if self.turned and not len(faces):
            view = small_view(views[0])
            scores, boxes, landmarks = find_turned_faces(view.pixels, self._run)
            scale = np.float32(view.scale)
            faces = self._merge([(scores, boxes * scale, landmarks * scale)])
        return turn_doubtful_faces(picture, faces, self._run, overlap=self.overlap) if self.turned else faces

    def _search(self, view: View) -> Found:
        """Return the scores (M,), boxes (M, 4) and landmarks (M, 5, 2) of what may be faces, in the whole picture."""
        ((scores, boxes, landmarks),) = self._run(view.pixels[None])
        place = np.array([view.left, view.top], np.float32)
        boxes = boxes * np.float32(view.scale) + np.tile(place, 2)
        landmarks = landmarks * np.float32(view.scale) + place
        left, top, right, bottom = view.edges
        chosen = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (boxes[:, 2] - boxes[:, 0] <= view.widest)
        chosen &= ((boxes[:, :2] > (left, top)) & (boxes[:, 2:] < (right, bottom))).all(axis=1)
        return scores[chosen], boxes[chosen], landmarks[chosen]

    def _search_tiles(self, picture: NDArray[np.uint8], found: Found, scale: float) -> list[Found]:
        """Search a large picture tile by tile, at ever finer scales, as long as there may be smaller faces in it."""
        finest = finest_factor(picture, self.min_face)
        results: list[Found] = []
        while scale > finest and (scale > _GIANT or self._shows_tiny_faces(found, scale)):
            finer = max(finest, int(scale / 2)) if scale > _GIANT else finest
            searched = [self._search(tile) for tile in tiles(picture, factor=finer, whole=scale)]
            results += searched
            scores, boxes, landmarks = (np.concatenate(parts) for parts in zip(*searched, strict=True))
            found, scale = (scores, boxes, landmarks), finer
        return results

    def _run(self, views: NDArray[np.uint8]) -> list[Found]:
        """Run the network on views (N, H, W, 3); for each the scores, boxes and landmarks of what may be faces."""
        least = min(self.threshold, _HINT)
        return run_network(views, least=least, threads=self.threads, providers=self.providers)

    def _merge(self, found: list[Found]) -> Detections:
        """Return what is surely enough a face, each once."""
        scores, boxes, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
        sure = scores >= self.threshold
        scores, boxes, landmarks = scores[sure], boxes[sure], landmarks[sure]
        kept = non_max_suppression(boxes, scores, overlap=self.overlap)
        return Detections(boxes[kept], scores[kept], landmarks[kept])

    @staticmethod
    def _shows_tiny_faces(found: Found, scale: float) -> bool:
        """Tell whether there may be faces that are too small at this scale, since some hardly larger are there."""
        _, boxes, _ = found
        return bool((boxes[:, 2] - boxes[:, 0] < _TINY * scale).any())
