import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mien.errors import ExtraError, MienError, OutputError
from mien.io.atomic_write import find_parts
from mien.io.row_writers import Row, RowSchema, round_row, row_writer
from mien.labels import EXPRESSIONS
from mien.types import Detections, Prediction, Scores

COLUMNS = ["source", "face", "left", "top", "right", "bottom", "detection", "quality", "expression", "confidence"]
COLUMNS += EXPRESSIONS
SUFFIXES = [".csv", ".jsonl", ".parquet"]
PICTURES, VIDEO = RowSchema.of_predictions(), RowSchema.of_predictions(video=True)


def prediction(source: str, faces: int, seed: int = 0) -> Prediction:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 900, (faces, 2))
    boxes = np.hstack([corners, corners + rng.uniform(20, 90, (faces, 2))]).astype(np.float32)
    probs = rng.dirichlet(np.ones(7), faces).astype(np.float32)
    sure = rng.uniform(0.6, 1, faces).astype(np.float32)
    return Prediction(source, 0.0, Detections(boxes, sure), Scores(probs), quality=("good",) * faces)


PREDICTIONS = [prediction('a, "b"\nä 顔.png', 3), prediction("none.png", 0), prediction("=1+1.png", 2, seed=1)]
MANY = [round_row(row) for row in prediction("a.png", 1000).rows()]
ROWS = [round_row(row) for each in PREDICTIONS for row in each.rows()]


