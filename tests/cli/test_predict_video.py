import csv
import io
import json
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import av
import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from clips import Clip
from mien.io import video_reader as video
from mien.io.video_reader import read_video
from mien.labels import EXPRESSIONS
from processes import has_part, stop_mien
from support import run_mien

COLUMNS = ["source", "seconds", "track", "face", "left", "top", "right", "bottom"]
COLUMNS += ["detection", "quality", "expression", "confidence", *EXPRESSIONS]


@pytest.fixture
def cut_short(clip: Clip, tmp_path: Path) -> Path:
    """The same, of which the end is missing."""
    path = tmp_path / "cut.mp4"
    with av.open(str(clip.path)) as old, av.open(str(path), "w", options={"movflags": "+faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    return path


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_video_becomes_a_row_a_face_and_frame(clip: Clip, model: Path) -> None:
    outcome = run_mien("predict", clip.path, "-m", model)
    assert outcome.code == 0
    rows = table(outcome.out)
    assert list(rows[0]) == COLUMNS
    assert [float(row["seconds"]) for row in rows] == pytest.approx(clip.seconds, abs=1e-3)
    assert {(row["source"], row["track"], row["quality"]) for row in rows} == {(str(clip.path), "1", "good")}
    assert "25 faces in 25 frames, 1 track: " in outcome.err


def test_times_are_spelt_as_people_do(clip: Clip, model: Path) -> None:
    for every, start, end in (("0.2s", "0.2", "0:00.7"), ("0.2", "0:0.2s", "0.7s")):
        outcome = run_mien("predict", clip.path, "-m", model, "--every", every, "--start", start, "--end", end)
        assert [float(row["seconds"]) for row in table(outcome.out)] == pytest.approx([0.2, 0.4, 0.6])
    outcome = run_mien("predict", clip.path, "-m", model, "--every", "often")
    assert (outcome.code, "must be seconds, such as 0.2, 90s or 1:30, got often" in outcome.err) == (2, True)
    outcome = run_mien("predict", clip.path, "-m", model, "--start", "3", "--end", "2")
    assert (outcome.code, outcome.err) == (1, "mien: end must be later than start, 3.0 seconds, got 2.0\n")


def test_every_kind_of_table_holds_the_same(clip: Clip, model: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl", "parquet"):
        assert run_mien("predict", clip.path, "-m", model, "-o", tmp_path / f"p.{suffix}").code == 0
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 25
    kept = parquet.read_table(tmp_path / "p.parquet").to_pylist()
    assert [row["track"] for row in kept] == [row["track"] for row in lines]
    assert [row["seconds"] for row in kept] == pytest.approx([row["seconds"] for row in lines])
    rows = table((tmp_path / "p.csv").read_text(encoding="utf-8"))
    assert rows == [{name: str(value) for name, value in line.items()} for line in lines]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "p.jsonl", "p.parquet"]


def test_raw_is_not_smoothed(clip: Clip, model: Path) -> None:
    smooth, raw = (
        np.array([float(row["happy"]) for row in table(run_mien("predict", clip.path, "-m", model, *more).out)])
        for more in ((), ("--smooth", "0"))
    )
    assert smooth[0] == raw[0]
    assert np.abs(np.diff(smooth)).max() < np.abs(np.diff(raw)).max()


def test_a_terminal_gets_lines_with_the_time(clip: Clip, model: Path) -> None:
    lines = run_mien("predict", clip.path, "-m", model, "--every", "0.4", columns=120).out.splitlines()
    assert lines[0].split()[:5] == ["source", "seconds", "track", "face", "left"]
    assert lines[2].split()[1:4] == ["0.40", "1", "0"]


def test_a_summary_on_a_terminal_shows_names_as_they_are(clip: Clip, model: Path, tmp_path: Path) -> None:
    name = tmp_path / "title [dQw4w9WgXcQ][" / "b].mp4"
    name.parent.mkdir()
    name.write_bytes(clip.path.read_bytes())
    outcome = run_mien("predict", name, "-m", model, "--every", "1", "--summary", columns=400)
    assert outcome.code == 0, outcome.err
    assert "title [dQw4w9WgXcQ][/b].mp4" in outcome.out.splitlines()[-1]


def test_a_copy_of_the_video_shows_what_was_seen(clip: Clip, model: Path, tmp_path: Path) -> None:
    outcome = run_mien("predict", clip.path, "-m", model, "--draw", tmp_path / "out.mp4", "-o", tmp_path / "p.csv")
    assert outcome.code == 0
    frames = list(read_video(str(tmp_path / "out.mp4")))
    assert [frame.seconds for frame in frames] == pytest.approx(clip.seconds, abs=1e-3)
    row = table((tmp_path / "p.csv").read_text(encoding="utf-8"))[10]
    left, top, bottom = (2 * round(float(row[name])) for name in ("left", "top", "bottom"))  # small pictures grow
    truth = clip.pictures[10].repeat(2, axis=0).repeat(2, axis=1)
    changed = np.abs(frames[10].picture.astype(int) - truth).sum(axis=2)
    assert changed[top + 20 : bottom - 20, left - 2 : left + 3].max(axis=1).mean() > 100
    assert changed[:30, :200].mean() < 20
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"


def test_a_folder_takes_copies_of_anything(clip: Clip, model: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(clip.path.read_bytes())
    Image.fromarray(clip.pictures[0]).save(tmp_path / "clip.png")
    drawn = tmp_path / "drawn"
    names = [tmp_path / name for name in ("clip.mp4", "clip.png", "clip.mp4")]
    outcome = run_mien("predict", *names, "-m", model, "--draw", drawn)
    assert outcome.code == 0
    assert sorted(path.name for path in drawn.iterdir()) == ["clip-2.mp4", "clip.mp4", "clip.png"]
    assert len(list(read_video(str(drawn / "clip-2.mp4")))) == 25
    assert "51 faces in 1 picture and 50 frames, 1 track: " in outcome.err


def test_drawing_never_overwrites_the_video(clip: Clip, model: Path) -> None:
    before = clip.path.read_bytes()
    for target, message in ((clip.path, "it is an input"), (clip.path.parent, "--draw must be another folder")):
        outcome = run_mien("predict", clip.path, "-m", model, "--draw", target)
        assert (outcome.code, message in outcome.err) == (1, True)
    outcome = run_mien("predict", clip.path, clip.path, "-m", model, "--draw", "out.mp4")
    assert outcome.err == "mien: --draw out.mp4 takes one video; for anything else, name a folder\n"
    assert clip.path.read_bytes() == before


def test_a_plot_and_a_summary(clip: Clip, model: Path, tmp_path: Path) -> None:
    for name in ("plot.png", "plot.html"):
        outcome = run_mien("predict", clip.path, "-m", model, "--timeline", tmp_path / name, "--summary")
        assert outcome.code == 0
        assert (tmp_path / name).stat().st_size > 1000
        rows = table(outcome.out)
        assert len(rows) >= 1
        assert float(rows[0]["seconds"]) == pytest.approx(1.0, abs=0.05)
        assert sum(float(rows[0][name]) for name in EXPRESSIONS) == pytest.approx(1)


def test_a_list_and_a_pattern_name_videos_and_pictures(clip: Clip, model: Path, tmp_path: Path) -> None:
    Image.fromarray(clip.pictures[0]).save(tmp_path / "a.png")
    (tmp_path / "a.mp4").write_bytes(clip.path.read_bytes())
    (tmp_path / "names.txt").write_text(f"{tmp_path / 'a.png'}\n\n{clip.path}\n{tmp_path / 'gone.png'}\n")
    outcome = run_mien("predict", f"@{tmp_path / 'names.txt'}", "-m", model, "--every", "0.5")
    assert outcome.code == 1
    rows = table(outcome.out)
    assert [(Path(row["source"]).name, row["seconds"], row["track"]) for row in rows] == [
        ("a.png", "", ""),
        ("clip.mp4", "0.0", "1"),
        ("clip.mp4", "0.52", "1"),
    ]
    assert "gone.png: there is no such file" in outcome.err
    assert outcome.err.endswith("mien: 1 of 3 sources could not be read whole; they are named above\n")
    outcome = run_mien("predict", str(tmp_path / "a.*"), "-m", model, "--every", "0.5")
    assert [Path(row["source"]).name for row in table(outcome.out)] == ["a.mp4", "a.mp4", "a.png"]


# What is wrong with what is read


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("text.mp4", lambda _: b"no video at all\n" * 50, "cannot be read: it is no video"),
        ("empty.mp4", lambda _: b"", "cannot be read: it is no video"),
        ("half.mp4", lambda whole: whole[: len(whole) // 2], "is cut short, or is broken at its start"),
        ("none.y4m", lambda _: b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n", "holds no frame that can be read"),
    ],
)
def test_a_video_that_gives_nothing_is_one_line_and_no_output(
    clip: Clip, model: Path, tmp_path: Path, name: str, make: Callable[[bytes], bytes], message: str
) -> None:
    (tmp_path / name).write_bytes(make(clip.path.read_bytes()))
    outputs: list[str | Path] = [
        "-o",
        tmp_path / "p.csv",
        "--draw",
        tmp_path / "out.mp4",
        "--timeline",
        tmp_path / "plot.png",
    ]
    outcome = run_mien("predict", tmp_path / name, "-m", model, *outputs)
    assert outcome.code == 1
    assert outcome.err.startswith(f"mien: {tmp_path / name}")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_of_a_truncated_video_all_is_told_that_there_is(cut_short: Path, model: Path, tmp_path: Path) -> None:
    outcome = run_mien("predict", cut_short, "-m", model, "-o", tmp_path / "p.csv", "--draw", tmp_path / "out.mp4")
    assert outcome.code == 1
    rows = table((tmp_path / "p.csv").read_text(encoding="utf-8"))
    assert 3 < len(rows) < 22
    assert len(list(read_video(str(tmp_path / "out.mp4")))) == len(rows)
    assert f"mien: {cut_short} was not read whole: it ends after" in outcome.err
    assert [line.split(":")[0] for line in outcome.err.splitlines()[:2]] == [
        f"wrote {tmp_path / name}" for name in ("p.csv", "out.mp4")
    ]
    assert len(outcome.err.splitlines()) == 4


@pytest.mark.linux
def test_a_huge_picture_is_refused_without_being_unpacked(model: Path, tmp_path: Path) -> None:
    side = 20_000

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])  # of one bit a pixel
    rows = zlib.compress(bytes(1 + side // 8) * side)
    (tmp_path / "huge.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    code = "from mien.cli.main import main\n"
    code += "try: main()\nfinally: print(*[line for line in open('/proc/self/status') if line.startswith('VmHWM')])"
    command = [sys.executable, "-c", code, "predict", str(tmp_path / "huge.png"), "-m", str(model)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "huge.png must be at most 120,000,000 pixels large; make it smaller first" in ended.stderr
    assert int(ended.stdout.split()[1]) < 400_000  # KiB at the most; its pixels alone would be 1.2 GB


def test_one_unreadable_picture_among_many(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    folder.mkdir()
    face = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)).save(face, "PNG")
    for number in range(200):
        (folder / f"{number:04}.png").write_bytes(face.getvalue() if number != 117 else face.getvalue()[:300])
    outcome = run_mien("predict", folder, "--cropped", "-m", model, "-o", tmp_path / "p.csv")
    assert outcome.code == 1
    assert len(table((tmp_path / "p.csv").read_text(encoding="utf-8"))) == 199
    first, *_, last = outcome.err.splitlines()
    assert first.startswith(f"left out: {folder / '0117.png'} cannot be read")
    assert last == "mien: 1 of 200 pictures could not be read; they are named above"


class Camera:
    """A camera that shows a clip again and again, and then is unplugged, or interrupts whoever looks."""

    def __init__(self, clip: Clip, packets: int, end: BaseException) -> None:
        self._container = av.open(str(clip.path))
        self._packets = packets
        self._end = end
        self.duration = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._container, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def demux(self, stream: av.VideoStream) -> "Iterator[av.Packet[av.VideoStream]]":
        for number, packet in enumerate(self._container.demux(stream)):
            if number == self._packets:
                raise self._end
            time.sleep(0.04)
            yield packet


def test_an_unplugged_camera(clip: Clip, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_open", lambda _: Camera(clip, 20, OSError(19, "No such device")))
    outcome = run_mien("predict", "webcam:0", "-m", model, "-o", tmp_path / "p.csv", "--draw", tmp_path / "drawn")
    assert outcome.code == 1
    assert "mien: webcam:0 was not read whole: it stopped after" in outcome.err
    assert outcome.err.endswith("seconds: No such device\n")
    rows = table((tmp_path / "p.csv").read_text(encoding="utf-8"))
    assert rows
    assert {row["source"] for row in rows} == {"webcam:0"}
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["webcam-0.mp4"]


def test_a_camera_that_is_not_there(model: Path, tmp_path: Path) -> None:
    outcome = run_mien("predict", "webcam:97", "-m", model, "-o", tmp_path / "p.csv")
    assert outcome.code == 1
    assert outcome.err.startswith("mien: webcam:97: the camera cannot be opened: ")
    assert len(outcome.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_is_the_usual_end_of_a_camera(
    clip: Clip, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "_open", lambda _: Camera(clip, 24, KeyboardInterrupt()))
    outcome = run_mien("predict", "webcam:0", "-m", model, "-o", tmp_path / "p.csv", "--draw", tmp_path / "out.mp4")
    assert outcome.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "p.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "none/p.csv"], "cannot write none/p.csv: there is no folder none"),
        (["--draw", "none/out.mp4"], "cannot write none/out.mp4: there is no folder none"),
        (["--draw", "file/drawn"], "cannot make the folder file/drawn"),
        (["--timeline", "."], "cannot write .: it is a folder"),
        (["--timeline", "none/plot.png"], "cannot write none/plot.png: there is no folder none"),
        (["--timeline", "plot.gif"], "a timeline's name must end in .png or .html, got plot.gif"),
    ],
)
def test_what_cannot_be_written_is_said_in_a_line(
    clip: Clip, model: Path, tmp_path: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    outcome = run_mien("predict", clip.path, "-m", model, *arguments)
    assert outcome.code == 1
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.linux
@pytest.mark.parametrize(
    ("name", "signal_number"),
    [
        ("p.csv", signal.SIGKILL),
        ("p.parquet", signal.SIGKILL),
        ("p.csv", signal.SIGTERM),
        ("p.csv", signal.SIGINT),
    ],
)
def test_a_kill_leaves_the_rows_so_far_and_nothing_whole(
    clip: Clip, model: Path, tmp_path: Path, name: str, signal_number: int
) -> None:
    names = tmp_path / "names.txt"
    names.write_text(f"{clip.path}\n" * 400)
    output = tmp_path / name
    arguments: list[str | Path] = ["predict", f"@{names}", "-m", model, "-o", output]
    job = stop_mien(lambda: has_part(tmp_path, "p.*", more_than=9000), signal_number, *arguments, folder=tmp_path)
    (grown,) = tmp_path.glob("p.*.part")
    expected: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
    assert job.returncode == expected[signal_number]
    assert "Traceback" not in job.stderr
    if signal_number != signal.SIGKILL:
        assert f"the rows so far are in {grown}" in job.stderr.replace("\n", "")
    assert not output.exists()
    text = grown.read_text(encoding="utf-8")
    rows = table(text) if name == "p.csv" else [json.loads(line) for line in text.splitlines()]
    assert len(rows) >= 10
    assert all(list(row) == COLUMNS and str(row["neutral"]) for row in rows)
