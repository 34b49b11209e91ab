"""Each format gives back what was written to it, and a writer leaves nothing half done."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from PIL import Image

from mien.data.formats import LOST, READERS, WRITERS
from mien.data.formats.fer2013_csv import read_fer2013, write_fer2013
from mien.data.formats.image_folder import read_flat, read_folder, write_flat, write_folder
from mien.errors import OutputError
from mien.labels import EXPRESSIONS
from mien.types import FaceSet
from strategies import face_sets
from support import random_faces

NOISE = random_faces(300, seed=6, votes=True)
FACES = FaceSet(
    images=NOISE.images,
    labels=np.where(np.arange(300) % 10 == 0, -1, NOISE.labels),
    splits=np.array(["train", "valid", "test"])[np.arange(300) % 3],
    ids=np.array([f"fer{row:07d}" for row in range(300)]),
    votes=NOISE.votes,
)


def test_kaggles_file_comes_back(tmp_path: Path) -> None:
    write_fer2013(FACES, tmp_path / "a.csv")
    assert read_fer2013(tmp_path / "a.csv").hash == replace(FACES, votes=None).hash


def test_pandas_reads_kaggles_file(tmp_path: Path) -> None:
    write_fer2013(FACES, tmp_path / "a.csv")
    table = pd.read_csv(tmp_path / "a.csv")
    assert table.columns.tolist() == ["emotion", "pixels", "Usage"]
    assert np.array_equal([np.array(text.split(), int) for text in table["pixels"]], FACES.images.reshape(300, -1))
    assert table["emotion"].fillna(-1).tolist() == FACES.labels.tolist()
    assert table["Usage"][:3].tolist() == ["Training", "PublicTest", "PrivateTest"]


def test_folders_come_back(tmp_path: Path) -> None:
    write_folder(FACES, tmp_path / "out")
    loaded = read_folder(tmp_path / "out")
    where = [
        f"{split}/{EXPRESSIONS[label]}/{name}.png" if label >= 0 else f"{split}/{name}.png"
        for split, label, name in zip(FACES.splits, FACES.labels, FACES.ids, strict=True)
    ]
    order = np.argsort(where)
    assert loaded.ids.tolist() == sorted(where)
    assert np.array_equal(loaded.images, FACES.images[order])
    assert np.array_equal(loaded.labels, FACES.labels[order])
    assert np.array_equal(loaded.splits, FACES.splits[order])
    write_folder(loaded, tmp_path / "again")
    assert read_folder(tmp_path / "again").hash == loaded.hash


def test_a_flat_folder_comes_back(tmp_path: Path) -> None:
    write_flat(FACES, tmp_path / "out")
    loaded = read_flat(tmp_path / "out")
    assert np.array_equal(loaded.images, FACES.images)
    assert loaded.ids.tolist() == [f"{name}.png" for name in FACES.ids]
    assert not any(entry.is_dir() for entry in (tmp_path / "out").iterdir())


def test_names_never_leave_the_folder_nor_meet(tmp_path: Path) -> None:
    ids = [
        "../../x",
        "/etc/passwd",
        "..",
        "a/x",
        "b/X",
        "c/x.jpg",
        "x-3",
        "fer2013:12",
        "",
        "é" * 300,
        "con\x00trol",
        "a\\b",
    ]
    faces = replace(NOISE[: len(ids)], ids=np.array(ids))
    (tmp_path / "deep").mkdir()
    write_flat(faces, tmp_path / "deep/out")
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert len({file.casefold() for file in files}) == len(ids)
    assert all(file.startswith("deep/out/") and file.count("/") == 2 for file in files)
    assert "deep/out/passwd.png" in files
    assert "deep/out/fer2013_12.png" in files


@pytest.mark.parametrize("write", [write_folder, write_flat])
def test_a_folder_that_holds_something_is_refused(tmp_path: Path, write: Callable[..., None]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="out must be a new or an empty folder"):
        write(FACES, tmp_path / "out")
    with pytest.raises(OutputError, match=r"mine\.txt must be a new or an empty folder"):
        write(FACES, tmp_path / "out/mine.txt")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_flat(FACES[:3], tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_failure_leaves_nothing(tmp_path: Path, name: str) -> None:
    def stop(done: int, _: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        WRITERS[name](FACES, tmp_path / "out", progress=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_place_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        WRITERS[name](FACES, tmp_path / "none" / "out")


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_form_keeps_all_that_it_does_not_say_it_loses(tmp_path: Path, name: str) -> None:
    calls: list[tuple[int, int]] = []
    path = tmp_path / ("out.parquet" if name == "parquet" else "out")
    WRITERS[name](FACES, path, progress=lambda *call: calls.append(call))
    assert calls[-1] == (300, 300)
    loaded = READERS[name](path)
    back = np.argsort([image.tobytes() for image in loaded.images])
    there = np.argsort([image.tobytes() for image in FACES.images])
    for field in ("images", "labels", "splits"):
        if field not in LOST[name]:
            assert np.array_equal(getattr(loaded, field)[back], getattr(FACES, field)[there])
    assert (loaded.votes is None) == ("votes" in LOST[name])


def test_pictures_are_png_files(tmp_path: Path) -> None:
    write_flat(FACES[:1], tmp_path / "out")
    with Image.open(tmp_path / "out/fer0000000.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (48, 48))


def test_an_empty_folder_that_cannot_be_replaced_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one into which another disk is put."""

    def busy(_: Path) -> None:
        raise OSError(16, "Device or resource busy")

    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    write_flat(FACES[:3], tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(list((tmp_path / "out").iterdir())) == 3
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(Path, "rmdir", busy)
    write_folder(FACES[:3], tmp_path / "disk")
    monkeypatch.undo()
    assert len(read_folder(tmp_path / "disk")) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link", "out"]


def test_names_fit_by_their_bytes(tmp_path: Path) -> None:
    write_flat(replace(FACES[:2], ids=np.array(["顔" * 90, "顔" * 91])), tmp_path / "out")
    assert all(len(path.name.encode()) < 130 for path in (tmp_path / "out").iterdir())
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_dot_in_a_name_is_no_suffix(tmp_path: Path) -> None:
    write_flat(replace(FACES[:3], ids=np.array(["my.data:5", "my.data:9", "a/b.PNG"])), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.png", "my_data_5.png", "my_data_9.png"]


def _there_and_back(faces: FaceSet, form: str) -> FaceSet:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out")
        WRITERS[form](faces, path)
        return READERS[form](path)


def _sorted_pixels(faces: FaceSet) -> list[tuple[int, str, bytes]]:
    return sorted(zip(faces.labels.tolist(), faces.splits.tolist(), map(bytes, faces.images), strict=True))


@settings(max_examples=30, deadline=None)
@given(face_sets(least=1))
def test_any_faces_come_back_from_parquet(faces: FaceSet) -> None:
    assert _there_and_back(faces, "parquet").hash == faces.hash


@settings(max_examples=30, deadline=None)
@given(face_sets(least=1))
def test_any_faces_come_back_from_csv(faces: FaceSet) -> None:
    ids = np.array([f"fer{row:07d}" for row in range(len(faces))])
    assert _there_and_back(faces, "fer2013").hash == replace(faces, ids=ids, votes=None).hash


@settings(max_examples=30, deadline=None)
@given(face_sets(least=1))
@example(
    FaceSet(FACES.images[:1], np.array([-1]), np.array(["test"]), np.array([":_"]))
)  # as a file it is __.png, and that is no hidden one
def test_any_faces_come_back_from_folders(faces: FaceSet) -> None:
    assert _sorted_pixels(_there_and_back(faces, "folder")) == _sorted_pixels(faces)
    flat = _there_and_back(faces, "flat")
    assert sorted(map(bytes, flat.images)) == sorted(map(bytes, faces.images))
