"""Where shots begin: photos that scikit-image ships, moved, lit, faded and cut."""

import itertools
from importlib.resources import files

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clips import Actor, along, at, scene
from mien.track.cuts import CutDetector

Picture = NDArray[np.uint8]
NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "camera.png")


def photo(name: str) -> Picture:
    with Image.open(str(files("skimage.data") / name)) as image:
        return np.asarray(image.convert("RGB").resize((640, 480)))


PHOTOS = {name: photo(name) for name in NAMES}


def cuts(frames: list[Picture]) -> list[int]:
    shots = CutDetector()
    return [number for number, frame in enumerate(frames) if shots(frame)]


def lit(picture: Picture, gain: float, lift: float | NDArray[np.float64] = 0) -> Picture:
    return (picture * float(gain) + lift).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(NAMES, 2)))
def test_a_cut_from_one_photo_to_another_is_seen_at_its_frame(one: str, other: str) -> None:
    assert cuts([PHOTOS[one]] * 3 + [PHOTOS[other]] * 3) == [3]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", [4, 16, 48])
def test_a_pan_is_no_cut(name: str, step: int) -> None:
    assert cuts([PHOTOS[name][60:300, left : left + 320] for left in range(0, 320, step)]) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_zoom_is_no_cut(name: str) -> None:
    image = Image.fromarray(PHOTOS[name])
    edges = [(5 * frame, 4 * frame, 640 - 5 * frame, 480 - 4 * frame) for frame in range(40)]
    assert cuts([np.asarray(image.crop(edge).resize((320, 240))) for edge in edges]) == []


@pytest.mark.parametrize("name", NAMES)
def test_light_that_changes_is_no_cut(name: str) -> None:
    frames = [lit(PHOTOS[name], gain, lift) for gain, lift in ((1, 0), (0.5, 0), (1, 0), (1, 60), (1.3, 0), (0.6, 40))]
    assert cuts(frames) == []


@pytest.mark.parametrize("flash", [lit(PHOTOS["coffee.png"], 0, 255), lit(PHOTOS["coffee.png"], 0.1, 230)])
def test_a_flash_is_no_cut_and_hides_none(flash: Picture) -> None:
    before, after = PHOTOS["coffee.png"], PHOTOS["chelsea.png"]
    assert cuts([before, before, flash, flash, before]) == []
    assert cuts([before, before, flash, after, after]) == [3]


def test_only_a_fade_to_another_scene_is_a_cut() -> None:
    down = [lit(PHOTOS["astronaut.png"], gain) for gain in np.linspace(1, 0, 20)]
    assert cuts(down + down[::-1]) == []
    (seen,) = cuts(down + [lit(PHOTOS["coffee.png"], gain) for gain in np.linspace(0, 1, 20)])
    assert 20 < seen < 28


def test_black_frames_before_the_first_scene_are_no_cut() -> None:
    black = np.zeros((480, 640, 3), np.uint8)
    assert cuts([black, black, PHOTOS["coffee.png"], PHOTOS["coffee.png"], black, black]) == []


def test_a_pale_scene_is_seen_after_a_bright_one() -> None:
    pale = lit(PHOTOS["coffee.png"], 0.2, 100)
    (seen,) = cuts([PHOTOS["astronaut.png"]] * 5 + [pale] * 20)
    assert 5 <= seen < 14


def test_faces_that_move_before_a_still_background_are_no_cut() -> None:
    actors = [
        Actor(along((0, 40, 120), (1, 280, 120)), side=110),
        Actor(at(60, 60)),
        Actor(along((0.5, 200, 90), (2, 200, 90))),
    ]
    assert cuts([scene(actors, frame / 25) for frame in range(50)]) == []


def test_noise_is_no_cut() -> None:
    rng = np.random.default_rng(0)
    frames = [lit(PHOTOS["rocket.jpg"], 1, rng.normal(0, 25, (480, 640, 3))) for _ in range(8)]
    assert cuts(frames) == []


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 500), (3000, 2), (2160, 3840)])
def test_pictures_of_any_shape_are_taken(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    shots = CutDetector()
    for _ in range(3):
        tiles = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        assert shots(np.asarray(Image.fromarray(tiles).resize(shape[::-1], Image.Resampling.NEAREST))) in (True, False)


def test_a_picture_is_only_looked_at() -> None:
    picture = PHOTOS["coffee.png"].copy()
    picture.flags.writeable = False  # so that a change is an error
    assert not CutDetector()(picture)
