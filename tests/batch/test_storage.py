"""Files on the disk and at addresses: the same answers, and no half of a file."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from mien.batch.storage import is_address, join, read_all, remove_parts, storage_of
from mien.errors import DataError, OutputError


@pytest.fixture(params=["disk", "memory://box", "file"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty folder: on the disk, in memory, and on the disk as fsspec sees it."""
    if request.param == "disk":
        yield str(tmp_path)
    elif request.param == "file":
        yield f"file://{tmp_path}"
    else:
        yield request.param
        fsspec.filesystem("memory").store.clear()


def refuse(name: str, error: DataError) -> None:
    raise AssertionError(name) from error


def test_a_file_comes_back_with_its_size(root: str) -> None:
    storage = storage_of(root)
    path = join(root, "deep", "a.bin")
    storage.write(path, b"abc")
    storage.write(path, b"four")
    assert read_all(storage, path, most=4).read() == b"four"
    info = storage.info(path)
    assert info is not None
    assert info.size == 4
    assert storage.info(join(root, "deep")) is None
    assert storage.names(join(root, "deep")) == ["a.bin"]
    storage.remove(path)
    storage.remove(path)
    assert storage.names(join(root, "deep")) == []


def test_a_folder_lists_its_files_sorted_without_hidden_ones(root: str) -> None:
    storage = storage_of(root)
    for name in ("b/2.jpg", "b/1.jpg", "a.jpg", ".hidden/3.jpg", "b/.4.jpg"):
        storage.write(join(root, *name.split("/")), name.encode())
    found = list(storage.list_files(root, on_locked=refuse))
    assert [each.path.removeprefix("memory:///box").removeprefix(root) for each in found] == [
        "/a.jpg",
        "/b/1.jpg",
        "/b/2.jpg",
    ]
    assert [each.size for each in found] == [5, 7, 7]
    assert [read_all(storage, each.path, most=9).read()[-5:] for each in found] == [b"a.jpg", b"1.jpg", b"2.jpg"]
    assert len(storage.glob(join(root, "b", "*.jpg"))) >= 2


def test_another_content_has_another_stamp(root: str) -> None:
    storage = storage_of(root)
    path = join(root, "a.bin")
    storage.write(path, b"abc")
    before = storage.info(path)
    storage.remove(path)
    storage.write(path, b"abd")
    assert storage.info(path) != before


def test_missing_files_and_folders(root: str) -> None:
    storage = storage_of(root)
    path = join(root, "none.bin")
    with pytest.raises(DataError, match=r"none\.bin: there is no such file"):
        read_all(storage, path, most=1)
    with pytest.raises(DataError, match=r"none\.bin: there is no such file"):
        storage.info(path)
    assert storage.names(join(root, "nowhere")) == []


def test_a_file_that_is_too_large_is_refused(root: str) -> None:
    storage = storage_of(root)
    storage.write(join(root, "a.bin"), b"four")
    with pytest.raises(DataError, match="must have at most 3 bytes"):
        read_all(storage, join(root, "a.bin"), most=3)


def test_a_write_that_fails_leaves_the_old_file(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = storage_of(root)
    path = join(root, "rows", "a.parquet")
    storage.write(path, b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        patch.setattr(fsspec.AbstractFileSystem, "mv", fail)
        patch.setattr(type(fsspec.filesystem("file")), "mv", fail)
        with pytest.raises(OutputError, match=r"cannot write .*a\.parquet: No space left on device"):
            storage.write(path, b"new")
    assert read_all(storage, path, most=9).read() == b"old"
    assert [name for name in storage.names(join(root, "rows")) if name.endswith(".parquet")] == ["a.parquet"]
    remove_parts(storage, join(root, "rows"))
    assert storage.names(join(root, "rows")) == ["a.parquet"]


def test_addresses_and_paths_are_told_apart(tmp_path: Path) -> None:
    assert is_address("s3://bucket/a")
    assert not is_address("C:\\photos")
    assert not is_address(str(tmp_path))


def test_an_unknown_scheme_is_refused_in_a_line() -> None:
    with pytest.raises(DataError, match=r"nonsense://a cannot be opened: .*nonsense"):
        storage_of("nonsense://a")
