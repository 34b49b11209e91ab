import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data.decode import encode_png
from mien.data.formats.image_folder import read_flat, read_folder
from mien.data.formats.paths import parse_split
from mien.errors import DataError
from mien.labels import EXPRESSIONS
from mien.types import FaceSet
from support import lock_folder, random_faces

FACES = random_faces(40, seed=2)


def tree(root: Path, *files: str) -> Path:
    """A picture in each of these files: the first is the first of FACES, and so on."""
    for number, file in enumerate(files):
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(FACES.images[number]))
    return root


def read_as(root: Path) -> dict[str, tuple[str, int]]:
    faces = read_folder(root)
    return dict(zip(faces.ids.tolist(), zip(faces.splits.tolist(), faces.labels.tolist(), strict=True), strict=True))


def test_splits_of_classes(tmp_path: Path) -> None:
    tree(tmp_path, "train/happy/1.png", "train/sad/1.png", "valid/angry/a.png", "test/neutral/x.png")
    assert read_as(tmp_path) == {
        "test/neutral/x.png": ("test", 6),
        "train/happy/1.png": ("train", 3),
        "train/sad/1.png": ("train", 4),
        "valid/angry/a.png": ("valid", 0),
    }
    assert np.array_equal(read_folder(tmp_path).images, FACES.images[[3, 0, 1, 2]])


def test_classes_alone_are_for_training(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{name}/1.png" for name in EXPRESSIONS))
    faces = read_folder(tmp_path)
    assert set(faces.splits) == {"train"}
    assert np.array_equal(faces.images[np.argsort(faces.labels)], FACES.images[:7])


def test_the_reports_mixture(tmp_path: Path) -> None:
    tree(
        tmp_path,
        "train/happy/Training_1.png",
        "train/fear/Training_2.png",
        "test/PublicTest_1.png",
        "test/PrivateTest_1.png",
    )
    assert read_as(tmp_path) == {
        "test/PrivateTest_1.png": ("test", -1),
        "test/PublicTest_1.png": ("test", -1),
        "train/fear/Training_2.png": ("train", 2),
        "train/happy/Training_1.png": ("train", 3),
    }


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Anger", 0),
        ("DISGUSTED", 1),
        ("fearful", 2),
        ("happiness", 3),
        ("Sadness", 4),
        ("surprised", 5),
        ("Neutral", 6),
        ("su", 5),
    ],
)
def test_classes_go_by_name(tmp_path: Path, name: str, label: int) -> None:
    tree(tmp_path, f"{name}/1.png", f"test/{name}/1.png")
    assert set(read_as(tmp_path).values()) == {("train", label), ("test", label)}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[(name, "train") for name in ("train", "Training", "TRAIN")],
        *[(name, "valid") for name in ("valid", "validation", "val", "PublicTest", "Public_Test")],
        *[(name, "test") for name in ("test", "Testing", "PrivateTest", "private-test")],
        *[(name, None) for name in ("happy", "", "data", "trains")],
    ],
)
def test_splits_go_by_name(name: str, split: str | None) -> None:
    assert parse_split(name) == split


def test_pictures_at_any_depth_have_the_class_above_them(tmp_path: Path) -> None:
    tree(tmp_path, "train/happy/women/a/1.png", "sad/2/3.png")
    assert read_as(tmp_path) == {"train/happy/women/a/1.png": ("train", 3), "sad/2/3.png": ("train", 4)}


def test_files_that_are_no_pictures_are_passed_over(tmp_path: Path) -> None:
    tree(
        tmp_path, "train/happy/1.png", "train/happy/._1.png", "train/happy/.cache/1.png", "__MACOSX/train/happy/._1.png"
    )
    for name in ("README.txt", ".DS_Store", "train/Thumbs.db", "train/happy/labels.csv", "train/happy/noext"):
        (tmp_path / name).write_text("no picture")
    assert list(read_as(tmp_path)) == ["train/happy/1.png"]


