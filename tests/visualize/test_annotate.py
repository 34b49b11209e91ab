from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from mien.errors import OutputError
from mien.labels import COLOURS, EXPRESSIONS
from mien.types import Detections, Prediction, Scores
from mien.visualize.annotate import draw, save_picture


def seen(*boxes: tuple[float, float, float, float], expression: str = "happy", sure: float = 0.94) -> Prediction:
    probs = np.full((len(boxes), 7), (1 - sure) / 6, np.float32)
    probs[:, EXPRESSIONS.index(expression)] = sure
    faces = Detections(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), np.float32))
    return Prediction("a.png", 0.0, faces, Scores(probs))


def coloured(picture: NDArray[np.uint8], expression: str) -> NDArray[np.bool_]:
    return np.asarray((picture == COLOURS[expression]).all(axis=2))


@pytest.mark.parametrize("ground", [0, 255])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_box_is_in_the_colour_of_the_expression(ground: int, expression: str) -> None:
    picture = np.full((600, 800, 3), ground, np.uint8)
    drawn = draw(picture, seen((200, 150, 320, 310), expression=expression))
    assert drawn.shape == picture.shape
    found = coloured(drawn, expression)
    for row, column in ((150, 260), (310, 260), (230, 200), (230, 320)):
        assert found[row - 3 : row + 4, column - 3 : column + 4].any()
    assert (drawn[160:300, 210:310] == ground).all()  # the face itself stays visible


def test_what_was_given_stays_as_it_was() -> None:
    picture = skimage.data.astronaut()
    before = picture.copy()
    drawn = draw(picture, seen((180, 65, 270, 173)))
    assert (picture == before).all()
    assert (drawn != picture).any()


def test_any_form_of_a_picture_is_drawn_on(tmp_path: Path) -> None:
    picture = skimage.data.astronaut()
    faces = seen((180, 65, 270, 173))
    grey = picture[..., 0]
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert (draw(grey, faces) == draw(np.dstack([grey] * 3), faces)).all()
    assert (draw(picture[..., ::-1], faces, bgr=True) == draw(picture, faces)).all()
    assert (draw(tmp_path / "a.png", faces) == draw(picture, faces)).all()


def test_nothing_seen_is_nothing_drawn() -> None:
    picture = skimage.data.astronaut()
    assert (draw(picture, seen()) == picture).all()


def test_a_large_face_has_bars_as_long_as_its_probabilities() -> None:
    picture = np.full((600, 800, 3), 255, np.uint8)
    probs = np.array([[0.5, 0, 0, 0.25, 0.25, 0, 0]], np.float32)
    box = np.array([[100, 100, 300, 400]], np.float32)
    drawn = draw(picture, Prediction("a.png", 0.0, Detections(box, np.ones(1, np.float32)), Scores(probs)))
    lengths = {name: coloured(drawn[:, 310:], name).sum(axis=1).max() for name in ("angry", "happy", "sad", "fear")}
    assert lengths["happy"] == pytest.approx(lengths["angry"] / 2, abs=2)
    assert lengths["sad"] == lengths["happy"]
    assert 1 <= lengths["fear"] <= 2


def test_small_faces_and_crowded_ones_have_no_bars() -> None:
    picture = np.full((600, 800, 3), 255, np.uint8)
    small = draw(picture, seen((200, 200, 240, 250)))
    assert (small[:, 330:] == 255).all()
    crowd = [(20.0, 100.0, 250.0, 400.0), (270.0, 100.0, 520.0, 400.0), (540.0, 100.0, 790.0, 400.0)]
    drawn = draw(picture, seen(*crowd))
    assert (drawn[110:390, 30:240] == 255).all()
    assert (drawn[110:390, 280:510] == 255).all()


@pytest.mark.parametrize(
    "box", [(-50, -80, 90, 70), (700, 500, 900, 800), (0, 0, 800, 600), (-10, 590, 30, 640), (900, 700, 990, 800)]
)
def test_boxes_may_reach_beyond_the_picture(box: tuple[float, float, float, float]) -> None:
    assert draw(np.zeros((600, 800, 3), np.uint8), seen(box)).shape == (600, 800, 3)


def test_a_crop_is_enlarged_so_that_words_can_be_read() -> None:
    drawn = draw(np.zeros((48, 48, 3), np.uint8), seen((0, 0, 48, 48)))
    assert drawn.shape == (336, 336, 3)
    assert coloured(drawn, "happy")[:30].sum() > 1000  # the tag
    assert draw(np.zeros((1, 1, 3), np.uint8), seen((0, 0, 1, 1))).shape == (320, 320, 3)
    assert draw(np.zeros((1, 5000, 3), np.uint8), seen((0, 0, 1, 1))).shape == (1, 5000, 3)


