import csv
import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mien.data.formats.fer2013_csv import read_fer2013
from mien.errors import DataError
from mien.types import FaceSet
from support import random_faces

Change = Callable[[str], str]
USAGES = {"train": "Training", "valid": "PublicTest", "test": "PrivateTest"}
FACES = random_faces(150, seed=1)  # more than two blocks of rows
SPLITS = np.array(["train"] * 100 + ["valid"] * 30 + ["test"] * 20)
LABELS = np.where(SPLITS == "test", -1, FACES.labels)
FACES = FaceSet(FACES.images, LABELS, SPLITS, np.array([f"fer{row:07d}" for row in range(150)]))


def columns_of(faces: FaceSet) -> dict[str, list[str]]:
    return {
        "emotion": ["" if label < 0 else str(label) for label in faces.labels],
        "pixels": [" ".join(map(str, image.ravel())) for image in faces.images],
        "Usage": [USAGES[split] for split in faces.splits],
    }


def lines_of(faces: FaceSet) -> list[str]:
    """The lines of Kaggle's file, header included."""
    return ["emotion,pixels,Usage", *map(",".join, zip(*columns_of(faces).values(), strict=True))]


LINES = lines_of(FACES)


def written(path: Path, lines: list[str], *, end: str = "\n", start: bytes = b"") -> Path:
    path.write_bytes(start + "".join(line + end for line in lines).encode())
    return path


def test_kaggles_file(tmp_path: Path) -> None:
    assert read_fer2013(written(tmp_path / "fer2013.csv", LINES)).hash == FACES.hash


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "order", [("emotion", "Usage", "pixels"), ("pixels", "Usage", "emotion"), ("Usage", "emotion", "pixels")]
)
def test_columns_in_any_order_quoted_or_not(tmp_path: Path, quoting: Any, end: str, order: tuple[str, ...]) -> None:
    faces = FACES[:9]
    file = io.StringIO()
    writer = csv.writer(file, quoting=quoting, lineterminator=end)
    writer.writerow(order)
    writer.writerows(zip(*(columns_of(faces)[name] for name in order), strict=True))
    path = tmp_path / "any.csv"
    path.write_bytes(file.getvalue().encode())
    assert read_fer2013(path).hash == faces.hash


@pytest.mark.parametrize(
    "header", ["emotion, Usage, pixels", " EMOTION ,usage,Pixels ", '"emotion", "Usage", "pixels"']
)
def test_headers_with_spaces_in_any_case(tmp_path: Path, header: str) -> None:
    columns = columns_of(FACES[:5])
    rows = zip(columns["emotion"], columns["Usage"], columns["pixels"], strict=True)
    path = written(tmp_path / "icml_face_data.csv", [header, *map(", ".join, rows)])
    assert read_fer2013(path).hash == FACES[:5].hash


@pytest.mark.parametrize(
    ("change", "start"),
    [
        (lambda text: text, b"\xef\xbb\xbf"),  # a byte order mark
        (lambda text: text.rstrip("\n"), b""),  # no newline at the end
        (lambda text: text.replace("\n", "\n\n"), b""),  # blank lines
        (lambda text: text.replace(" ", "  "), b""),
        (lambda text: text.replace(" ", "\t"), b""),
        (lambda text: text.replace(" 7 ", " 007 ").replace(" 9 ", " 00009 "), b""),
        (lambda text: text.replace("Training", "TRAINING"), b""),
        (lambda text: text.replace("\n0,", "\n0.0,").replace("\n3,", "\n3.0,"), b""),  # as pandas writes it
    ],
)
def test_other_spellings_of_the_same(tmp_path: Path, change: Change, start: bytes) -> None:
    text = change("\n".join(LINES) + "\n")
    path = tmp_path / "fer2013.csv"
    path.write_bytes(start + text.encode())
    assert read_fer2013(path).hash == FACES.hash


def test_files_that_pandas_wrote(tmp_path: Path) -> None:
    table = pd.DataFrame(columns_of(FACES)).replace({"emotion": {"": None}}).astype({"emotion": "float"})
    table.to_csv(tmp_path / "a.csv")  # labels like 3.0, and a first column without a name
    assert read_fer2013(tmp_path / "a.csv").hash == FACES.hash