def test_any_format_size_and_colour(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    smooth = np.add.outer(np.arange(96), np.arange(96)).astype(np.uint8)
    colour = Image.fromarray(np.stack([smooth] * 3, axis=2))
    for name, mode in (
        ("a.jpg", "RGB"),
        ("b.JPEG", "CMYK"),
        ("c.webp", "RGBA"),
        ("d.gif", "P"),
        ("e.tif", "L"),
        ("f.BMP", "RGB"),
    ):
        colour.convert(mode).save(tmp_path / "happy" / name)
    faces = read_folder(tmp_path)
    assert len(faces) == 6
    half = np.asarray(Image.fromarray(smooth).reduce(2)).astype(int)
    assert np.abs(faces.images[:, 2:-2, 2:-2] - half[2:-2, 2:-2]).mean(axis=(1, 2)).max() < 4


def test_the_order_is_that_of_the_ids_as_text(tmp_path: Path) -> None:
    names = ["happy/10.png", "happy/2.png", "happy/B.png", "happy/a.png", "happy/a/1.png", "happy/é.png", "Happy/1.png"]
    tree(tmp_path, *names)
    ids = read_folder(tmp_path).ids.tolist()
    assert ids == sorted(names)
    assert np.array_equal(read_folder(tmp_path).images[0], FACES.images[6])


def test_names_that_are_no_text_are_spelled_out(tmp_path: Path) -> None:
    tree(tmp_path, "happy/1.png")
    (tmp_path / "happy/1.png").rename(tmp_path / "happy" / b"caf\xe9.png".decode("utf-8", "surrogateescape"))
    faces = read_folder(tmp_path)
    assert faces.ids.tolist() == [r"happy/caf\udce9.png"]
    assert len(faces.hash) == 64


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("suprised/1.png", "sad/1.png"), "suprised must be named after a class (angry, disgust, fear"),
        (("suprised/1.png", "sad/1.png"), "; did you mean surprise?"),
        (("trian/happy/1.png",), "; did you mean train?"),
        (("train/contempt/1.png",), "contempt must be named after a class"),
        (("fer2013/train/happy/1.png",), "; to read what is in it, import "),
        (("0/1.png", "1/1.png"), "class folders with numbers, 0 to 1"),
        (("1.png", "sad/1.png"), "1.png must lie in the folder of a class or of a split"),
        (("train/train/happy/1.png",), "train/train must be named after a class"),
    ],
)
def test_what_has_no_place_is_refused(tmp_path: Path, files: tuple[str, ...], said: str) -> None:
    with pytest.raises(DataError) as raised:
        read_folder(tree(tmp_path, *files))
    assert said in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_what_has_no_place_can_be_left_out(tmp_path: Path) -> None:
    tree(tmp_path, "contempt/1.png", "contempt/2.png", "sad/1.png", "sad/2.png", "loose.png")
    (tmp_path / "sad/2.png").write_bytes(b"\x89PNG broken")
    (tmp_path / "sad/3.heic").write_bytes(b"a format that is not read")
    bad: list[DataError] = []
    assert read_folder(tmp_path, on_bad=bad.append).ids.tolist() == ["sad/1.png"]
    assert [next(name for name in ("contempt", "loose", "2.png", "3.heic") if name in str(error)) for error in bad] == [
        "contempt",
        "loose",
        "2.png",
        "3.heic",
    ]


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    tree(tmp_path, *(f"sad/{number}.png" for number in range(20)))
    (tmp_path / "sad/7.png").write_bytes(encode_png(FACES.images[0])[:200])
    with pytest.raises(DataError, match=r"sad/7\.png"):
        read_folder(tmp_path)