def test_other_classes_are_drawn_too() -> None:
    faces = Detections(np.array([[200, 150, 400, 400]], np.float32), np.ones(1, np.float32))
    scores = Scores(np.array([[0.2, 0.8]], np.float32), ("asleep", "a name that is long"))
    assert draw(np.zeros((600, 800, 3), np.uint8), Prediction("a", 0.0, faces, scores)).any()


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.jpeg", "JPEG"), ("a", "PNG")])
def test_pictures_are_saved_by_their_suffix(tmp_path: Path, name: str, kind: str) -> None:
    picture = skimage.data.astronaut()
    save_picture(picture, tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.format == kind
        difference = np.abs(np.asarray(image).astype(int) - picture).mean()
    assert difference == 0 if kind == "PNG" else difference < 4
    assert len(list(tmp_path.iterdir())) == 1


def test_a_picture_that_cannot_be_saved_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a picture's name must end in \.jpg or \.jpeg or \.png, got .*a\.gif"):
        save_picture(np.zeros((4, 4, 3), np.uint8), tmp_path / "a.gif")
    with pytest.raises(OutputError, match="none"):
        save_picture(np.zeros((4, 4, 3), np.uint8), tmp_path / "none" / "a.png")


def test_bars_of_one_face_cover_no_bars_of_another() -> None:
    picture = np.full((720, 1280, 3), 255, np.uint8)
    boxes = [(400, 200, 560, 400), (900, 250, 1050, 440)]  # the room between them holds the bars of one
    both = draw(picture, seen(*boxes))[:, 565:895]
    alone = [draw(picture, seen(box))[:, 565:895] for box in boxes]
    panels = [(each != 255).any(axis=2).sum() for each in alone]
    assert (both != 255).any(axis=2).sum() <= max(panels)


def test_a_face_of_a_video_is_tagged_with_its_track() -> None:
    picture = np.full((600, 800, 3), 255, np.uint8)
    plain = seen((300, 150, 420, 310))
    one, other = (replace(plain, tracks=np.array([track])) for track in (1, 88))
    tags = [draw(picture, each)[100:148, 296:560] for each in (plain, one, other)]
    widths = [coloured(tag, "happy").any(axis=0).sum() for tag in tags]
    assert widths[0] < widths[1] < widths[2]


def group(columns: int, rows: int, *, side: float, gap: float, size: tuple[int, int]) -> Prediction:
    """Faces in rows, each of another expression than its neighbours."""
    places = [(x, y) for y in range(rows) for x in range(columns)]
    boxes = [(20 + x * (side + gap), 40 + y * (side * 1.3 + gap)) for x, y in places]
    faces = Detections(np.array([(x, y, x + side, y + side * 1.3) for x, y in boxes]), np.ones(len(boxes), np.float32))
    assert faces.boxes.max(axis=0)[2:].tolist() < list(size)
    top = [(x + 2 * y) % 7 for x, y in places]
    return Prediction("a.png", 0.0, faces, Scores(np.eye(7, dtype=np.float32)[top] * 0.93 + 0.01))


@pytest.mark.parametrize(("side", "gap"), [(28, 6), (40, 3), (40, 30), (90, 2), (120, 40), (24, 2)])
@pytest.mark.parametrize("tracked", [False, True])
def test_in_a_group_no_plate_covers_a_neighbour(side: float, gap: float, tracked: bool) -> None:
    picture = np.full((720, 1280, 3), 255, np.uint8)
    seen_all = group(7, 3, side=side, gap=gap, size=(1280, 720))
    if tracked:
        seen_all = replace(seen_all, tracks=np.arange(1, 22) * 5)
    drawn = draw(picture, seen_all)
    line = 4
    for box, top in zip(seen_all.faces.boxes.round().astype(int), seen_all.scores.top, strict=True):
        left, upper, right, lower = box + [line, line, -line, -line]
        inside = drawn[upper:lower, left:right]
        for name in EXPRESSIONS:
            assert name == EXPRESSIONS[top] or not coloured(inside, name).any()


def test_in_a_group_each_face_has_its_plate() -> None:
    picture = np.full((720, 1280, 3), 255, np.uint8)
    drawn = draw(picture, group(7, 1, side=60, gap=4, size=(1280, 720)))
    bare = 2 * (60 + 78) * 3  # pixels of a box's line, at the most
    assert all(coloured(drawn, name).sum() > bare for name in EXPRESSIONS)
