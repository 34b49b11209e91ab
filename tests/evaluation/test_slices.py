"""Slices: known gaps are found, chance names nobody, and a user's table is read or refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.evaluate import evaluate
from mien.evaluation.roll import roll_slice
from mien.evaluation.slice_columns import face_slices, quarters, read_slices
from mien.evaluation.slices import ALIKE, BETTER, PERHAPS_BETTER, PERHAPS_WORSE, TOO_FEW, WORSE, Slice, measure_slices
from mien.evaluation.twins import Twins
from mien.metrics import Proportion, difference_interval
from mien.types import Detections, FaceSet, Scores
from support import random_faces


def halves(count: int, name: str = "lamp") -> Slice:
    """A slice of two equal groups, in turn."""
    return Slice(name, ("on", "off"), np.arange(count) % 2)


def unsure(images: NDArray[np.uint8]) -> Scores:
    """Call every face every expression alike."""
    return Scores(np.full((len(images), 7), 1 / 7, np.float32))


# Newcombe (1998), Statistics in Medicine 17, table II, method 10
@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0000),
        ((10, 10, 0, 10), 0.6075, 1.0000),
    ],
)
def test_the_interval_of_a_gap_is_newcombes(cells: tuple[int, ...], low: float, high: float) -> None:
    found = difference_interval(Proportion(*cells[:2]), Proportion(*cells[2:]))
    assert found == pytest.approx((low, high), abs=5e-5)


def test_a_group_is_compared_with_the_rest_of_its_slice() -> None:
    right = np.array([True, True, True, False, False, True, True, False])
    codes = np.array([0, 0, 0, 0, 1, 1, 2, -1])
    report = measure_slices(right, [Slice("place", ("in", "out", "far", "none"), codes)])
    found = [(group.name, group.accuracy, group.rest) for group in report.groups]
    assert found == [
        ("in", Proportion(3, 4), Proportion(2, 3)),
        ("out", Proportion(1, 2), Proportion(4, 5)),
        ("far", Proportion(1, 1), Proportion(4, 6)),
    ]
    assert report.groups[0].gap == pytest.approx(3 / 4 - 2 / 3)
    assert {group.verdict for group in report.groups} == {TOO_FEW}


def test_a_group_that_is_worse_by_ten_points_is_named() -> None:
    rng = np.random.default_rng(0)
    group = rng.random(3600) < 0.25
    right = rng.random(3600) < np.where(group, 0.6, 0.7)
    planted = Slice("age", ("old", "young"), np.where(group, 0, 1))
    report = measure_slices(right, [halves(3600), planted])
    worst = report.worst[0]
    assert (worst.slice, worst.name, len(report.worst)) == ("age", "old", 1)
    assert worst.gap == pytest.approx(-0.1, abs=0.03)
    assert worst.interval[0] < -0.1 < worst.interval[1] < 0
    assert {each.name: each.verdict for each in report.groups}["young"] == BETTER


def test_groups_drawn_by_chance_are_hardly_ever_named() -> None:
    """Twenty slices without any gap: some group is called worse in at most 5% of evaluations."""
    named = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        right = rng.random(1000) < 0.7
        slices = [Slice(str(each), ("a", "b", "c"), rng.integers(0, 3, 1000)) for each in range(20)]
        named += bool(measure_slices(right, slices).worst)
    assert named <= 16  # 10 are expected at most; a binomial of 200 at 5% exceeds 16 once in 40


def test_too_few_faces_are_said_unless_they_tell() -> None:
    few = np.arange(1000) < 20
    division = Slice("hat", ("yes", "no"), np.where(few, 0, 1))
    alike = measure_slices(np.arange(1000) % 10 < 7, [division])
    assert alike.groups[0].verdict == TOO_FEW
    hopeless = measure_slices(~few, [division])
    assert hopeless.groups[0].verdict == WORSE


def test_a_verdict_never_contradicts_its_interval() -> None:
    """The interval of a gap leaves 0 out where the words say so: not all words, since each group is one of several."""
    seen = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        right = rng.random(2000) < rng.uniform(0.5, 0.9)
        slices = [Slice(str(each), ("a", "b", "c"), rng.integers(0, 3, 2000)) for each in range(5)]
        report = measure_slices(right, slices)
        for group in report.groups:
            low, high = group.interval
            told = {WORSE: high < 0, PERHAPS_WORSE: high < 0, BETTER: low > 0, PERHAPS_BETTER: low > 0}
            assert told.get(group.verdict, low <= 0 <= high), group
            seen.add(group.verdict)
        assert [group.verdict for group in report.perhaps_worse] == [PERHAPS_WORSE] * len(report.perhaps_worse)
    assert seen >= {PERHAPS_WORSE, PERHAPS_BETTER, ALIKE}


def test_two_slices_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="each slice must have a name of its own, got lamp twice"):
        measure_slices(np.ones(6, np.bool_), [halves(6), halves(6, "Lamp")])
    faces = random_faces(4)
    built_in = {each.name for each in face_slices(replace(faces, votes=random_faces(4, votes=True).votes))}
    for name in (*built_in, "Roll", "twin in training"):
        (tmp_path / "t.csv").write_text("id," + name + "\n" + "".join(f"{each},a\n" for each in faces.ids))
        with pytest.raises(DataError, match=f"mien has a slice {name.lower()} of its own, so name the column {name} o"):
            read_slices(tmp_path / "t.csv", faces)


def test_a_slice_of_one_group_or_of_other_faces() -> None:
    right = np.ones(4, np.bool_)
    assert measure_slices(right, [Slice("all", ("one",), np.zeros(4, np.int64))]).groups == ()
    with pytest.raises(DataError, match="the slice lamp must be of 4 faces, got 6"):
        measure_slices(right, [halves(6)])
    with pytest.raises(DataError, match="the slice lamp must be of 4 faces, got 6"):
        evaluate(unsure, random_faces(4), slices=[halves(6)])
    with pytest.raises(DataError, match=r"codes of lamp must be \(N,\), each -1 to 1"):
        Slice("lamp", ("on", "off"), np.array([0, 2]))


def test_quarters_have_equal_sizes_and_keep_ties_together() -> None:
    values = np.random.default_rng(0).permutation(np.arange(100.0))
    made = quarters("size", values)
    assert np.bincount(made.codes).tolist() == [25, 25, 25, 25]
    assert made.groups == ("lowest: 0 to 24", "25 to 49", "50 to 74", "highest: 75 to 99")
    assert {int(code) for code in made.codes[values < 25]} == {0}
    tied = quarters("size", np.array([1.0] * 90 + [2.0] * 10 + [np.nan]))
    assert np.unique(tied.codes[:90]).size == 1
    assert tied.codes[-1] == -1
    assert quarters("size", np.full(3, np.nan)).groups == ()


def eyes(picture: NDArray[np.uint8]) -> Detections:
    """Eyes that lean by as many degrees as the first pixel says; none at 0."""
    if not picture[0, 0, 0]:
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))
    turn = np.radians(float(picture[0, 0, 0]))
    points = np.zeros((1, 5, 2), np.float32)
    points[0, :2] = [[10, 20], [10 + 20 * np.cos(turn), 20 + 20 * np.sin(turn)]]
    return Detections(np.array([[0, 0, 48, 48]], np.float32), np.ones(1, np.float32), points)


def test_what_faces_show_divides_them() -> None:
    drawn = random_faces(8)
    images = drawn.images.copy()
    images[:4] //= 2
    images[4:6] = images[4:6].mean(axis=(1, 2), keepdims=True)
    votes = np.zeros((8, 10), np.float32)
    votes[:, 0] = [10, 9, 8, 7, 6, 5, 0, 10]
    votes[:, 3] = [0, 1, 2, 3, 4, 5, 0, 0]
    faces = FaceSet(images, drawn.labels, drawn.splits, drawn.ids, votes)
    identical = np.arange(8) < 2
    twins = Twins(identical, np.arange(8) < 5)
    made = {each.name: each for each in face_slices(faces, twins=twins)}
    assert list(made) == ["brightness", "sharpness", "twin in training", "annotators who agree"]
    order = np.argsort(faces.images.mean(axis=(1, 2)))
    assert (np.diff(made["brightness"].codes[order]) >= 0).all()
    assert made["sharpness"].codes[4] == made["sharpness"].codes[5] == 0  # hardly any detail
    assert made["twin in training"].codes.tolist() == [2, 2, 1, 1, 1, 0, 0, 0]
    assert made["annotators who agree"].codes.tolist() == [0, 1, 1, 2, 2, 3, -1, 0]
    bare = face_slices(random_faces(8))
    assert [each.name for each in bare] == ["brightness", "sharpness"]


def test_the_eyes_tell_how_far_a_face_leans() -> None:
    drawn = random_faces(8)
    images = drawn.images.copy()
    images[:, 0, 0] = [0, 2, 4, 10, 14, 30, 200, 2]
    told: list[tuple[int, int]] = []
    made = roll_slice(replace(drawn, images=images), eyes, progress=lambda done, total: told.append((done, total)))
    assert made.codes.tolist() == [3, 0, 0, 1, 1, 2, 2, 0]
    assert told[-1] == (8, 8)


def test_a_users_table_becomes_slices(tmp_path: Path) -> None:
    faces = random_faces(12)
    lines = ["skin,ID,age,group"]
    lines += [
        f"{'dark' if row % 2 else 'light'},{faces.ids[row]},{20 + row},{10 if row < 5 else 9}" for row in range(11)
    ]
    lines[3] = f",{faces.ids[2]},,9"
    lines.append("light,a face that is not here,99,9")
    path = tmp_path / "groups.csv"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    made = {each.name: each for each in read_slices(path, faces)}
    assert list(made) == ["skin", "age", "group"]
    assert made["skin"].groups == ("dark", "light")
    assert made["skin"].codes.tolist() == [1, 0, -1, 0, 1, 0, 1, 0, 1, 0, 1, -1]
    assert made["age"].codes.tolist() == [0, 0, -1, 0, 1, 1, 2, 2, 3, 3, 3, -1]
    assert made["age"].groups[0] == "lowest: 20 to 23"
    assert made["group"].groups == ("9", "10")  # as numbers
    assert made["group"].codes[-1] == -1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1 must name its columns, each once; got nothing"),
        ("id\na", "line 1 must name a column id and one or more others; got id"),
        ("name,age\na,1", "line 1 must name a column id and one or more others; got name, age"),
        ("id,age,Age\na,1,2", "each once; got id, age, Age"),
        ("id,,age\na,1,2", "line 1 must name its columns"),
        ("id,age\nvalid/0/0,1\nvalid/0/0,2", "line 3: an id must be there once, got valid/0/0 again"),
        ("id,age\nvalid/0/0,1,2", "line 2: must have 2 fields, got 3"),
        (
            "id,age\nsomebody,1",
            "must have rows of these faces, .* such as valid/0/0; got none of the 60 in 1 row",
        ),
        ('id,age\n"valid/0/0,1', "must have 2 fields"),
        ("id,word\n" + "\n".join(f"valid/0/{row},w{row}" for row in range(60)), "the column word must hold at most 50"),
        ("id,word\nvalid/0/0,\xff", "must be a CSV file as UTF-8 text"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=said):
        read_slices(path, random_faces(60))


def test_a_table_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv: No such file"):
        read_slices(tmp_path / "none.csv", random_faces(2))
    with pytest.raises(DataError, match="cannot read"):
        read_slices(tmp_path, random_faces(2))
