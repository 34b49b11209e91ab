"""The detector for pictures that are face crops already, and the check that they are."""

import numpy as np
from numpy.typing import NDArray

from mien.detect.yunet import YuNet
from mien.io.pixels import require_picture
from mien.types import Detections

# A face takes at least so much of a crop's longer side. In FER2013's crops it takes three quarters and more.
CROPPED = 0.5

_CHECKED = 128  # pixels: what is smaller is taken for a crop without a look
_FINDER = YuNet(min_face=float("inf"), threshold=0.65, turned=False)  # which looks at the whole at a small scale


def whole_image(picture: NDArray[np.uint8], /) -> Detections:
    """Take the whole picture, (H, W, 3) uint8 RGB, for one face. Raises DataError for other arrays."""
    require_picture(picture)
    height, width = picture.shape[:2]
    return Detections(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))


def doubt_crop(picture: NDArray[np.uint8]) -> str:
    """Return what makes it doubtful that a picture, (H, W, 3) uint8 RGB, is one face, cropped already.

    `uncropped` where its largest face takes less than half of it, `unsure` where it is large and no face is found in
    it, and else nothing. Pictures under 128 pixels are not looked at.
    """
    longest = max(picture.shape[:2])
    if longest < _CHECKED:
        return ""
    faces = _FINDER(picture)
    if not len(faces):
        return "unsure"
    return "uncropped" if float((faces.boxes[0, 2:] - faces.boxes[0, :2]).max()) < CROPPED * longest else ""
