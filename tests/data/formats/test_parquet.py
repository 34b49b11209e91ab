import io
import json
import os
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mien.data.decode import encode_png
from mien.data.formats.parquet import read_parquet, write_parquet
from mien.errors import DataError
from mien.labels import EXPRESSIONS
from support import random_faces

FACES = random_faces(6, seed=4)
ALPHABETIC = sorted(EXPRESSIONS)  # as a library that reads folders numbers them
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table(
    path: Path,
    labels: Sequence[Any] | None,
    *,
    names: Sequence[str] | None = None,
    kind: pa.DataType | None = None,
    image: str = "image",
    label: str = "label",
    contents: Sequence[bytes | None] | None = None,
    **columns: Sequence[Any],
) -> Path:
    """A file as `datasets` writes it, with one of FACES in each row."""
    count = len(FACES) if labels is None else len(labels)
    contents = contents or [encode_png(face) for face in FACES.images[:count]]
    features: dict[str, Any] = {image: {"_type": "Image"}}
    arrays = {image: pa.array([{"bytes": content, "path": None} for content in contents], IMAGE)}
    if labels is not None:
        arrays[label] = pa.array(labels, kind)
        features[label] = {"names": list(names or ()), "_type": "ClassLabel"}
    arrays |= {name: pa.array(column) for name, column in columns.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if names else None
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays).replace_schema_metadata(metadata), path)
    return path


def test_numbers_mean_what_the_file_says(tmp_path: Path) -> None:
    faces = read_parquet(table(tmp_path / "a.parquet", [0, 6, 2, 3, None, -1], names=ALPHABETIC))
    assert [EXPRESSIONS[label] for label in faces.labels[:4]] == ["angry", "surprise", "fear", "happy"]
    assert faces.labels[4:].tolist() == [-1, -1]
    assert faces.splits.tolist() == ["train"] * 6
    assert faces.ids.tolist() == [f"a:{row}" for row in range(6)]
    assert np.array_equal(faces.images, FACES.images)
    assert faces.votes is None


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.uint8(), pa.float64()])
def test_numbers_mean_what_the_caller_says(tmp_path: Path, kind: pa.DataType) -> None:
    path = table(tmp_path / "a.parquet", [0, 6, 2, 3], kind=kind)
    with pytest.raises(DataError, match=r"give the names of 0, 1, 2\.\.\. in this order, as in --names angry,disgust"):
        read_parquet(path)
    assert read_parquet(path, names=EXPRESSIONS).labels.tolist() == [0, 6, 2, 3]
    assert read_parquet(path, names=ALPHABETIC).labels.tolist() == [0, 5, 2, 3]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_names_mean_themselves(tmp_path: Path, kind: pa.DataType) -> None:
    labels = ["Anger", "happy", "SURPRISED", "", None, "neutral"]
    assert read_parquet(table(tmp_path / "a.parquet", labels, kind=kind)).labels.tolist() == [0, 3, 5, -1, -1, 6]


def test_labels_that_are_all_unknown(tmp_path: Path) -> None:
    assert read_parquet(table(tmp_path / "a.parquet", [None] * 6)).labels.tolist() == [-1] * 6
    assert (
        read_parquet(table(tmp_path / "b.parquet", [float("nan")] * 6), names=EXPRESSIONS).labels.tolist() == [-1] * 6
    )


def test_without_labels_faces_are_for_testing(tmp_path: Path) -> None:
    faces = read_parquet(table(tmp_path / "a.parquet", None))
    assert (faces.labels.tolist(), faces.splits.tolist()) == ([-1] * 6, ["test"] * 6)


@pytest.mark.parametrize(("image", "label"), [("img", "labels"), ("img_bytes", "emotion")])
def test_other_names_of_the_columns(tmp_path: Path, image: str, label: str) -> None:
    faces = read_parquet(table(tmp_path / "a.parquet", [1, 2], names=EXPRESSIONS, image=image, label=label))
    assert faces.labels.tolist() == [1, 2]


def test_pictures_that_are_bare_bytes(tmp_path: Path) -> None:
    contents = pa.array([encode_png(face) for face in FACES.images], pa.binary())
    pq.write_table(pa.table({"image": contents, "label": ["sad"] * 6}), tmp_path / "a.parquet")
    assert np.array_equal(read_parquet(tmp_path / "a.parquet").images, FACES.images)


def test_a_folder_of_files_says_the_splits(tmp_path: Path) -> None:
    for number, name in enumerate(
        (
            "data/train-00000-of-00002",
            "data/train-00001-of-00002",
            "data/validation-00000-of-00001",
            "test/0000",
            "more",
        )
    ):
        table(tmp_path / f"{name}.parquet", [number], names=EXPRESSIONS)
    faces = read_parquet(tmp_path)
    assert dict(zip(faces.ids.tolist(), faces.splits.tolist(), strict=True)) == {
        "data/train-00000-of-00002:0": "train",
        "data/train-00001-of-00002:0": "train",
        "data/validation-00000-of-00001:0": "valid",
        "more:0": "train",
        "test/0000:0": "test",
    }
    assert faces.labels.tolist() == [0, 1, 2, 4, 3]


