"""Faces on their side or on their head: YuNet takes them for upright ones, so doubtful faces are looked at turned, too.

The network was trained on upright faces. In a picture that lies on its side it finds most faces all the same, but puts
the eyes and the mouth where those of an upright face would be. Such faces have a confidence of 0.9 at the most, and a
higher one in a copy that is turned so that they stand upright. Of the astronaut at 24 angles and 5 sizes, none is read
as another expression and called good; of 645 upright faces of FER2013, none was turned.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.detect.boxes import non_max_suppression
from mien.detect.network import Found
from mien.types import Detections

Network = Callable[[NDArray[np.uint8]], list[Found]]  # (N, H, W, 3) uint8 views -> what is found in each

_DOUBTFUL = 0.9  # the confidence below which a face may be a turned one
# The least confidence of a turned face, and how much more it must be than that of the face as found and upright.
_SURE, _BETTER = 0.86, 0.02
_MOST = 16  # doubtful faces that are looked at, the largest first: in a crowd all lean alike
_CLOSE_UP = 128  # pixels: the side of a view of one face and its surroundings
_SURROUNDINGS = 2.0  # times a face's side: the side of that view
_CENTRE = 0.15  # of the view: how far from its middle the face may be found
# How views are turned, in degrees counterclockwise. The second turns are tried where the first ones leave it open: in
# these an upright face has at most 0.835 (274 doubtful ones of FER2013), one that leans by 135 degrees has more.
_QUARTERS, _EIGHTHS = (90, 180, 270), (45, 135, 225, 315)
_OPEN = 0.84

_Best = tuple[float, NDArray[np.float32], NDArray[np.float32]]  # a face's score, box (4,) and landmarks (5, 2)


def turn_doubtful_faces(
    picture: NDArray[np.uint8], faces: Detections, network: Network, *, overlap: float
) -> Detections:
    """Return the faces of a picture with those set right that lie on their side or stand on their head."""
    doubtful = np.flatnonzero(faces.confidence < _DOUBTFUL)[:_MOST]
    if not len(doubtful) or faces.landmarks is None:
        return faces
    corners, sides = _surroundings(faces.boxes[doubtful])
    views = [_close_up(picture, corner, side) for corner, side in zip(corners, sides, strict=True)]
    scores, boxes, landmarks = faces.confidence.copy(), faces.boxes.copy(), faces.landmarks.copy()

    def take(place: int, best: _Best) -> None:
        face, scale = doubtful[place], sides[place] / _CLOSE_UP
        scores[face] = best[0]
        boxes[face] = best[1] * scale + np.tile(corners[place], 2)
        landmarks[face] = best[2] * scale + corners[place]

    upright = _look_turned(views, (0,), network)  # a small face is surer in a close-up, however it is turned
    for place, face in enumerate(doubtful):
        if upright[place][0] > scores[face] and _leans(landmarks[face]):
            take(place, upright[place])
    places = [*range(len(doubtful))]
    for angles in (_QUARTERS, _EIGHTHS):
        best = dict(zip(places, _look_turned([views[place] for place in places], angles, network), strict=True))
        for place, look in best.items():
            rival = max(float(scores[doubtful[place]]), upright[place][0])
            if look[0] >= max(_SURE, rival + _BETTER):
                take(place, look)
        places = [place for place in places if best[place][0] >= _OPEN and scores[doubtful[place]] < _DOUBTFUL]
        if not places:
            break
    kept = non_max_suppression(boxes, scores, overlap=overlap)  # two doubtful faces may have been the same one
    return Detections(boxes[kept], scores[kept], landmarks[kept])


def find_turned_faces(view: NDArray[np.uint8], network: Network) -> Found:
    """Return scores, boxes and landmarks of faces on their side or head in a small view, (H, W, 3), of a picture."""
    height, width = view.shape[:2]
    found: list[Found] = []
    for degrees in _QUARTERS:
        ((scores, boxes, landmarks),) = network(_turned(view, degrees)[None])
        sure = scores >= _SURE
        boxes, landmarks = _turn_back(boxes[sure], landmarks[sure], degrees, width, height)
        found.append((scores[sure], boxes, landmarks))
    scores, boxes, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return scores, boxes, landmarks


def _leans(landmarks: NDArray[np.float32]) -> bool:
    """Tell whether a face (5, 2) leans by more than 45 degrees: by the line between its eyes."""
    x, y = landmarks[1] - landmarks[0]
    return bool(x < abs(y))


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


def _look_turned(views: list[NDArray[np.uint8]], angles: tuple[int, ...], network: Network) -> list[_Best]:
    """Return the surest face in the middle of each close-up among its turned copies, turned back."""
    found = network(np.stack([_turned(view, degrees) for view in views for degrees in angles]))
    bests = []
    for start in range(0, len(found), len(angles)):
        best: _Best = -1.0, np.zeros(4, np.float32), np.zeros((5, 2), np.float32)
        for degrees, (scores, boxes, landmarks) in zip(angles, found[start : start + len(angles)], strict=True):
            centres = (boxes[:, :2] + boxes[:, 2:]) / 2
            near = np.flatnonzero(np.abs(centres - _CLOSE_UP / 2).max(axis=1) <= _CENTRE * _CLOSE_UP)
            if not len(near):
                continue
            face = near[scores[near].argmax()]
            if scores[face] > best[0]:
                box, points = _turn_back(boxes[face, None], landmarks[face, None], degrees, _CLOSE_UP, _CLOSE_UP)
                best = float(scores[face]), box[0], points[0]
        bests.append(best)
    return bests


def _turned(view: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """Return a view turned counterclockwise; by other angles than quarters, it keeps its size."""
    if degrees % 90 == 0:
        return np.rot90(view, degrees // 90)
    return np.asarray(Image.fromarray(view).rotate(degrees, Image.Resampling.BILINEAR))


def _turn_back(
    boxes: NDArray[np.float32], landmarks: NDArray[np.float32], degrees: int, width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return boxes (M, 4) and landmarks (M, 5, 2) of a turned view as those of the view, width x height."""
    angle, lies = np.radians(degrees), degrees % 180 == 90
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    back = np.array([[cosine, sine], [-sine, cosine]])  # for points as rows, y downwards
    middle = np.array([width, height], np.float32) / 2
    middle_turned = middle[::-1] if lies else middle
    centres = ((boxes[:, :2] + boxes[:, 2:]) / 2 - middle_turned) @ back + middle
    sides = (boxes[:, 2:] - boxes[:, :2])[:, ::-1] if lies else boxes[:, 2:] - boxes[:, :2]
    placed = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    return placed, (landmarks - middle_turned) @ back + middle
