from pathlib import Path

import pytest

from mien.data.decode import encode_png
from mien.data.formats import READERS, WRITERS, guess_format
from mien.errors import DataError
from support import random_faces


def test_every_form_is_read_and_written() -> None:
    assert list(READERS) == list(WRITERS) == ["fer2013", "folder", "flat", "parquet"]


@pytest.mark.parametrize("layout", list(READERS))
def test_a_form_is_told_from_what_is_there(tmp_path: Path, layout: str) -> None:
    path = tmp_path / {"fer2013": "a.CSV", "parquet": "a.parquet"}.get(layout, "a")
    faces = random_faces(5)
    WRITERS[layout](faces, path)
    assert guess_format(path) == layout
    assert len(READERS[layout](path)) == 5


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (("1.png", "2.JPG", "notes.txt"), "flat"),
        (("train/1.png",), "folder"),
        (("train/happy/1.png", "README.md"), "folder"),
        (("unknown/1.png", "2.png"), "folder"),  # the reader says what is wrong with it
        (("data/train-0.parquet", "README.md"), "parquet"),
        (("__MACOSX/1.png", "2.png"), "flat"),
    ],
)
def test_a_folder_is_told_from_what_is_in_it(tmp_path: Path, files: tuple[str, ...], layout: str) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(encode_png(random_faces(1).images[0]))
    assert guess_format(tmp_path) == layout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("archive.zip", "unpack it first"),
        ("fer2013.tar.gz", "unpack it first"),
        ("faces.txt", "say which of fer2013, folder, flat, parquet it is with --format"),
        ("faces.npz", "it is a file of faces already: mien data show "),
        ("picture.png", "with --format"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"must be a \.csv or \.parquet file, or a folder") as raised:
        guess_format(tmp_path / name)
    assert said in str(raised.value)


def test_places_with_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is none of that name"):
        guess_format(tmp_path / "none")
    with pytest.raises(DataError, match=r"holds no pictures and no \.parquet files"):
        guess_format(tmp_path)
    (tmp_path / "fer2013.csv").write_text("x")
    with pytest.raises(DataError, match=r"to read a table that is in it, import .*fer2013\.csv"):
        guess_format(tmp_path)