def test_a_column_says_the_splits(tmp_path: Path) -> None:
    path = table(tmp_path / "test.parquet", ["sad"] * 4, split=["train", "validation", None, "PrivateTest"])
    assert read_parquet(path).splits.tolist() == ["train", "valid", "test", "test"]


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    faces = random_faces(2100, votes=True)  # more than one group of rows
    calls: list[tuple[int, int]] = []
    write_parquet(faces, tmp_path / "a.parquet")
    loaded = read_parquet(tmp_path / "a.parquet", progress=lambda *call: calls.append(call))
    assert loaded.hash == faces.hash
    assert calls[-1] == (2100, 2100)
    assert len(calls) > 1


PNG = encode_png(FACES.images[0])
BROKEN = [encode_png(face) for face in FACES.images]
BROKEN[3] = BROKEN[3][:100]
MISSING = [*BROKEN[:3], None, *BROKEN[4:]]


@pytest.mark.parametrize(
    ("labels", "arguments", "said"),
    [
        (["sad"] * 6, {"contents": BROKEN}, "row 3: the picture cannot be read"),
        (["sad"] * 6, {"contents": MISSING}, "row 3: image must hold the bytes of a picture file, got NoneType"),
        (["sad", "sad", "sad", "bored", "sad", "sad"], {}, "row 3: label must be one of angry, disgust"),
        ([0, 0, 0, 7, 0, 0], {"names": EXPRESSIONS}, "row 3: label must be -1 to 6, got 7"),
        ([0, 0, 0, -2, 0, 0], {"names": EXPRESSIONS}, "row 3: label must be -1 to 6, got -2"),
        ([0, 0, 0, 0.5, 0, 0], {"names": EXPRESSIONS}, "row 3: label must be -1 to 6, got 0.5"),
        ([0, 0, 0, 7, 0, 0], {"names": (*EXPRESSIONS, "contempt")}, "row 3: label must be one of angry, disgust"),
        (
            ["sad"] * 6,
            {"split": ["train"] * 3 + ["holdout"] + ["train"] * 2},
            "row 3: split must be train, valid, test",
        ),
        (["sad"] * 6, {"votes": [[1.0] * 10] * 3 + [[1.0] * 7] + [[1.0] * 10] * 2}, "row 3: votes must be 10 numbers"),
        (
            ["sad"] * 6,
            {"votes": [[1.0] * 10] * 3 + [[-1.0] * 10] + [[1.0] * 10] * 2},
            "row 3: votes must be 10 numbers",
        ),
        (["sad"] * 6, {"votes": [[1.0] * 10] * 3 + [[float("inf")] * 10] + [[1.0] * 10] * 2}, "row 3: votes must be"),
        (["sad"] * 6, {"votes": [None] * 3 + [7] + [None] * 2}, "row 3: votes must be 10 numbers of 0 or more, got 7"),
        ([0, 0, 0, float("inf"), 0, 0], {"names": EXPRESSIONS}, "row 3: label must be -1 to 6, got inf"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, labels: list[Any], arguments: dict[str, Any], said: str) -> None:
    path = table(tmp_path / "a.parquet", labels, **arguments)
    with pytest.raises(DataError) as raised:
        read_parquet(path)
    assert str(raised.value).startswith(f"{path} {said}")
    bad: list[DataError] = []
    faces = read_parquet(path, on_bad=bad.append)
    assert [str(error) for error in bad] == [str(raised.value)]
    assert faces.ids.tolist() == ["a:0", "a:1", "a:2", "a:4", "a:5"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \.parquet file"):
        read_parquet(tmp_path)
    with pytest.raises(DataError, match=r"cannot read .*none\.parquet"):
        read_parquet(tmp_path / "none.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"a\.parquet must be a Parquet file, and whole"):
        read_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="must have a column image, of pictures; got picture, label"):
        read_parquet(table(tmp_path / "b.parquet", ["sad"], image="picture"))
    with pytest.raises(DataError, match="holds no faces"):
        read_parquet(table(tmp_path / "c.parquet", ["bored"]), on_bad=lambda _: None)
    with pytest.raises(DataError, match=r"d\.parquet: ids must be unique"):
        read_parquet(table(tmp_path / "d.parquet", ["sad"] * 2, id=["x", "x"]))


def test_where_some_rows_have_votes_the_others_have_none(tmp_path: Path) -> None:
    votes = [[1.0] * 10, None, [2.0] * 10]
    table(tmp_path / "train.parquet", ["sad"] * 3, votes=votes)
    table(tmp_path / "valid.parquet", ["sad"] * 2)
    faces = read_parquet(tmp_path)
    assert faces.votes is not None
    assert faces.votes.sum(axis=1).tolist() == [10, 0, 20, 0, 0]
    (tmp_path / "train.parquet").unlink()
    assert read_parquet(tmp_path).votes is None


def test_text_that_is_none_is_named(tmp_path: Path) -> None:
    ids = pa.array([b"ok", b"\xff"], pa.binary()).view(pa.string())
    path = table(tmp_path / "a.parquet", ["sad"] * 2)
    pq.write_table(pq.read_table(path).append_column("id", ids), path)
    with pytest.raises(DataError, match=r"a\.parquet must hold text in UTF-8"):
        read_parquet(path)


def test_files_that_count_alike_are_told_apart(tmp_path: Path) -> None:
    table(tmp_path / "train.parquet", ["sad"] * 2, id=[0, 1])
    table(tmp_path / "test.parquet", ["sad"] * 2, id=[0, 1])
    assert read_parquet(tmp_path).ids.tolist() == ["test:0", "test:1", "train:0", "train:1"]
    table(tmp_path / "train.parquet", ["sad"] * 2, id=[2, 3])
    assert read_parquet(tmp_path).ids.tolist() == ["0", "1", "2", "3"]
    table(tmp_path / "train.parquet", ["sad"] * 2, id=[0, 0])
    with pytest.raises(DataError, match="ids must be unique"):
        read_parquet(tmp_path)


def _peak_megabytes(path: Path, message: str) -> float:
    pa.default_memory_pool().release_unused()
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    with pytest.raises(DataError, match=message) as raised:
        read_parquet(path)
    assert "\n" not in str(raised.value)
    peak = tracemalloc.get_traced_memory()[1] + max(pa.total_allocated_bytes() - before, 0)
    tracemalloc.stop()
    return float(peak) / 1e6


def test_a_small_file_of_many_or_large_rows_is_refused(tmp_path: Path) -> None:
    same = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array([PNG], pa.binary()))
    pq.write_table(pa.table({"image": same}), tmp_path / "many.parquet", store_schema=False)
    assert (tmp_path / "many.parquet").stat().st_size < 100_000
    assert _peak_megabytes(tmp_path / "many.parquet", "must not unpack to more than") < 10
    large = pa.array([bytes(4_000_000)] * 30, pa.binary())
    pq.write_table(pa.table({"image": large}), tmp_path / "large.parquet", compression="zstd", use_dictionary=False)
    assert (tmp_path / "large.parquet").stat().st_size < 100_000
    assert _peak_megabytes(tmp_path / "large.parquet", "must not unpack to more than") < 10
    votes = pa.array([[0.0] * 20_000_000], pa.list_(pa.float32()))
    pq.write_table(pa.table({"image": [PNG], "votes": votes}), tmp_path / "votes.parquet", compression="zstd")
    assert _peak_megabytes(tmp_path / "votes.parquet", "must not unpack to more than") < 10


def test_a_large_value_of_many_rows_is_held_once(tmp_path: Path) -> None:
    """Each of 2,000 rows has the same 5 MB, which the file holds once, in 1 kB."""
    rows = pa.array([0] * 2000, pa.int32())
    for name in ("image", "id"):
        kind = pa.binary() if name == "image" else pa.string()
        same = pa.DictionaryArray.from_arrays(rows, pa.array([bytes(5_000_000)], pa.binary()).cast(kind))
        other = {"image": [PNG] * 2000} if name == "id" else {}
        path = tmp_path / f"{name}.parquet"
        pq.write_table(
            pa.table({**other, name: same}),
            path,
            compression="zstd",
            store_schema=False,
            dictionary_pagesize_limit=1 << 30,
        )
        assert path.stat().st_size < 100_000
        message = "row 0: the picture must be" if name == "image" else "id must be text of at most 10,000 characters"
        assert _peak_megabytes(path, message) < 1000


@pytest.mark.linux
def test_pipes_and_circles_of_links_in_a_folder_are_left_out(tmp_path: Path) -> None:
    table(tmp_path / "train.parquet", ["sad"] * 2)
    os.mkfifo(tmp_path / "test.parquet")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert read_parquet(tmp_path).ids.tolist() == ["train:0", "train:1"]


def test_whole_photos_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    photo = io.BytesIO()
    Image.new("RGB", (640, 480), "orange").save(photo, "PNG")
    read_parquet(table(tmp_path / "a.parquet", ["sad"] * 2, contents=[PNG, photo.getvalue()]))
    assert "1 of 2 pictures are no crops of faces by their sizes, such as row 1 of" in caplog.text
