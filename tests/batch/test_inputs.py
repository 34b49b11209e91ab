"""The inputs that sources stand for: of folders, lists, patterns, Parquet files and addresses, in order and once."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from deadly import grey_pictures
from mien.batch.inputs import find_inputs
from mien.batch.output import OutputFolder
from mien.batch.reading import local_video
from mien.batch.storage import storage_of
from mien.batch.tables import TableColumns, read_groups
from mien.errors import DataError, ExtraError


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two pictures, a video, a Parquet file of three pictures in two row groups, and a text."""
    monkeypatch.chdir(tmp_path)
    contents = [path.read_bytes() for path in grey_pictures(tmp_path / "photos", 2)]
    (tmp_path / "photos" / "party.mp4").write_bytes(b"a video")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    table = pa.table({"key": ["x", "y", "z"], "jpg": [contents[0], contents[1], None]})
    parquet.write_table(table, tmp_path / "photos" / "shard.parquet", row_group_size=2)
    return tmp_path


def found(*sources: str, columns: TableColumns | None = None) -> list[tuple[str, str, int]]:
    inputs, refused = find_inputs(sources, columns=columns)
    assert not refused
    return [(each.path, each.kind, each.count) for each in inputs]


PICTURES = [("photos/0000.png", "picture", 1), ("photos/0001.png", "picture", 1)]
VIDEO = ("photos/party.mp4", "video", 1)
TABLE = [("photos/shard.parquet", "table", 2), ("photos/shard.parquet", "table", 1)]


@pytest.mark.usefixtures("desk")
def test_a_folder_stands_for_all_that_can_be_read() -> None:
    assert found("photos") == [*PICTURES, VIDEO, *TABLE]


@pytest.mark.usefixtures("desk")
def test_what_is_named_twice_counts_once() -> None:
    assert found("photos/0001.png", "photos/shard.parquet", "photos") == [PICTURES[1], *TABLE, PICTURES[0], VIDEO]


@pytest.mark.usefixtures("desk")
def test_a_pattern_matches_pictures_and_tables() -> None:
    assert found("photos/*.p*") == [*PICTURES, *TABLE]
    with pytest.raises(DataError, match=r"photos/\*\.txt must match pictures"):
        find_inputs(["photos/*.txt"])


def test_a_list_goes_on_where_a_file_is_missing(desk: Path) -> None:
    (desk / "list.txt").write_text("photos/0001.png\n\nphotos/none.png\nphotos/0001.png\nphotos/*.mp4\n")
    inputs, refused = find_inputs(["@list.txt"])
    assert [each.path for each in inputs] == ["photos/0001.png", "photos/party.mp4"]
    assert [(each.source, each.error) for each in refused] == [
        ("photos/none.png", "photos/none.png: there is no such file")
    ]


@pytest.mark.usefixtures("desk")
def test_a_source_that_is_missing_is_refused() -> None:
    with pytest.raises(DataError, match=r"none\.png: there is no such file"):
        find_inputs(["photos/none.png"])
    with pytest.raises(DataError, match="must be a file: cameras and streams are for mien predict"):
        find_inputs(["webcam:0"])


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there must be pictures, videos or Parquet files .*, got none"):
        find_inputs([str(tmp_path)])


def test_a_table_without_pictures_is_an_error_of_the_result(desk: Path) -> None:
    parquet.write_table(pa.table({"a": [1]}), desk / "photos" / "other.parquet")
    (desk / "photos" / "broken.parquet").write_bytes(b"PAR1, but no more")
    inputs, refused = find_inputs(["photos"])
    assert len(inputs) == 5
    assert [each.source for each in refused] == ["photos/broken.parquet", "photos/other.parquet"]
    assert "must be a Parquet file, and whole" in refused[0].error
    assert "must have a column of pictures" in refused[1].error
    assert "--bytes-column" in refused[1].error


@pytest.mark.usefixtures("desk")
def test_the_columns_of_a_table_can_be_stated() -> None:
    assert found("photos/shard.parquet", columns=TableColumns("jpg", "key")) == TABLE
    _, refused = find_inputs(["photos/shard.parquet"], columns=TableColumns("jpg", "name"))
    assert "must have a column name, got key, jpg" in refused[0].error


def test_rows_of_a_table_have_names_and_bytes(desk: Path) -> None:
    storage, path = storage_of(""), "photos/shard.parquet"
    first = (desk / "photos" / "0000.png").read_bytes()
    rows = list(read_groups(storage, path, TableColumns(), (0, 2)))
    assert [name for name, _ in rows] == ["x", "y", "z"]
    assert rows[0][1] == first
    assert rows[2][1] is None
    assert list(read_groups(storage, path, TableColumns(), (1, 2))) == [("z", None)]
    structs = pa.table({"image": [{"bytes": first, "path": "p.png"}, {"bytes": first, "path": None}]})
    parquet.write_table(structs, desk / "hf.parquet", row_group_size=1)
    (second,) = read_groups(storage, "hf.parquet", TableColumns(), (1, 2))
    assert second == ("hf.parquet#1", first)
    assert next(read_groups(storage, "hf.parquet", TableColumns(), (0, 1)))[0] == "p.png"


@pytest.fixture
def bucket() -> Iterator[str]:
    """A place in memory, with two pictures' files and a hidden one."""
    storage = storage_of("memory://bucket")
    for name in ("b.jpg", "a.jpg", ".c.jpg", "notes.txt"):
        storage.write(f"memory://bucket/{name}", b"-")
    yield "memory://bucket"
    fsspec.filesystem("memory").store.clear()


def test_an_address_is_a_folder_a_file_or_a_pattern(bucket: str) -> None:
    files = [("memory:///bucket/a.jpg", "picture", 1), ("memory:///bucket/b.jpg", "picture", 1)]
    assert found(bucket) == files
    assert found(f"{bucket}/b.jpg") == files[1:]
    assert found(f"{bucket}/*.jpg")[-2:] == files


class RequestError(Exception):
    """An error as botocore and others have it: of no base but Exception."""


class FaultyFile(BytesIO):
    """A file that fails where it is read."""

    def read(self, *_: object) -> bytes:
        """Raise."""
        raise RequestError("An error occurred (503)\nSlow down")


class FaultyStore(fsspec.AbstractFileSystem):  # type: ignore[misc]  # it has no types
    """A store that has each file, and none that can be read."""

    protocol = "faulty"

    def info(self, path: str, **_: object) -> dict[str, object]:
        """Say that there is such a file."""
        return {"name": path, "size": 9, "type": "file"}

    def _open(self, *_: object, **__: object) -> BytesIO:
        return FaultyFile(b"PAR1-PAR1")


def test_whatever_a_store_raises_is_an_error_in_a_line() -> None:
    fsspec.register_implementation("faulty", FaultyStore, clobber=True)
    path = "faulty://bucket/shard.parquet"
    _, refused = find_inputs([path])
    assert [each.error for each in refused] == [f"{path} cannot be read: An error occurred (503) Slow down"]
    with pytest.raises(DataError, match="Slow down"):
        next(read_groups(storage_of(path), path, TableColumns(), (0, 1)))
    with pytest.raises(DataError, match="Slow down"), local_video(path, base=""):
        pass
    assert OutputFolder("faulty://bucket").read_done("a") is None


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(ExtraError, match="an address such as s3://bucket/photos needs more packages"):
        find_inputs(["s3://bucket/photos"])