def read(path: Path) -> list[Row]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return [{name: type(ROWS[0][name])(value) for name, value in row.items()} for row in csv.DictReader(file)]
    if path.suffix == ".jsonl":
        return [round_row(json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    return [round_row(row) for row in parquet.read_table(path).to_pylist()]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"Tabelle größer{suffix}"
    with row_writer(path, PICTURES) as write:
        for each in PREDICTIONS:
            write(each.rows())
    assert read(path) == ROWS
    assert [list(row) for row in read(path)] == [COLUMNS] * 5
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("suffix", "reader"), [(".csv", pd.read_csv), (".parquet", pd.read_parquet)])
def test_a_table_without_rows_has_its_columns(tmp_path: Path, suffix: str, reader: Callable[[Path], Any]) -> None:
    with row_writer(tmp_path / f"a{suffix}", PICTURES) as write:
        write([])
    table = reader(tmp_path / f"a{suffix}")
    assert (list(table.columns), len(table)) == (COLUMNS, 0)
    assert PICTURES.columns == COLUMNS


def test_json_lines_without_rows_are_an_empty_file(tmp_path: Path) -> None:
    with row_writer(tmp_path / "a.jsonl", PICTURES):
        pass
    assert (tmp_path / "a.jsonl").read_bytes() == b""


def test_parquet_is_written_in_groups_with_small_types(tmp_path: Path) -> None:
    with row_writer(tmp_path / "a.parquet", PICTURES) as write:
        for _ in range(40):
            write(MANY)
    file = parquet.ParquetFile(tmp_path / "a.parquet")
    assert file.metadata.num_rows == 40_000
    assert file.metadata.num_row_groups > 1
    kinds = {str(field.type) for field in file.schema_arrow}
    assert kinds == {"string", "int32", "float"}
    with row_writer(tmp_path / "b.parquet", VIDEO) as write:
        write([{**MANY[0], "seconds": 36_000.041, "track": 1}])
    assert read(tmp_path / "b.parquet")[0]["seconds"] == 36_000.041


def test_a_carriage_return_ends_no_row(tmp_path: Path) -> None:
    with row_writer(tmp_path / "a.csv", PICTURES) as write:
        write([{**MANY[0], "source": "a\rb,c\nd.png"}])
    (row,) = pd.read_csv(tmp_path / "a.csv").to_dict("records")
    assert row["source"] == "a\N{REPLACEMENT CHARACTER}b,c\nd.png"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_leaves_the_old_file_and_the_rows_so_far(
    tmp_path: Path, suffix: str, error: type[BaseException]
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    told: list[Path] = []

    def fail() -> None:
        with row_writer(path, PICTURES, on_unfinished=told.append) as write:
            for _ in range(17):
                write(MANY)
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    (grown,) = find_parts(path)
    assert told == [grown]
    assert set(tmp_path.iterdir()) == {path, grown}
    kind = ".csv" if suffix == ".csv" else ".jsonl"
    assert read(grown.rename(tmp_path / f"b{kind}")) == MANY * 17


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_can_be_read_while_more_are_to_come(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    kind = ".csv" if suffix == ".csv" else ".jsonl"
    with row_writer(path, PICTURES) as write:
        for count, each in enumerate(PREDICTIONS):
            write(each.rows())
            (grown,) = find_parts(path)
            (tmp_path / f"copy{kind}").write_bytes(grown.read_bytes())
            expected = [round_row(row) for earlier in PREDICTIONS[: count + 1] for row in earlier.rows()]
            assert read(tmp_path / f"copy{kind}") == expected
        assert not path.exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_rows_an_error_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ValueError, match="early"), row_writer(tmp_path / f"a{suffix}", PICTURES):
        raise ValueError("early")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("video_first", [True, False])
def test_videos_have_two_columns_that_pictures_leave_empty(tmp_path: Path, suffix: str, video_first: bool) -> None:
    moving = replace(prediction("a.mp4", 2, seed=3), seconds=1.25, tracks=np.array([7, 9]))
    both = [moving, PREDICTIONS[0]] if video_first else [PREDICTIONS[0], moving]
    path = tmp_path / f"a{suffix}"
    with row_writer(path, VIDEO) as write:
        for each in both:
            write(each.rows())
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".jsonl": lambda path: pd.read_json(path, lines=True)}
    table = readers[suffix](path)
    if suffix != ".jsonl":
        assert list(table.columns) == ["source", "seconds", "track", *COLUMNS[1:]] == VIDEO.columns
    of_video = table["source"] == "a.mp4"
    assert table[of_video]["track"].tolist() == [7, 9]
    assert table[of_video]["seconds"].tolist() == [1.25, 1.25]
    assert table[~of_video][["seconds", "track"]].isna().all(axis=None)
    assert len(table) == 5


@contextmanager
def files_of_at_most(count: int) -> Iterator[None]:
    """Let the system take no more bytes a file than this, as a disk that is full."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.linux
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_whole_rows_only(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    told: list[Path] = []

    def fill() -> None:
        with row_writer(path, PICTURES, on_unfinished=told.append) as write:
            for _ in range(40):
                write(MANY)

    with files_of_at_most(1_000_000), pytest.raises(OutputError, match=r"cannot write .*a\..*: File too large"):
        fill()
    assert list(tmp_path.iterdir()) == told
    rows = read(told[0].rename(tmp_path / ("b.csv" if suffix == ".csv" else "b.jsonl")))
    assert len(rows) > 1000
    assert rows == (MANY * 40)[: len(rows)]


def test_a_pipe_is_written_to_as_the_rows_come(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    os.mkfifo(path)
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as reader:
        with row_writer(path, PICTURES) as write:
            write(ROWS)
        assert [json.loads(line) for line in reader.communicate()[0].splitlines()] == ROWS
    assert path.is_fifo()


@pytest.mark.parametrize("name", ["a.xlsx", "a", "folder/a.csv", "a.csv.gz"])
def test_what_cannot_be_written_is_said_before_any_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"a\.?\w*"), row_writer(tmp_path / name, PICTURES):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExtraError, match="Parquet needs more packages"), row_writer(tmp_path / "a.parquet", PICTURES):
        pytest.fail("the block must not run")
    assert issubclass(ExtraError, MienError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "line"),
    [
        (".csv", "a.mp4,12345.678901,1234.57,0.734568,0.0"),
        (".jsonl", '{"source": "a.mp4", "seconds": 12345.678901, "left": 1234.57, "happy": 0.734568, "sad": 0.0}'),
    ],
)
def test_numbers_have_six_digits_and_times_all_seconds(tmp_path: Path, suffix: str, line: str) -> None:
    row: Row = {
        "source": "a.mp4",
        "seconds": 12345.678901234,
        "left": 1234.5678710,
        "happy": 0.73456788063,
        "sad": 1e-9,
    }
    with row_writer(tmp_path / f"a{suffix}", RowSchema.of_rows([row])) as write:
        write([row])
    assert (tmp_path / f"a{suffix}").read_text().splitlines()[-1] == line


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))
NUMBERS = st.integers(0, 10**6).map(lambda number: number / 10**6)
TABLES = st.lists(st.fixed_dictionaries({"source": TEXTS, "face": st.integers(-(2**31), 2**31 - 1), "happy": NUMBERS}))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@given(rows=TABLES)
@settings(max_examples=50)
def test_any_rows_come_back_as_they_were(suffix: str, rows: list[dict[str, str | int | float]]) -> None:
    schema = RowSchema({"source": str, "face": int, "happy": float})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        with row_writer(path, schema) as write:
            for row in rows:
                write([row])
        if suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                again = [
                    {name: schema.types[name](value) for name, value in row.items()} for row in csv.DictReader(file)
                ]
        else:
            again = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert again == rows