def test_links_are_followed_but_never_in_circles(tmp_path: Path) -> None:
    tree(tmp_path / "elsewhere", "1.png", "deep/2.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "happy").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere/deep/circle").symlink_to(root, target_is_directory=True)
    assert sorted(read_as(root)) == ["happy/1.png", "happy/deep/2.png"]


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "train" / "happy").mkdir(parents=True)
    for read in (read_folder, read_flat):
        with pytest.raises(DataError, match="holds no pictures"):
            read(tmp_path)
        with pytest.raises(DataError, match="cannot read the folder"):
            read(tmp_path / "none")


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    tree(tmp_path, "b.png", "a.png", "c/1.png")
    faces = read_flat(tmp_path)
    assert faces.ids.tolist() == ["a.png", "b.png", "c/1.png"]
    assert (faces.labels.tolist(), faces.splits.tolist()) == ([-1] * 3, ["test"] * 3)
    assert np.array_equal(faces.images, FACES.images[[1, 0, 2]])


def test_one_class_is_a_selection(tmp_path: Path) -> None:
    tree(tmp_path, "train/happy/1.png", "train/sad/1.png", "train/sad/2.png")
    faces = read_folder(tmp_path)
    assert faces[faces.labels == EXPRESSIONS.index("sad")].ids.tolist() == ["train/sad/1.png", "train/sad/2.png"]


@pytest.mark.parametrize("read", [read_folder, read_flat])
def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[..., FaceSet]
) -> None:
    tree(tmp_path, "happy/1.png", "sad/deep/1.png")
    lock_folder(monkeypatch, "deep")
    with pytest.raises(DataError, match=r"cannot read the folder .*deep: Permission denied"):
        read(tmp_path)
    bad: list[DataError] = []
    assert read(tmp_path, on_bad=bad.append).ids.tolist() == ["happy/1.png"]
    assert len(bad) == 1


def test_a_folder_of_the_opposite_is_no_slip_of_the_pen(tmp_path: Path) -> None:
    (tmp_path / "unhappy").mkdir()
    Image.new("L", (48, 48)).save(tmp_path / "unhappy" / "a.png")
    with pytest.raises(DataError, match="unhappy must be named after a class") as raised:
        read_folder(tmp_path)
    assert "did you mean" not in str(raised.value)


RAF_DB = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")


def test_numbered_folders_get_their_names(tmp_path: Path) -> None:
    tree(tmp_path, *(f"train/{number}/a.png" for number in range(1, 8)), "test/4/b.png")
    faces = read_folder(tmp_path, names=RAF_DB)
    labels = dict(zip(faces.ids.tolist(), faces.labels.tolist(), strict=True))
    assert [EXPRESSIONS[labels[f"train/{number}/a.png"]] for number in range(1, 8)] == list(RAF_DB)
    assert EXPRESSIONS[labels["test/4/b.png"]] == "happy"


