import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(tmp_path: Path) -> None:
    table = pa.table({"image": [b"\x89PNG" + bytes(1_000_000)] * 280, "label": ["sad"] * 280})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(DataError, match=r"a\.parquet: must not unpack to more than 268,435,456 bytes"):
        read_parquet(tmp_path / "a.parquet")


@pytest.mark.linux
def test_a_value_that_all_rows_share_takes_no_more_than_a_gigabyte(tmp_path: Path) -> None:
    same = pa.DictionaryArray.from_arrays(np.zeros(300, np.int32), [b"\x89PNG" + bytes(6_000_000)])
    table = pa.table({"image": same, "label": ["sad"] * 300})
    limits = {"dictionary_pagesize_limit": 1 << 30, "store_schema": False}
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", **limits)
    code = (
        "import sys, resource; from mien.data.formats.parquet import read_parquet\n"
        "try: read_parquet(sys.argv[1], on_bad=lambda _: None)\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, tmp_path / "a.parquet"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "holds no faces" in ended.stderr
    assert int(ended.stdout) < 1_000_000  # KiB
