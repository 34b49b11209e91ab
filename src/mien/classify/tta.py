"""Test-time augmentation: classifiers that average over several views of a face."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mien.classify.ensemble import nested_name
from mien.errors import ModelError
from mien.types import FACE_SIDE, Classifier, Scores, require_faces

Tta = Literal["none", "mirror", "five-crop", "ten-crop"]
CROP_SIDE = 44  # pixels: of the crops, as papers on FER2013 take them


@dataclass(frozen=True)
class Mirrored:
    """Averages over a face and its mirror image, since an expression has no handedness."""

    classifier: Classifier

    @property
    def name(self) -> str:
        """The classifier's name, and that it is mirrored."""
        return f"{nested_name(self.classifier)} mirrored"

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """Classify faces, (N, 48, 48) uint8. Raises DataError for any other array."""
        images = require_faces(images)
        plain = self.classifier(images)
        mirrored = self.classifier(np.ascontiguousarray(images[..., ::-1]))
        return Scores((plain.probs + mirrored.probs) / np.float32(2), plain.class_names)


@dataclass(frozen=True)
class FiveCrop:
    """Averages over a face's four corners and its middle: crops of `side` pixels, enlarged to 48.

    Takes 5 times as long. Raises ModelError where side is not from 24 to 48 pixels.
    """

    classifier: Classifier
    side: int = CROP_SIDE

    def __post_init__(self) -> None:
        if not (isinstance(self.side, (int, np.integer)) and FACE_SIDE // 2 <= self.side <= FACE_SIDE):
            raise ModelError(f"crops must be {FACE_SIDE // 2} to {FACE_SIDE} whole pixels wide, got {self.side}")

    @property
    def name(self) -> str:
        """The classifier's name, and that its faces are cropped."""
        return f"{nested_name(self.classifier)} five-crop"

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """Classify faces, (N, 48, 48) uint8. Raises DataError for any other array."""
        images = require_faces(images)
        last = FACE_SIDE - self.side
        corners = [(0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 2)]
        enlarge = _bilinear(self.side, FACE_SIDE)
        crops = (images[:, top : top + self.side, left : left + self.side] for top, left in corners)
        heard = [
            self.classifier(np.rint(enlarge @ crop.astype(np.float32) @ enlarge.T).astype(np.uint8)) for crop in crops
        ]
        return Scores(np.mean([scores.probs for scores in heard], axis=0, dtype=np.float32), heard[0].class_names)


@dataclass(frozen=True)
class TenCrop:
    """Averages over the five crops of a face and of its mirror image, as papers on FER2013 test.

    Takes 10 times as long. Raises ModelError where side is not from 24 to 48 pixels.
    """

    classifier: Classifier
    side: int = CROP_SIDE

    def __post_init__(self) -> None:
        FiveCrop(self.classifier, self.side)  # which refuses a wrong side

    @property
    def name(self) -> str:
        """The classifier's name, and that its faces are cropped and mirrored."""
        return f"{nested_name(self.classifier)} ten-crop"

    def __call__(self, images: NDArray[np.uint8], /) -> Scores:
        """Classify faces, (N, 48, 48) uint8. Raises DataError for any other array."""
        return Mirrored(FiveCrop(self.classifier, self.side))(images)


def with_tta(classifier: Classifier, tta: Tta) -> Classifier:
    """Wrap a classifier in the test-time augmentation of this name; `none` returns it as it is.

    Raises ModelError where there is no such augmentation.
    """
    match tta:
        case "none":
            return classifier
        case "mirror":
            return Mirrored(classifier)
        case "five-crop":
            return FiveCrop(classifier)
        case "ten-crop":
            return TenCrop(classifier)
    raise ModelError(f"tta must be {', '.join(get_args(Tta))}, got {tta}")


def _bilinear(side: int, wanted: int) -> NDArray[np.float32]:
    """Return the (wanted, side) weights that resample a line of `side` pixels to `wanted`, pixel centres aligned."""
    places = np.clip((np.arange(wanted) + 0.5) * side / wanted - 0.5, 0, side - 1)
    nearness: NDArray[np.float64] = np.maximum(1 - np.abs(places[:, None] - np.arange(side)), 0)
    return nearness.astype(np.float32)