def test_numbers_that_begin_with_0_are_counted_from_0(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{number}/a.png" for number in (0, 2, 10)))
    names = ["sad", "angry", "Happiness", *["fear"] * 7, "neutral"]
    assert [EXPRESSIONS[label] for label in read_folder(tmp_path, names=names).labels] == ["sad", "neutral", "happy"]


@pytest.mark.parametrize(
    ("numbers", "hints"),
    [
        (range(1, 8), ["1 to 7", "--names surprise,fear,disgust,happy,sad,angry,neutral (RAF-DB)"]),
        (range(7), ["0 to 6", "--names angry,disgust,fear,happy,sad,surprise,neutral (FER2013)", "by the alphabet"]),
        (range(8), ["0 to 7", "angry,contempt (AffectNet)"]),
        (range(3, 5), ["3 to 4", "angry,disgust,... (4 names)"]),
    ],
)
def test_numbers_without_names_are_refused(tmp_path: Path, numbers: range, hints: list[str]) -> None:
    tree(tmp_path, *(f"{number}/a.png" for number in numbers), "happy/b.png")
    with pytest.raises(DataError) as raised:
        read_folder(tmp_path)
    assert all(hint in str(raised.value) for hint in hints)
    bad: list[DataError] = []
    assert read_folder(tmp_path, on_bad=bad.append).ids.tolist() == ["happy/b.png"]
    assert [str(error) for error in bad] == [str(raised.value)]


def test_a_number_whose_name_is_no_class_is_named(tmp_path: Path) -> None:
    tree(tmp_path, "1/a.png", "2/a.png", "3/a.png")
    bad: list[DataError] = []
    assert read_folder(tmp_path, names=["sad", "contempt"], on_bad=bad.append).ids.tolist() == ["1/a.png"]
    assert "2, which means 'contempt', must be named after a class" in str(bad[0])
    assert "3 must be named after a class" in str(bad[1])
    with pytest.raises(DataError, match="has no folder whose name is a number"):
        read_folder(tree(tmp_path / "other", "sad/a.png"), names=["sad"])


def test_files_that_are_passed_over_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tree(tmp_path, "train/happy/1.png", "train/happy/picture")
    for name in ("a.pdf", "train/b.mp4", "train/happy/noext", "train/happy/c.txt", "train/happy/d.txt", "e.csv"):
        (tmp_path / name).write_text("no picture")
    assert list(read_as(tmp_path)) == ["train/happy/1.png", "train/happy/picture"]
    (told,) = caplog.messages
    assert "no pictures, which were passed over: a.pdf, e.csv, train/b.mp4, train/happy/c.txt, train/happy/d.t" in told
    assert told.endswith(" and 1 more")
    caplog.clear()
    (tmp_path / "flat").mkdir()
    tree(tmp_path / "flat", "1.png")
    (tmp_path / "flat/2.pdf").write_text("no picture")
    assert len(read_flat(tmp_path / "flat")) == 1
    assert "passed over: 2.pdf" in caplog.text


@pytest.mark.linux
def test_pipes_in_folders_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tree(tmp_path, "train/happy/1.png", "test/2.png")
    for name in ("3.png", "4", "train/5.png", "train/happy/6.png", "test/7.jpg"):
        os.mkfifo(tmp_path / name)
    assert sorted(read_as(tmp_path)) == ["test/2.png", "train/happy/1.png"]
    assert "3.png, 4, test/7.jpg, train/5.png" in caplog.text
    assert read_flat(tmp_path).ids.tolist() == ["test/2.png", "train/happy/1.png"]


def test_a_link_to_the_folder_above_mixes_no_classes(tmp_path: Path) -> None:
    tree(tmp_path, "train/happy/1.png", "train/sad/2.png")
    (tmp_path / "train/happy/all").symlink_to(tmp_path / "train", target_is_directory=True)
    assert read_as(tmp_path) == {"train/happy/1.png": ("train", 3), "train/sad/2.png": ("train", 4)}


@pytest.mark.parametrize(("size", "told"), [((48, 48), 0), ((224, 224), 0), ((640, 480), 3), ((900, 900), 3)])
def test_whole_photos_are_told(
    tmp_path: Path, size: tuple[int, int], told: int, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "happy").mkdir()
    for number in range(3):
        Image.new("RGB", size, (200, 100, number)).save(tmp_path / f"happy/{number}.png")
    assert len(read_folder(tmp_path)) == 3
    expected = f"{told} of 3 pictures are no crops of faces by their sizes, such as happy/0.png ({size[0]}x{size[1]})"
    assert (expected in caplog.text) == bool(told)


def test_pictures_that_are_all_but_black_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tree(tmp_path, "happy/light.png")
    for number in range(7):
        (tmp_path / f"happy/{number}.png").write_bytes(encode_png(np.full((48, 48), number, np.uint8)))
    assert len(read_folder(tmp_path)) == 8
    (told,) = caplog.messages
    assert "7 of 8 pictures are all but black: happy/0.png, happy/1.png, happy/2.png, happy/3.png, happy/4.png" in told
    assert "and 2 more" in told
