from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mien.data.formats.ferplus import add_votes
from mien.errors import DataError
from mien.labels import VOTES
from mien.types import FaceSet
from support import random_faces

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
ORDER = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt", "unknown", "nonface")
ROWS = (
    "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",
    "Training,,0,0,0,0,0,0,0,0,0,10",
    "PublicTest,fer0000002.png,6,0,1,1,0,0,0,0,2,0",
    "PrivateTest,fer0000003.png,0,10,0,0,0,0,0,0,0,0",
)
USAGES = np.array(["train", "train", "valid", "test"])


def faces_of(rows: list[int]) -> FaceSet:
    noise = random_faces(4)[rows]
    ids = np.array([f"fer{row:07d}" for row in rows])
    return FaceSet(noise.images, noise.labels, USAGES[rows], ids)


FACES = faces_of([0, 1, 2, 3])


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_votes_are_found_by_the_names_of_their_columns(tmp_path: Path) -> None:
    votes = add_votes(FACES, written(tmp_path / "fer2013new.csv", HEADER, *ROWS)).votes
    table = pd.read_csv(tmp_path / "fer2013new.csv")
    assert votes is not None
    for column, name in zip(table.columns[2:], ORDER, strict=True):
        expected = np.where(table["Image name"].isna(), 0, table[column])
        assert votes[:, VOTES.index(name)].tolist() == expected.tolist()


def test_columns_in_another_order(tmp_path: Path) -> None:
    straight = add_votes(FACES, written(tmp_path / "a.csv", HEADER, *ROWS))
    backwards = [",".join(line.split(",")[::-1]) for line in (HEADER, *ROWS)]
    assert add_votes(FACES, written(tmp_path / "b.csv", *backwards)).hash == straight.hash
    assert straight.hash != FACES.hash


def test_nothing_but_the_votes_changes(tmp_path: Path) -> None:
    voted = add_votes(FACES, written(tmp_path / "a.csv", HEADER, *ROWS))
    assert np.array_equal(voted.images, FACES.images)
    assert (voted.ids.tolist(), voted.splits.tolist()) == (FACES.ids.tolist(), FACES.splits.tolist())
    assert voted.plurality.tolist() == [6, -1, 6, 3]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((HEADER, *ROWS[:3]), "must have a row for each row of fer2013.csv: 4, got 3"),
        ((HEADER, *ROWS, ROWS[3]), "4, got 5"),
        ((HEADER, ROWS[2], ROWS[1], ROWS[0], ROWS[3]), "line 2: Usage must be that of fer0000000, train, got valid"),
        ((HEADER, ROWS[0].replace("000.png", "001.png"), *ROWS[1:]), "Image name must be fer0000000.png or empty"),
        ((HEADER, ROWS[0].replace("Training", "Train"), *ROWS[1:]), "line 2: Usage must be Training"),
        ((HEADER, *ROWS[:3], "PrivateTest,fer0000003.png,0,10,0"), "line 5: must have 12 columns or more, got 5"),
        ((HEADER, *ROWS[:3], ROWS[3].replace(",10,", ",-1,")), "line 5: votes must be whole numbers, got '-1'"),
        ((HEADER, *ROWS[:3], ROWS[3].replace(",10,", ",,")), "line 5: votes must be whole numbers, got ''"),
        ((HEADER.replace("fear", "fright"), *ROWS), "fear is missing, got Usage, Image name, neutral"),
        ((HEADER.replace("Image name", "file"), *ROWS), "Image name is missing"),
        (("",), "Usage, Image name, angry"),
    ],
)
def test_what_disagrees_is_refused(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    path = written(tmp_path / "fer2013new.csv", *lines)
    with pytest.raises(DataError) as raised:
        add_votes(FACES, path)
    assert said in str(raised.value)
    assert str(path) in str(raised.value)


def test_selected_faces_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", HEADER, *ROWS)
    with pytest.raises(DataError, match="before faces are selected"):
        add_votes(FACES[[0, 2]], path)


def test_rows_that_were_left_out_do_not_shift_the_others(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", HEADER, *ROWS)
    every = add_votes(FACES, path)
    assert add_votes(faces_of([0, 2, 3]), path, left_out=1).hash == every[[0, 2, 3]].hash
    with pytest.raises(DataError, match="5, got 4"):
        add_votes(FACES, path, left_out=1)


def test_faces_whose_row_is_not_known_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", HEADER, *ROWS)
    noise = random_faces(4)
    folder = FaceSet(noise.images, noise.labels, USAGES, np.array(["train/sad/1.png", "a", "b", "c"]))
    with pytest.raises(DataError, match=r"ids are like fer0000000; got train/sad/1\.png"):
        add_votes(folder, path)
    beyond = FaceSet(
        noise.images, noise.labels, USAGES, np.array(["fer0000000", "fer0000001", "fer0000002", "fer0000009"])
    )
    with pytest.raises(DataError, match="has no row for fer0000009"):
        add_votes(beyond, path)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv"):
        add_votes(FACES, tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00" * 50)
    with pytest.raises(DataError, match=r"b\.csv must be a CSV file as UTF-8 text"):
        add_votes(FACES, tmp_path / "b.csv")


@pytest.mark.linux
def test_a_device_without_an_end_is_refused() -> None:
    with pytest.raises(DataError, match="line 1 must name the columns"):
        add_votes(FACES, "/dev/zero")


def test_a_count_of_hundreds_of_digits_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", HEADER, *ROWS[:3], ROWS[3].replace(",10,", f",{'9' * 400},"))
    with pytest.raises(DataError, match="line 5: votes must be whole numbers, got '9999") as raised:
        add_votes(FACES, path)
    assert len(str(raised.value)) < 300
