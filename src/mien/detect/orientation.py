"""Faces on their side or on their head: YuNet takes them for upright ones, so doubtful faces are looked at turned, too.

The network was trained on upright faces. In a picture that lies on its side it finds most faces all the same, but puts
the eyes and the mouth where those of an upright face would be. Such faces have a confidence of 0.9 at the most, and a
higher one in a copy that is turned so that they stand upright. Of the astronaut at 24 angles and 4 sizes, all that were
found beyond 60 degrees were set right; of 645 upright faces of FER2013, none was turned.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.detect.boxes import non_max_suppression
from mien.types import Detections

Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]  # scores (M,), boxes, landmarks
Network = Callable[[NDArray[np.uint8]], list[Found]]  # (N, H, W, 3) uint8 views -> what is found in each

_DOUBTFUL = 0.9  # the confidence below which a face may be a turned one
_SURE, _BETTER = 0.86, 0.02  # the least confidence of a turned face, and how much more than upright it must be
_MOST = 16  # doubtful faces that are looked at, the largest first: in a crowd all lean alike
_CLOSE_UP = 128  # pixels: the side of a view of one face and its surroundings
_SURROUNDINGS = 2.0  # times a face's side: the side of that view
_CENTRE = 0.15  # of the view: how far from its middle the face may be found
_TURNS = (1, 2, 3)  # quarter turns, counterclockwise


def turn_doubtful_faces(
    picture: NDArray[np.uint8], faces: Detections, network: Network, *, overlap: float
) -> Detections:
    """Return the faces of a picture with those set right that lie on their side or stand on their head."""
    doubtful = np.flatnonzero(faces.confidence < _DOUBTFUL)[:_MOST]
    if not len(doubtful) or faces.landmarks is None:
        return faces
    corners, sides = _surroundings(faces.boxes[doubtful])
    views = [_close_up(picture, corner, side) for corner, side in zip(corners, sides, strict=True)]
    turned = network(np.stack([np.rot90(view, turns) for view in views for turns in _TURNS]))
    scores, boxes, landmarks = faces.confidence.copy(), faces.boxes.copy(), faces.landmarks.copy()
    for place, face in enumerate(doubtful.tolist()):
        looks = turned[place * len(_TURNS) : (place + 1) * len(_TURNS)]
        score, box, points = _best_near_centre(looks)
        if score >= max(_SURE, scores[face] + _BETTER):
            scale = sides[place] / _CLOSE_UP
            scores[face] = score
            boxes[face] = box * scale + np.tile(corners[place], 2)
            landmarks[face] = points * scale + corners[place]
    kept = non_max_suppression(boxes, scores, overlap=overlap)  # two doubtful faces may have been the same one
    return Detections(boxes[kept], scores[kept], landmarks[kept])


def find_turned_faces(view: NDArray[np.uint8], network: Network) -> Found:
    """Return scores, boxes and landmarks of faces on their side or head in a small view, (H, W, 3), of a picture."""
    height, width = view.shape[:2]
    found: list[Found] = []
    for turns in _TURNS:
        ((scores, boxes, landmarks),) = network(np.rot90(view, turns)[None])
        sure = scores >= _SURE
        placed = _turn_back(boxes[sure].reshape(-1, 2, 2), turns, width, height)
        boxes = np.concatenate([placed.min(axis=1), placed.max(axis=1)], axis=1)
        found.append((scores[sure], boxes, _turn_back(landmarks[sure], turns, width, height)))
    scores, boxes, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return scores, boxes, landmarks


def _surroundings(boxes: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the left upper corners (M, 2) and the sides (M,) of squares around boxes (M, 4)."""
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) * np.float32(_SURROUNDINGS)
    return (boxes[:, :2] + boxes[:, 2:]) / 2 - sides[:, None] / 2, sides


def _close_up(picture: NDArray[np.uint8], corner: NDArray[np.float32], side: np.float32) -> NDArray[np.uint8]:
    """Return a square of a picture at the side of a close-up; black beyond the picture's edge."""
    left, top = np.floor(corner).astype(int)
    reach = int(np.ceil(side)) + 1
    height, width = picture.shape[:2]
    rows, columns = slice(max(top, 0), min(top + reach, height)), slice(max(left, 0), min(left + reach, width))
    region = np.zeros((reach, reach, 3), np.uint8)
    region[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = picture[rows, columns]
    x, y = corner - (left, top)
    square = (x, y, min(x + side, reach), min(y + side, reach))
    image = Image.fromarray(region).resize((_CLOSE_UP, _CLOSE_UP), Image.Resampling.BICUBIC, square, reducing_gap=2.0)
    return np.asarray(image)


def _best_near_centre(looks: list[Found]) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
    """Return the score, box and landmarks of the surest face in the middle of turned close-ups, turned back."""
    best = -1.0, np.zeros(4, np.float32), np.zeros((5, 2), np.float32)
    for turns, (scores, boxes, landmarks) in zip(_TURNS, looks, strict=True):
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        near = np.abs(centres - _CLOSE_UP / 2).max(axis=1) <= _CENTRE * _CLOSE_UP
        scores = np.where(near, scores, -1)
        face = int(scores.argmax())
        if scores[face] > best[0]:
            corners = _turn_back(boxes[face].reshape(2, 2), turns, _CLOSE_UP, _CLOSE_UP)
            box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
            best = float(scores[face]), box, _turn_back(landmarks[face], turns, _CLOSE_UP, _CLOSE_UP)
    return best


def _turn_back(points: NDArray[np.float32], turns: int, width: int, height: int) -> NDArray[np.float32]:
    """Return points (..., 2) of a view that was turned by `turns` quarters as points of the view, width x height."""
    x, y = points[..., 0], points[..., 1]
    x, y = {1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}[turns]
    return np.stack([x, y], axis=-1)