def test_labelled_faces_without_usage_are_for_training(tmp_path: Path) -> None:
    columns = columns_of(FACES[:4])
    rows = map(",".join, zip(columns["emotion"], columns["pixels"], strict=True))
    faces = read_fer2013(written(tmp_path / "train.csv", ["emotion,pixels", *rows]))
    assert faces.splits.tolist() == ["train"] * 4
    assert faces.ids.tolist() == ["train:0", "train:1", "train:2", "train:3"]
    assert np.array_equal(faces.labels, FACES.labels[:4])


@pytest.mark.parametrize("quote", ["", '"'])
def test_pixels_alone_are_for_testing(tmp_path: Path, quote: str) -> None:
    rows = [quote + pixels + quote for pixels in columns_of(FACES[:4])["pixels"]]
    faces = read_fer2013(written(tmp_path / "test.csv", ["pixels", *rows]))
    assert (faces.splits.tolist(), faces.labels.tolist()) == (["test"] * 4, [-1] * 4)
    assert np.array_equal(faces.images, FACES.images[:4])
    assert faces.ids[3] == "test:3"


def spoilt(line: str, field: int, change: Change) -> str:
    fields = line.split(",")
    fields[field] = change(fields[field])
    return ",".join(fields)


BAD = [
    (1, lambda pixels: pixels.rpartition(" ")[0], "pixels must be 2304 numbers, got 2303"),
    (1, lambda pixels: pixels + " 1", "pixels must be 2304 numbers, got 2305"),
    (1, lambda pixels: "256" + pixels[pixels.index(" ") :], "0 to 255, got '256' at place 0"),
    (1, lambda pixels: pixels[: pixels.rindex(" ")] + " 1000", "0 to 255, got '1000' at place 2303"),
    (1, lambda pixels: "-1" + pixels[pixels.index(" ") :], "0 to 255, got '-1' at place 0"),
    (1, lambda pixels: "1.5" + pixels[pixels.index(" ") :], "got '1.5' at place 0"),
    (1, lambda pixels: "²" + pixels[pixels.index(" ") :], "got '²' at place 0"),
    (1, lambda pixels: "9" * 5000 + pixels[pixels.index(" ") :], "got '9999"),
    (1, lambda _: "", "pixels must be 2304 numbers, got 0"),
    (1, lambda pixels: pixels[: len(pixels) // 2], "pixels must be 2304 numbers, got 11"),
    (0, lambda _: "7", "emotion must be 0 to 6 or empty, got '7'"),
    (0, lambda _: "-1", "emotion must be 0 to 6 or empty, got '-1'"),
    (0, lambda _: "happy", "got 'happy'"),
    (0, lambda label: label + ",0", "must have 3 columns as the header has, got 4"),
    (2, lambda _: "Testing", "Usage must be Training, PublicTest, PrivateTest, got 'Testing'"),
    (2, lambda _: "", "Usage must be Training, PublicTest, PrivateTest, got ''"),
]


@pytest.mark.parametrize(("field", "change", "said"), BAD)
@pytest.mark.parametrize("row", [0, 70, 149])
def test_a_bad_row_is_named(tmp_path: Path, field: int, change: Change, said: str, row: int) -> None:
    lines = list(LINES)
    lines[row + 1] = spoilt(lines[row + 1], field, change)
    path = written(tmp_path / "bad.csv", lines)
    with pytest.raises(DataError) as raised:
        read_fer2013(path)
    assert str(raised.value).startswith(f"{path} line {row + 2}: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)

    bad: list[DataError] = []
    faces = read_fer2013(path, on_bad=bad.append)
    assert [str(error) for error in bad] == [str(raised.value)]
    assert faces.hash == FACES[np.arange(150) != row].hash  # the others keep the ids of their rows


def test_bad_rows_are_told_of_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = list(LINES)
    for row, field in ((3, 1), (5, 0), (6, 1), (90, 2), (91, 1), (120, 0)):
        lines[row] = spoilt(lines[row], field, lambda _: "x")
    bad: list[DataError] = []
    assert len(read_fer2013(written(tmp_path / "bad.csv", lines), on_bad=bad.append)) == 144
    assert [str(error).split(" line ")[1].split(":")[0] for error in bad] == ["4", "6", "7", "91", "92", "121"]


def test_a_number_may_not_move_from_one_row_to_the_next(tmp_path: Path) -> None:
    lines = lines_of(FACES[:2])
    lines[1] = spoilt(lines[1], 1, lambda pixels: pixels + " 0")
    lines[2] = spoilt(lines[2], 1, lambda pixels: pixels.rpartition(" ")[0])
    with pytest.raises(DataError, match=r"line 2: pixels must be 2304 numbers, got 2305"):
        read_fer2013(written(tmp_path / "a.csv", lines))


@pytest.mark.parametrize("kept", [1, 3, 10, 4000])
def test_a_truncated_file(tmp_path: Path, kept: int) -> None:
    text = "\n".join(lines_of(FACES[:3]))
    last = text.rindex("\n") + 1
    path = tmp_path / "cut.csv"
    path.write_text(text[: last + kept])
    with pytest.raises(DataError, match=r"cut\.csv line 4: "):
        read_fer2013(path)
    assert len(read_fer2013(path, on_bad=lambda _: None)) == 2


@pytest.mark.parametrize(
    ("header", "missing", "found"),
    [
        ("emotion,Usage", "pixels", "'emotion', 'Usage'"),
        ("label,pixels", "emotion", "'label', 'pixels'"),
        ("pixels,Usage", "emotion", "'pixels', 'Usage'"),
        ("emotion;pixels;Usage", "pixels", "'emotion;pixels;Usage'"),
        ("0,1 2 3,Training", "pixels", "'0', '1 2 3', 'Training'"),
        ("", "pixels", "''"),
    ],
)
def test_a_missing_column_is_one_error(tmp_path: Path, header: str, missing: str, found: str) -> None:
    path = written(tmp_path / "a.csv", [header, "0,1 2 3,Training"])
    for on_bad in (None, lambda _: None):
        with pytest.raises(DataError) as raised:
            read_fer2013(path, on_bad=on_bad)
        assert f"{path} line 1 must name" in str(raised.value)
        assert f"{missing} is missing, got {found}" in str(raised.value)


def test_files_without_faces(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no faces"):
        read_fer2013(written(tmp_path / "a.csv", ["emotion,pixels,Usage"]))
    with pytest.raises(DataError, match=r"cannot read .*none\.csv: No such file"):
        read_fer2013(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot read"):
        read_fer2013(tmp_path)
    (tmp_path / "b.csv").write_bytes(bytes(range(256)) * 100)
    with pytest.raises(DataError, match="pixels is missing"):
        read_fer2013(tmp_path / "b.csv")


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", LINES + LINES[1:] * 2)
    calls: list[tuple[int, int]] = []
    read_fer2013(path, progress=lambda done, total: calls.append((done, total)))
    size = path.stat().st_size // 1_000_000
    assert calls[-1] == (size, size)
    assert calls == sorted(calls)
    assert len(calls) > 3


def test_memory_stays_near_that_of_the_pixels(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", LINES + LINES[1:] * 9)
    tracemalloc.start()
    faces = read_fer2013(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * faces.images.nbytes + 8e6
    assert peak < path.stat().st_size


def test_rows_that_no_csv_reader_takes_are_named(tmp_path: Path) -> None:
    quoted = [f'"{line.split(",")[0]}","{"1" * 140_000}","Training"' for line in LINES[1:3]]
    path = written(tmp_path / "a.csv", [LINES[0], LINES[1], *quoted, LINES[4]])
    with pytest.raises(DataError, match=r"a\.csv line 3: "):
        read_fer2013(path)
    bad: list[DataError] = []
    assert len(read_fer2013(path, on_bad=bad.append)) == 2
    assert len(bad) == 2
    carriage = written(tmp_path / "b.csv", ['"emotion","pixels"', '"0","1 2"'], end="\r")
    with pytest.raises(DataError, match=r"b\.csv line 1 "):
        read_fer2013(carriage)


@pytest.mark.linux
def test_a_name_that_is_no_text_is_spelled_out(tmp_path: Path) -> None:
    path = written(tmp_path / os.fsdecode(b"tr\xe9.csv"), ["emotion,pixels", LINES[1].rpartition(",")[0]])
    assert read_fer2013(path).ids.tolist() == ["tr\\udce9:0"]


def test_a_line_beyond_any_length_is_one_bad_line(tmp_path: Path) -> None:
    rows = columns_of(FACES[:3])["pixels"]
    path = written(tmp_path / "test.csv", ["pixels", rows[0], "1 " * (1 << 20), *rows[1:]])
    told: list[str] = []
    faces = read_fer2013(path, on_bad=lambda error: told.append(str(error)))
    assert len(told) == 1
    assert "line 3" in told[0]
    assert faces.ids.tolist() == ["test:0", "test:2", "test:3"]
