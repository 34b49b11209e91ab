"""Faces found in a picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError
from mien.types.checks import count_of, frozen, require

_SHOWN = 3  # faces that the one-line form names


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """M faces found in one picture, largest first; they are sorted when this is made.

    Parameters
    ----------
    boxes
        (M, 4) float32: left, top, right, bottom, in pixels of that picture; may reach beyond its edges.
    confidence
        (M,) float32 in [0, 1].
    landmarks
        (M, 5, 2) float32, x and y in pixels: the person's right eye, left eye, nose tip, right and left corner of the
        mouth. In an upright face the first of each pair is on the left of the picture. Or None.

    Raises
    ------
    ModelError
        Where a shape or a value is none of these.
    """

    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        boxes = np.asarray(self.boxes, np.float32) if count else np.zeros((0, 4), np.float32)
        confidence = np.asarray(self.confidence)
        require(boxes.shape == (count, 4), f"boxes must be (M, 4), got {boxes.shape}", ModelError)
        require(bool(np.isfinite(boxes).all()), "boxes must be finite numbers", ModelError)
        require(confidence.shape == (count,), f"confidence must be ({count},), got {confidence.shape}", ModelError)
        sure = (confidence >= 0) & (confidence <= 1 + 1e-6)  # which rounding may leave
        require(bool(sure.all()), f"confidence must be 0 to 1, got {confidence[~sure][:1].tolist()}", ModelError)
        sides = boxes[:, 2:] - boxes[:, :2]
        require(bool((sides > 0).all()), "boxes must be left, top, right, bottom with positive sides", ModelError)
        order = np.argsort(-sides.prod(axis=1), kind="stable")
        object.__setattr__(self, "boxes", frozen(boxes[order], np.float32))
        object.__setattr__(self, "confidence", frozen(confidence[order].clip(0, 1), np.float32))
        if self.landmarks is not None:
            landmarks = np.asarray(self.landmarks, np.float32) if count else np.zeros((0, 5, 2), np.float32)
            shape = landmarks.shape
            require(shape == (count, 5, 2), f"landmarks must be ({count}, 5, 2), got {shape}", ModelError)
            object.__setattr__(self, "landmarks", frozen(landmarks[order], np.float32))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, chosen: NDArray[Any] | slice) -> "Detections":
        """Select the faces that a mask, indices or a slice choose; they are the largest first again."""
        landmarks = None if self.landmarks is None else self.landmarks[chosen]
        return Detections(self.boxes[chosen], self.confidence[chosen], landmarks)

    def __repr__(self) -> str:
        widths = [f"{width:.0f}" for width in (self.boxes[:, 2] - self.boxes[:, 0]).tolist()]
        shown = ", ".join(widths[:_SHOWN] + ["..."] * (len(widths) > _SHOWN))
        return f"<Detections {count_of(len(self), 'face')}{shown and f', {shown} pixels wide'}>"
