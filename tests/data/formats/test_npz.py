"""The file of faces: what is written comes back, and what is none is refused."""

import io
import os
import re
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.formats.npz import load_faces, load_history, require_faces_path, save_faces
from mien.data.scores_file import load_scores
from mien.errors import DataError, OutputError
from mien.types import FaceSet
from strategies import face_sets, texts
from support import random_faces

FACES = random_faces(20, votes=True)
ENTRIES = ["version", "images", "labels", "splits", "ids", "votes"]


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".NPZ"])
@pytest.mark.parametrize(
    "faces", [FACES, random_faces(3), FACES[[5, 1]], replace(FACES, ids=np.array([f"é/日本 {n}" for n in range(20)]))]
)
def test_faces_come_back(tmp_path: Path, suffix: str, faces: FaceSet) -> None:
    path = tmp_path / f"faces{suffix}"
    save_faces(faces, path)
    loaded = load_faces(path)
    assert loaded.hash == faces.hash
    assert loaded.ids.dtype.kind == "U"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_an_empty_set_comes_back(tmp_path: Path) -> None:
    save_faces(FACES[[]], tmp_path / "faces.npz")
    assert load_faces(tmp_path / "faces.npz").hash == FACES[[]].hash


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_equal_faces_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    save_faces(FACES, tmp_path / f"a{suffix}")
    monkeypatch.setattr("time.localtime", lambda *_: (2001, 2, 3, 4, 5, 6, 0, 0, 0))
    wide = replace(FACES, ids=FACES.ids.astype("<U500"), labels=FACES.labels.astype(np.int8))
    save_faces(wide, tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_numpy_alone_reads_the_file(tmp_path: Path) -> None:
    save_faces(FACES, tmp_path / "faces.npz")
    with np.load(tmp_path / "faces.npz", allow_pickle=False) as archive:
        assert archive.files == ENTRIES
        assert archive["version"] == 1
        assert np.array_equal(archive["images"], FACES.images)
        assert archive["ids"][0].decode() == FACES.ids[0]
        assert archive["votes"].shape == (20, 10)


def test_a_file_that_numpy_compressed_is_read(tmp_path: Path) -> None:
    save_faces(FACES, tmp_path / "faces.npz")
    with np.load(tmp_path / "faces.npz") as archive:
        np.savez_compressed(tmp_path / "small.npz", **archive)
    assert load_faces(tmp_path / "small.npz").hash == FACES.hash


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, share: float, suffix: str) -> None:
    path = tmp_path / f"faces{suffix}"
    save_faces(FACES, path)
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(DataError, match="faces"):
        load_faces(path)


def test_a_file_with_a_wrong_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    save_faces(FACES, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"faces\.npz is damaged"):
        load_faces(path)


def arrays() -> dict[str, np.ndarray]:
    ids, splits = (np.char.encode(each, "utf-8") for each in (FACES.ids, FACES.splits))
    return {"version": np.array(1), "images": FACES.images, "labels": FACES.labels, "splits": splits, "ids": ids}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": np.array(2)}, "must be version 1 of the format, got 2; update mien"),
        ({"images": FACES.images[:5]}, "labels must be"),
        ({"images": FACES.images.astype(float)}, "images must be"),
        ({"images": np.array(0)}, "no file of faces"),
        ({"labels": FACES.labels + 7}, "labels must be -1 to 6"),
        ({"ids": np.array([b"a"] * 20)}, "ids must be unique"),
        ({"ids": np.array([b"\xff%d" % n for n in range(20)])}, "no file of faces"),
        ({"ids": np.arange(20)}, "no file of faces"),
        ({"ids": np.array([None] * 20)}, "Object arrays cannot be loaded"),
        ({"votes": np.ones((20, 7))}, "votes must be"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, change: dict[str, np.ndarray], said: str) -> None:
    content: dict[str, Any] = arrays() | change
    np.savez(tmp_path / "x.npz", **content)
    with pytest.raises(DataError, match=r"x\.npz") as raised:
        load_faces(tmp_path / "x.npz")
    assert said in str(raised.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", png=np.zeros(3))
    with pytest.raises(DataError, match="version, images, labels, splits, ids is missing, got png"):
        load_faces(tmp_path / "other.npz")
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        for name in ENTRIES:
            archive.writestr(name, "no array")
    with pytest.raises(DataError, match=r"text\.npz"):
        load_faces(tmp_path / "text.npz")
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(DataError, match="make one with: mien data import"):
        load_faces(tmp_path / "fer2013.csv")
    with pytest.raises(DataError, match="No such file"):
        load_faces(tmp_path / "none.npz")
    with pytest.raises(DataError, match="is a folder; make a file of faces of it"):
        load_faces(tmp_path)


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"must end in \.npz or \.parquet, got .*faces\.csv"):
        save_faces(FACES, tmp_path / "faces.csv")
    for path in (tmp_path / "none" / "faces.npz", tmp_path / "none" / "faces.parquet"):
        with pytest.raises(OutputError, match="there is no folder"):
            require_faces_path(path)


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_faces(FACES, tmp_path / "faces.npz")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.lib.format.write_array", full)
    with pytest.raises(OutputError, match="No space left"):
        save_faces(FACES[:3], tmp_path / "faces.npz")
    monkeypatch.undo()
    assert load_faces(tmp_path / "faces.npz").hash == FACES.hash
    assert len(list(tmp_path.iterdir())) == 1


