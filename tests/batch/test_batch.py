"""`mien batch`: the rows of `mien predict`, whatever is lost on the way, and errors that end nothing."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from clips import Actor, at, write_clip
from deadly import Deadly, Faulty, grey_pictures
from mien import Predictor
from mien.batch.place import finds_results
from mien.batch.run import Batch, Engine
from mien.detect.whole_image import whole_image
from mien.errors import RunError
from processes import stop_mien
from support import run_mien, tiny_model


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with 40 pictures of a face each, and a model."""
    monkeypatch.chdir(tmp_path)
    grey_pictures(tmp_path / "photos", 40)
    tiny_model(tmp_path / "m.onnx")
    return tmp_path


def manifest(out: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return facts


def rows(out: Path) -> list[dict[str, Any]]:
    """All rows, in the order of the manifest."""
    files = [out / each["file"] for each in manifest(out)["partitions"]]
    assert sorted(files) == sorted((out / "rows").iterdir())
    return [row for file in files for row in parquet.read_table(file).to_pylist()]


def assert_same_rows(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    pd.testing.assert_frame_equal(pd.DataFrame(ours), pd.DataFrame(theirs), rtol=1e-5, atol=1e-6)


def errors(out: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = parquet.read_table(out / "errors.parquet").to_pylist()
    return found


def predicted(*words: str) -> list[dict[str, Any]]:
    run_mien("predict", *words, "-o", "expected.parquet")
    expected: list[dict[str, Any]] = parquet.read_table("expected.parquet").to_pylist()
    return expected


def batch(*words: str, options: tuple[str, ...] = ("--cropped", "-m", "m.onnx", "--workers", "2")) -> str:
    ended = run_mien("batch", *words, *options)
    assert ended.code == 0, ended.err
    return ended.out + ended.err


def test_the_rows_are_those_of_predict(desk: Path) -> None:
    said = batch("photos", "-o", "out")
    assert "out: 40 faces in 40 pictures, " in said
    expected = predicted("photos", "--cropped", "-m", "m.onnx")
    assert_same_rows(rows(desk / "out"), expected)
    assert errors(desk / "out") == []
    assert manifest(desk / "out")["pictures"] == 40


def test_what_cannot_be_read_is_an_error_and_no_end(desk: Path) -> None:
    (desk / "photos" / "0003.png").write_bytes(b"no picture")
    (desk / "photos" / "0004.png").write_bytes((desk / "photos" / "0005.png").read_bytes()[:99])
    (desk / "list.txt").write_text("photos\nnone.png\n")
    said = batch("@list.txt", "-o", "out")
    assert "3 errors, all in out/errors.parquet" in said
    assert batch("@list.txt", "-o", "out") == said  # although nothing was done
    assert [each["source"] for each in errors(desk / "out")] == ["none.png", "photos/0003.png", "photos/0004.png"]
    assert all(each["source"] in each["error"] and "\n" not in each["error"] for each in errors(desk / "out"))
    assert len(rows(desk / "out")) == 38
    assert manifest(desk / "out")["errors"] == 3


def test_the_first_errors_are_named(desk: Path) -> None:
    for number in range(7):
        (desk / "photos" / f"00{number:02d}.png").write_bytes(b"no picture")
    for _ in range(2):
        said = batch("photos", "-o", "out")
        named = [line for line in said.splitlines() if line.startswith("left out: ")]
        assert [line.split()[2] for line in named] == [f"photos/000{number}.png" for number in range(5)]
        assert "7 errors, all in out/errors.parquet" in said


def test_where_nothing_can_be_read_the_command_fails(desk: Path) -> None:
    (desk / "bad.jpg").write_bytes(b"no picture")
    ended = run_mien("batch", "bad.jpg", "-o", "out", "-m", "m.onnx")
    assert ended.code == 1
    assert "left out: bad.jpg must be a picture" in ended.err
    assert "none of 1 inputs could be read; out/errors.parquet says why" in ended.err


def test_a_finished_batch_is_not_done_again(desk: Path) -> None:
    batch("photos", "-o", "out")
    before = {path: path.stat().st_mtime_ns for path in (desk / "out" / "rows").iterdir()}
    batch("photos", "-o", "out")
    assert {path: path.stat().st_mtime_ns for path in (desk / "out" / "rows").iterdir()} == before


def test_a_damaged_or_lost_partition_is_done_again(desk: Path) -> None:
    batch("photos", "-o", "out")
    expected = rows(desk / "out")
    first, second, *_ = sorted((desk / "out" / "rows").iterdir())
    first.write_bytes(first.read_bytes()[:-9])
    second.unlink()
    batch("photos", "-o", "out")
    assert rows(desk / "out") == expected


def test_what_failed_is_tried_again_when_asked(desk: Path) -> None:
    path = desk / "photos" / "0003.png"
    content, times = path.read_bytes(), path.stat()
    path.write_bytes(b"-" * len(content))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    batch("photos", "-o", "out")
    path.write_bytes(content)  # as if the disk had been at fault
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    batch("photos", "-o", "out")
    assert [each["source"] for each in errors(desk / "out")] == ["photos/0003.png"]
    batch("photos", "-o", "out", "--retry")
    assert errors(desk / "out") == []
    assert len(rows(desk / "out")) == 40


def test_rows_of_other_inputs_are_replaced_only_when_asked(desk: Path) -> None:
    batch("photos", "-o", "out")
    (desk / "photos" / "0007.png").unlink()
    ended = run_mien("batch", "photos", "-o", "out", "--cropped", "-m", "m.onnx")
    assert ended.code == 1
    assert "of other inputs, another model or other settings" in ended.err
    assert len(rows(desk / "out")) == 40
    batch("photos", "-o", "out", "--update")
    assert [row["source"][7:11] for row in rows(desk / "out")] == [f"{n:04d}" for n in range(40) if n != 7]


def test_pictures_from_parquet_and_videos_with_tracks(desk: Path) -> None:
    contents = [path.read_bytes() for path in sorted((desk / "photos").iterdir())[:3]]
    table = pa.table({"blob": [*contents, b"no picture", None], "who": list("abcde")})
    parquet.write_table(table, desk / "shard.parquet", row_group_size=2)
    write_clip(desk / "party.mp4", [Actor(at(160, 120))], duration=0.4)
    columns = ("--bytes-column", "blob", "--id-column", "who")
    batch("shard.parquet", "party.mp4", "-o", "out", *columns, options=("-m", "m.onnx", "--workers", "1"))
    found = rows(desk / "out")
    expected = predicted("party.mp4", "-m", "m.onnx")
    assert len(expected) == 10
    assert_same_rows([row for row in found if row["source"] == "party.mp4"], expected)
    assert [each["source"] for each in errors(desk / "out")] == ["d", "e"]
    assert manifest(desk / "out")["frames"] == 10
    assert manifest(desk / "out")["pictures"] == 3


def test_addresses_are_read_and_written(desk: Path) -> None:
    batch("photos", "-o", "plain")
    batch(f"file://{desk}/photos", "-o", f"file://{desk}/out")
    expected = [{**row, "source": f"file://{desk}/{row['source']}"} for row in rows(desk / "plain")]
    found = sorted(rows(desk / "out"), key=lambda row: str(row["source"]))
    assert_same_rows(found, expected)


@pytest.mark.parametrize(
    "words",
    [
        ["photos", "-o", "photos/out"],
        ["photos", "-o", "photos/0001.png"],
        ["**", "-o", "out"],
        ["**/*", "-o", "photos/out"],
        ["ph*s/**", "-o", "photos/out"],
        ["photos/*/*.parquet", "-o", "photos/out"],
        ["photos/../photos/**/*.p*", "-o", "photos/a/b"],
        ["@list.txt", "-o", "photos/out"],
        ["file://{desk}/photos/**", "-o", "file://{desk}/photos/out"],
        ["file://{desk}/photos", "-o", "file://{desk}/photos/out"],
    ],
    ids=" ".join,
)
def test_an_output_among_the_inputs_is_refused(desk: Path, words: list[str]) -> None:
    (desk / "list.txt").write_text("photos/0001.png\nphotos/**\n")
    ended = run_mien("batch", *(word.format(desk=desk) for word in words), "-m", "m.onnx")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "which is read; choose another folder" in ended.err or words[-1].endswith("png")
    assert len(list((desk / "photos").iterdir())) == 40


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("photos/**/*.png", "photos/out"),
        ("photos/*.parquet", "photos/out"),
        ("photos/**", "out"),
        ("photos/**", "photos-2/out"),
        ("**/*", ".out"),
        ("s3://a/photos/**", "s3://a/rows"),
        ("s3://a/photos/**/*.jpg", "s3://a/photos/out"),
        ("s3://a/photos/**", "photos/out"),
    ],
)
@pytest.mark.usefixtures("desk")
def test_an_output_beside_the_inputs_is_taken(source: str, out: str) -> None:
    assert not finds_results(source, out)


def test_without_pyarrow_the_extra_is_named(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    ended = run_mien("batch", "photos", "-o", "out", "-m", "m.onnx")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "Parquet needs more packages; install them with" in ended.err
    assert not (desk / "out").exists()


def test_progress_shows_a_rate_and_the_time_left(desk: Path) -> None:
    assert len(list((desk / "photos").iterdir())) == 40
    ended = run_mien("batch", "photos", "-o", "out", "--cropped", "-m", "m.onnx", watched=True)
    assert "/s" in ended.err
    assert "40/40" in ended.err
    assert "left" in ended.err


def deadly_batch(out: Path, photos: Path, classifier: Deadly | Faulty, *, workers: int = 1) -> Batch:
    predictor = Predictor(classifier, detector=whole_image)
    job = Batch([str(photos)], str(out), predictor=predictor, settings={}, partition=16)
    job.run(Engine(workers=workers))
    return job


@pytest.mark.linux
@pytest.mark.parametrize("deaths", [1, 3])
def test_killed_workers_lose_and_double_nothing(tmp_path: Path, deaths: int) -> None:
    photos = tmp_path / "photos"
    grey_pictures(photos, 60, fatal=(5, 33))
    lives = tmp_path / "lives"
    lives.mkdir()
    deadly_batch(tmp_path / "whole", photos, Deadly(lives))
    for number in range(deaths):
        (lives / str(number)).touch()
    deadly_batch(tmp_path / "out", photos, Deadly(lives), workers=2)
    assert not list(lives.iterdir())
    assert rows(tmp_path / "out") == rows(tmp_path / "whole")
    assert len(rows(tmp_path / "out")) == 60


@pytest.mark.linux
def test_a_picture_that_ends_its_readers_is_left_out(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    paths = grey_pictures(photos, 20, fatal=(11,))
    deadly_batch(tmp_path / "out", photos, Deadly())
    assert [each["source"] for each in errors(tmp_path / "out")] == [str(paths[11])]
    assert "all workers that read it ended" in errors(tmp_path / "out")[0]["error"]
    assert [row["source"] for row in rows(tmp_path / "out")] == [str(path) for path in paths if path != paths[11]]


@pytest.mark.parametrize("error", ["FaultError", "LockedError"])
def test_a_fault_that_cannot_be_sent_is_told_all_the_same(tmp_path: Path, error: str) -> None:
    grey_pictures(tmp_path / "photos", 3)
    with pytest.raises(RunError, match=rf"^a worker failed: {error}: device 0: 3 lost") as caught:
        deadly_batch(tmp_path / "out", tmp_path / "photos", Faulty(error))
    assert "predict_batch" in caught.value.__notes__[0]
    assert list((tmp_path / "out").glob("rows/*.parquet")) == []


# A batch that comes to a gate after two partitions, so that it cannot end, nor be writing, when the signal comes.
_GATED = "import deadly, mien.cli.batch; mien.cli.batch.Predictor = deadly.gated_predictor"


@pytest.mark.linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_batch_that_was_stopped_goes_on(desk: Path, number: int) -> None:
    grey_pictures(desk / "many", 300)
    words = ("batch", "many", "--cropped", "-m", "m.onnx", "--partition", "16", "--workers", "2")
    assert run_mien(*words, "-o", "whole").code == 0
    (desk / "waiting").mkdir()

    def both_wait() -> bool:
        return len(list((desk / "waiting").iterdir())) == 2

    ended = stop_mien(both_wait, number, *words, "-o", "out", folder=desk, before=_GATED)
    assert ended.returncode in (-number, 128 + number)
    assert not (desk / "out" / "manifest.json").exists()
    if number != signal.SIGKILL:
        assert "partitions are done; the same command goes on" in ended.stderr
        assert not list((desk / "out" / "rows").glob("*.part"))
    done = {path.name: path.stat().st_mtime_ns for path in (desk / "out" / "rows").glob("*.parquet")}
    ended_well = run_mien(*words, "-o", "out")
    assert ended_well.code == 0, ended_well.err
    assert len(done) >= 2
    assert {name: (desk / "out" / "rows" / name).stat().st_mtime_ns for name in done} == done
    assert rows(desk / "out") == rows(desk / "whole")
    assert (desk / "out" / "errors.parquet").read_bytes() == (desk / "whole" / "errors.parquet").read_bytes()
    assert (desk / "out" / "manifest.json").read_bytes() == (desk / "whole" / "manifest.json").read_bytes()
