"""Each quality word is told where it should be, and of a plain face none is."""

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import mien
from mien.detect.align import crop_faces
from mien.detect.quality import quality
from mien.detect.whole_image import doubt_crop, whole_image
from mien.detect.yunet import YuNet
from mien.types import Detections

UPRIGHT = np.array([[20, 30], [60, 30], [40, 50], [25, 70], [55, 70]], np.float32)
ASTRONAUT: NDArray[np.uint8] = skimage.data.astronaut()


def face(*, side: float = 100, sure: float = 0.9, nose: float = 40, degrees: float = 0) -> Detections:
    """One face, leaning so far clockwise, its nose at this x between eyes at 20 and 60."""
    points = UPRIGHT.copy()
    points[2, 0] = nose
    turn = np.radians(degrees)
    points = (points - 50) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + 50
    return Detections(
        np.array([[0, 0, side, 100]], np.float32), np.array([sure], np.float32), points[None].astype(np.float32)
    )


def test_what_makes_a_face_doubtful() -> None:
    assert quality(face()) == ("good",)
    assert quality(face(side=19.9)) == ("small",)
    assert quality(face(side=20)) == ("good",)
    assert quality(face(sure=0.7)) == ("unsure",)
    assert quality(face(nose=53)) == quality(face(nose=27)) == ("turned",)
    assert quality(face(nose=51)) == quality(face(nose=29)) == ("good",)
    assert quality(face(side=10, sure=0.5, nose=70)) == ("small+turned+unsure",)


def test_a_leaning_head_is_not_turned() -> None:
    for degrees in range(-40, 50, 10):
        assert quality(face(degrees=degrees)) == ("good",)
        assert quality(face(degrees=degrees, nose=62)) == ("turned",)


@pytest.mark.parametrize("degrees", [-170, -90, -50, 50, 90, 135, 180])
def test_a_face_that_lies_says_by_how_much(degrees: float) -> None:
    assert quality(face(degrees=degrees)) in {(f"sideways:{degrees}",), (f"sideways:{-degrees}",)}
    assert quality(face(degrees=degrees, nose=62))[0].endswith("+turned")


def test_without_landmarks_neither_turned_nor_sideways_is_told() -> None:
    faces = Detections(np.array([[0, 0, 10, 10], [0, 0, 50, 50]], np.float32), np.array([0.9, 0.9], np.float32))
    assert quality(faces) == ("good", "small")
    assert quality(faces[:0]) == ()


def told(picture: NDArray[np.uint8]) -> list[str]:
    faces = YuNet()(picture)
    return list(quality(faces, crop_faces(picture, faces)))


@pytest.mark.parametrize("side", [256, 512, 1024])
def test_a_real_face_from_the_front_is_good(side: int) -> None:
    assert told(np.asarray(Image.fromarray(ASTRONAUT).resize((side, side)))) == ["good"]
    grey = Image.fromarray(ASTRONAUT).convert("L").convert("RGB")
    assert told(np.asarray(grey.resize((side, side)))) == ["good"]


def with_mask(colour: tuple[int, int, int], *, pleats: bool = False) -> NDArray[np.uint8]:
    """The astronaut with a mask over nose tip, mouth and chin."""
    image = Image.fromarray(ASTRONAUT)
    pen = ImageDraw.Draw(image)
    outline = [(183, 118), (205, 116), (225, 112), (247, 116), (268, 112), (266, 150), (248, 172), (228, 180)]
    pen.polygon([*outline, (208, 174), (190, 155)], fill=colour)
    for y in (130, 142, 154) if pleats else ():
        pen.line([(188, y), (226, y - 4), (264, y)], fill=tuple(value * 3 // 4 for value in colour), width=2)
    return np.asarray(image)


@pytest.mark.parametrize("pleats", [False, True])
@pytest.mark.parametrize("colour", [(235, 235, 235), (150, 190, 220), (20, 20, 20), (200, 160, 140), (40, 90, 60)])
def test_a_mask_covers_the_mouth(colour: tuple[int, int, int], pleats: bool) -> None:
    masked = with_mask(colour, pleats=pleats)
    assert [word for word in told(masked) if "covered" in word]
    assert [word for word in told(masked[:, ::-1]) if "covered" in word]
    assert [word for word in told(np.rot90(masked)) if word.startswith("sideways:") and "covered" in word]


def test_glasses_and_a_cap_cover_no_mouth() -> None:
    image = Image.fromarray(ASTRONAUT)
    pen = ImageDraw.Draw(image)
    pen.rectangle((176, 50, 270, 84), fill=(20, 20, 90))
    for x in (203, 245):
        pen.ellipse((x - 17, 93, x + 17, 118), outline=(10, 10, 10), width=4)
    assert told(np.asarray(image)) == ["good"]


def test_a_picture_of_one_tone_is_not_called_covered() -> None:
    crops = np.full((1, 48, 48), 90, np.uint8)
    assert quality(face(), crops) == ("good",)


# Face crops


def test_a_photo_given_as_a_face_crop_is_uncropped() -> None:
    predictor = mien.Predictor("swift-nano", detector=whole_image)
    assert predictor(ASTRONAUT).quality == ("uncropped",)
    assert predictor(ASTRONAUT[58:180, 162:284]).quality == ("good",)


@pytest.mark.parametrize("side", [128, 224, 480, 1000])
def test_a_face_crop_of_any_size_is_not_doubted(side: int) -> None:
    crop = Image.fromarray(ASTRONAUT[58:180, 162:284])
    assert doubt_crop(np.asarray(crop.resize((side, side)))) == ""


def test_a_large_picture_without_a_face_is_unsure() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    assert doubt_crop(noise) == "unsure"
    assert doubt_crop(noise[:100, :100]) == ""  # too small to look at