def test_wrong_bits_in_a_header_are_said(tmp_path: Path) -> None:
    """numpy takes the header of an array apart as Python, and believes the shape that it finds."""
    save_faces(random_faces(3), tmp_path / "faces.npz")
    whole = (tmp_path / "faces.npz").read_bytes()
    start = whole.index(b"{'descr'")
    for place in range(start, start + 60):
        wrong = bytearray(whole)
        wrong[place] ^= 1
        (tmp_path / "faces.npz").write_bytes(wrong)
        with pytest.raises(DataError):
            load_faces(tmp_path / "faces.npz")


@settings(max_examples=50, deadline=None)
@given(face_sets(), st.lists(texts, max_size=3))
def test_any_faces_and_their_history_come_back(faces: FaceSet, history: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "faces.npz")
        save_faces(faces, path, history=history)
        assert load_faces(path).hash == faces.hash
        assert load_history(path) == tuple(history)


def _packed(path: Path, members: dict[str, bytes]) -> Path:
    """Write an archive in which long runs of zeros take no room."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def _npy(array: np.ndarray, *, claims: str = "") -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    content = file.getvalue()
    return re.sub(rb"\([0-9, ]+\)", claims.encode(), content, count=1) if claims else content


def _peak_megabytes(read: Callable[[], object]) -> float:
    tracemalloc.start()
    with pytest.raises(DataError, match="claims"):
        read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    sound = {name: _npy(array) for name, array in arrays().items()}
    huge = _packed(tmp_path / "f.npz", sound | {"images": bytes(100_000_000)})
    assert _peak_megabytes(lambda: load_faces(huge)) < 10
    history = _packed(tmp_path / "h.npz", sound | {"history": bytes(100_000_000)})
    assert load_faces(history).hash == replace(FACES, votes=None).hash
    assert _peak_megabytes(lambda: load_history(history)) < 10
    scores = {name: _npy(np.zeros(1)) for name in ("version", "ids", "names", "held_out")}
    many = _packed(tmp_path / "s.npz", scores | {"probs": bytes(100_000_000)})
    assert _peak_megabytes(lambda: load_scores(many)) < 10


def test_members_of_other_names_are_never_unpacked(tmp_path: Path) -> None:
    sound = {name: _npy(array) for name, array in arrays().items()}
    path = _packed(tmp_path / "f.npz", sound | {"more": bytes(100_000_000)})
    tracemalloc.start()
    assert load_faces(path).hash == replace(FACES, votes=None).hash
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_a_header_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    sound = {name: _npy(array) for name, array in arrays().items()}
    claims = _npy(FACES.images, claims="(9999999999999, 48, 48)")
    path = _packed(tmp_path / "f.npz", sound | {"images": claims})
    assert _peak_megabytes(lambda: load_faces(path)) < 10


@pytest.mark.linux
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "faces.npz")
    for read in (load_faces, load_history, load_scores):
        with pytest.raises(DataError, match="must be a file, not a pipe"):
            read(tmp_path / "faces.npz")


@pytest.mark.parametrize("ids", [np.array(b"a"), np.arange(3), np.array(["a", "b", "c"]), np.zeros((3, 1), "S1")])
def test_ids_that_are_no_texts_are_refused(tmp_path: Path, ids: np.ndarray) -> None:
    path = tmp_path / "faces.npz"
    save_faces(random_faces(3), path)
    np.savez(path, **{**np.load(path), "ids": ids})
    with pytest.raises(DataError, match=r"faces\.npz is no file of faces: texts must be \(N,\) bytes"):
        load_faces(path)
