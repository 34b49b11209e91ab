import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
from PIL import Image
from pyarrow import parquet
from rich.cells import cell_len

import mien
from mien.classify import onnx as classifier
from mien.io.row_writers import round_row
from mien.labels import EXPRESSIONS
from mien.pipeline.predictor import MIN_FACE
from processes import has_part, stop_mien
from support import python_of, run_mien, tiny_model

COLUMNS = ["source", "face", "left", "top", "right", "bottom", "detection", "quality", "expression", "confidence"]
COLUMNS += EXPRESSIONS


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_photo_becomes_a_row_a_face(photo: Path, model: Path) -> None:
    outcome = run_mien("predict", photo, "-m", model)
    assert outcome.code == 0
    (row,) = table(outcome.out)
    (expected,) = mien.Predictor(model)(photo).rows()
    assert list(row) == COLUMNS
    assert row == {name: str(value) for name, value in round_row(expected).items()}
    assert "1 face in 1 picture" in outcome.err


def test_a_terminal_gets_a_table(photo: Path, model: Path) -> None:
    Image.new("L", (90, 90), 128).save(photo.parent / "wall.png")
    for width, probabilities in ((80, False), (170, True)):
        lines = run_mien("predict", photo.parent, "-m", model, columns=width).out.splitlines()
        assert len(lines) == 3
        for name in ("source", "face", "left", "bottom", "detection", "expression", "confidence"):
            assert name in lines[0]
        assert ("disgust" in lines[0]) is probabilities
        assert "größte.jpg" in lines[1]
        assert "wall.png  no face" in lines[2]


def test_names_are_cut_to_their_end_and_keep_columns_straight(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("顔顔顔.png", "a\nb\x1b[31m.png", f"{'long' * 30}.png"):
        Image.fromarray(np.full((48, 48), 9, np.uint8)).save(name)
    lines = run_mien("predict", ".", "--cropped", "-m", model, columns=80).out.splitlines()
    assert len(lines) == 4
    assert len({cell_len(line[: line.index("100%")]) for line in lines[1:]}) == 1
    assert "\N{REPLACEMENT CHARACTER}[31m.png" in "".join(lines)


def test_crops_are_read_as_they_are(crops: Path, model: Path, tmp_path: Path) -> None:
    outcome = run_mien("predict", crops, "--cropped", "-m", model, "-o", tmp_path / "p.csv")
    assert (outcome.code, outcome.out) == (0, "")
    rows = table((tmp_path / "p.csv").read_text(encoding="utf-8"))
    assert [row["source"] for row in rows] == [str(crops / f"{number:02}.png") for number in range(12)]
    assert {(row["face"], row["left"], row["right"], row["detection"]) for row in rows} == {("0", "0.0", "48.0", "1.0")}
    faces = np.stack([np.asarray(Image.open(file)) for file in sorted(crops.iterdir())])
    scores = mien.load(model)(faces)
    assert [row["expression"] for row in rows] == [EXPRESSIONS[top] for top in scores.top]
    probs = np.array([[float(row[name]) for name in EXPRESSIONS] for row in rows], np.float32)
    assert np.abs(probs - scores.probs).max() < 1e-5


def test_every_kind_of_table_holds_the_same(crops: Path, model: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl", "parquet"):
        assert run_mien("predict", crops, "--cropped", "-m", model, "-o", tmp_path / f"p.{suffix}").code == 0
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [round_row(row) for row in parquet.read_table(tmp_path / "p.parquet").to_pylist()] == lines
    rows = table((tmp_path / "p.csv").read_text(encoding="utf-8"))
    assert rows == [{name: str(value) for name, value in line.items()} for line in lines]


def test_several_models_and_mirror_are_averaged(crops: Path, model: Path, other: Path) -> None:
    rows = table(run_mien("predict", crops, "--cropped", "-m", model, "-m", other, "--tta", "mirror").out)
    faces = np.stack([np.asarray(Image.open(file)) for file in sorted(crops.iterdir())])
    each = [mien.load(file)(images).probs for file in (model, other) for images in (faces, faces[..., ::-1].copy())]
    probs = np.array([[float(row[name]) for name in EXPRESSIONS] for row in rows])
    assert np.abs(probs - np.mean(each, axis=0)).max() < 1e-5


def test_five_crops_are_averaged(crops: Path, model: Path) -> None:
    rows = table(run_mien("predict", crops, "--cropped", "-m", model, "--tta", "five-crop").out)
    faces = np.stack([np.asarray(Image.open(file)) for file in sorted(crops.iterdir())])
    probs = np.array([[float(row[name]) for name in EXPRESSIONS] for row in rows])
    assert np.abs(probs - mien.FiveCrop(mien.load(model))(faces).probs).max() < 1e-5


def test_thresholds_leave_faces_out(photo: Path, model: Path) -> None:
    assert len(table(run_mien("predict", photo, "-m", model, "--min-face", "60").out)) == 1
    assert table(run_mien("predict", photo, "-m", model, "--min-face", "200").out) == []
    assert table(run_mien("predict", photo, "-m", model, "--min-confidence", "1").out) == []
    assert run_mien("predict", photo, "-m", model, "--min-confidence", "2").code == 2


def test_the_help_says_what_min_face_does_and_its_default() -> None:
    text = " ".join(run_mien("predict", "--help").out.replace("│", " ").split())
    assert "Big pictures are scaled down to what the smallest wanted face needs" in text
    assert f"default: {MIN_FACE}" in text


def test_a_picture_without_a_face_is_no_error(tmp_path: Path, model: Path) -> None:
    Image.new("RGB", (300, 200), "teal").save(tmp_path / "wall.png")
    outcome = run_mien("predict", tmp_path / "wall.png", "-m", model)
    assert (outcome.code, outcome.out) == (0, ",".join(COLUMNS) + "\n")
    assert "0 faces in 1 picture" in outcome.err


def test_drawn_pictures_are_full_size_copies(photo: Path, model: Path, tmp_path: Path) -> None:
    (photo.parent / "inner").mkdir()
    Image.fromarray(skimage.data.astronaut()).save(photo.parent / "inner" / "größte.jpg")
    Image.fromarray(skimage.data.astronaut()).save(photo.parent / "größte.webp")
    before = photo.read_bytes()
    outcome = run_mien("predict", photo.parent, "-m", model, "--draw", tmp_path / "new" / "drawn")
    assert outcome.code == 0
    drawn = sorted(path for path in (tmp_path / "new" / "drawn").rglob("*") if path.is_file())
    names = [path.relative_to(tmp_path / "new" / "drawn").as_posix() for path in drawn]
    assert names == ["größte.jpg", "größte.png", "inner/größte.jpg"]
    for path in drawn:
        with Image.open(path) as image:
            assert image.size == (512, 512)
            difference = np.abs(np.asarray(image).astype(int) - skimage.data.astronaut()).mean(axis=2)
        assert (difference[60:180, 170:280] > 60).any()
    assert photo.read_bytes() == before


def test_drawing_never_overwrites_a_source(photo: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = photo.read_bytes()
    monkeypatch.chdir(photo.parent)
    for source, folder in ((photo, photo.parent), (photo.name, "."), (photo.parent, ".")):
        outcome = run_mien("predict", source, "-m", model, "--draw", folder)
        assert outcome.code == 1
        assert "--draw must be another folder" in outcome.err
    assert photo.read_bytes() == before


def test_drawing_never_overwrites_what_a_link_leads_to(photo: Path, model: Path, tmp_path: Path) -> None:
    before = photo.read_bytes()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / photo.name).symlink_to(photo)
    outcome = run_mien("predict", tmp_path / "links", "-m", model, "--draw", photo.parent)
    assert (outcome.code, "--draw must be another folder" in outcome.err) == (1, True)
    assert photo.read_bytes() == before


def test_copies_never_lie_where_they_would_be_read(photo: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    photo.rename(tmp_path / "tree" / "sub" / "a.jpg")
    outcome = run_mien("predict", tmp_path / "tree", "-m", model, "--draw", tmp_path / "tree")
    assert (outcome.code, "--draw must be another folder" in outcome.err) == (1, True)
    assert run_mien("predict", tmp_path / "tree", "-m", model, "--draw", tmp_path / "tree" / "drawn").code == 0


def test_a_picture_on_stdin_may_be_drawn_into_this_folder(
    photo: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(photo.read_bytes())))
    assert run_mien("predict", "-", "-m", model, "--draw", ".").code == 0
    assert (tmp_path / "stdin.png").exists()


def test_closed_standard_input_is_said(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run_mien("predict", "-", "-m", model).err == ("mien: standard input is closed, and - is the picture on it\n")


@pytest.mark.parametrize(
    ("redirected", "coded", "code", "said"),
    [
        (">/dev/full", "utf-8", 1, "mien: No space left on device\n"),
        (">&-", "utf-8", 0, "1 face in 1 picture\n"),
        (">table.csv", "cp1252", 0, "1 face in 1 picture\n"),
    ],
)
@pytest.mark.linux
def test_any_standard_output(
    crops: Path, model: Path, tmp_path: Path, redirected: str, coded: str, code: int, said: str
) -> None:
    (crops / "00.png").rename(tmp_path / "日本.png")
    ran = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m mien predict 日本.png --cropped -m '{model}' {redirected}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": coded},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", said)
    if coded == "cp1252":
        assert table((tmp_path / "table.csv").read_text(encoding="utf-8"))[0]["source"] == "日本.png"


def test_a_pipe_gets_a_table_though_colour_is_forced(crops: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    rows = table(run_mien("predict", crops, "--cropped", "-m", model).out)
    assert [row["source"] for row in rows] == [str(file) for file in sorted(crops.iterdir())]


def test_a_table_is_not_written_over_the_list_of_its_sources(crops: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(str(crops / "00.png"))
    outcome = run_mien("predict", f"@{tmp_path / 'in.csv'}", "-m", model, "-o", tmp_path / "in.csv")
    assert (outcome.code, "it is an input" in outcome.err) == (1, True)
    assert (tmp_path / "in.csv").read_text() == str(crops / "00.png")


def test_a_link_to_a_table_stays_a_link(crops: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("rows.csv")
    assert run_mien("predict", crops, "--cropped", "-m", model, "-o", tmp_path / "link.csv").code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert len(table((tmp_path / "rows.csv").read_text(encoding="utf-8"))) == 12


def test_a_name_too_long_is_left_out_though_copies_are_drawn(crops: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{crops / '00.png'}\n{'x' * 300}\n")
    outcome = run_mien("predict", f"@{tmp_path / 'list.txt'}", "--cropped", "-m", model, "--draw", tmp_path / "out")
    assert outcome.code == 1
    assert len(table(outcome.out)) == 1


def test_names_of_other_classes_are_shown(crops: Path, tmp_path: Path) -> None:
    names = ("rage", "nausea", "terror", "joy", "grief", "awe", "calm")
    model = tiny_model(tmp_path / "other.onnx", class_names=names)
    head, line, *_ = run_mien("predict", crops, "--cropped", "-m", model, columns=170).out.splitlines()
    assert head.split()[-7:] == list(names)
    assert sum(int(word[:-1]) for word in line.split()[-7:]) in range(97, 104)


def test_a_table_without_faces_has_the_columns_of_the_model(tmp_path: Path) -> None:
    names = ("rage", "nausea", "terror", "joy", "grief", "awe", "calm")
    model = tiny_model(tmp_path / "other.onnx", class_names=names)
    Image.new("L", (90, 90), 128).save(tmp_path / "wall.png")
    outcome = run_mien("predict", tmp_path / "wall.png", "-m", model, "--tta", "mirror")
    assert outcome.out.strip().split(",")[-7:] == list(names)


def test_a_broken_file_among_good_ones_is_named_and_left_out(crops: Path, model: Path, tmp_path: Path) -> None:
    (crops / "05.png").write_bytes((crops / "05.png").read_bytes()[:200])
    (crops / "06.png").write_text("no picture")
    outcome = run_mien("predict", crops, "--cropped", "-m", model, "-o", tmp_path / "p.csv")
    assert outcome.code == 1
    assert len(table((tmp_path / "p.csv").read_text(encoding="utf-8"))) == 10
    assert "05.png cannot be read" in outcome.err
    assert "06.png must be a picture" in outcome.err
    assert outcome.err.endswith("mien: 2 of 12 pictures could not be read; they are named above\n")


def test_a_single_broken_picture_is_one_error_and_no_output(crops: Path, model: Path, tmp_path: Path) -> None:
    (crops / "05.png").write_bytes(b"")
    outcome = run_mien("predict", crops / "05.png", "-m", model, "-o", tmp_path / "p.csv")
    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1
    assert "05.png" in outcome.err
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.jpg", "none.jpg: there is no such file or folder"),
        ("x" * 300, "there is no such file or folder"),
        ("*.none", "*.none must match pictures or videos, got nothing"),
        ("empty", "empty must hold pictures"),
    ],
)
def test_sources_that_give_nothing(
    tmp_path: Path, model: Path, source: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    outcome = run_mien("predict", source, "-m", model, "-o", "p.csv")
    assert outcome.code == 1
    assert message in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "none/p.csv"], "cannot write none/p.csv"),
        (["-o", "folder.csv"], "cannot write folder.csv: it is a folder"),
        (["-o", f"{'x' * 252}.csv"], "File name too long"),
        (["-m", "x" * 300], "no file and no model that ships is named x"),
        (["--timeline", "p.html"], "--timeline is for videos, over whose time it goes, got "),
        (["-o", "p.xlsx"], "must end in .csv, .jsonl, .parquet"),
        (["--draw", "file/drawn"], "cannot make the folder file/drawn"),
        (["-m", "none.onnx"], "none.onnx"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path, photo: Path, model: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    other: list[str | Path] = [] if "-m" in arguments else ["-m", model]
    outcome = run_mien("predict", photo, *other, *arguments)
    assert outcome.code == 1
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_standard_input_is_a_picture(photo: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(photo.read_bytes())))
    outcome = run_mien("predict", "-", "-m", model, "--draw", tmp_path / "drawn")
    assert outcome.code == 0
    assert [row["source"] for row in table(outcome.out)] == ["-"]
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["stdin.png"]


@pytest.mark.linux
def test_an_interrupt_leaves_no_half_output(crops: Path, model: Path, tmp_path: Path) -> None:
    output = tmp_path / "p.csv"
    arguments: list[str | Path] = ["predict", crops, "-", "-m", model, "-o", output]
    job = stop_mien(lambda: has_part(tmp_path, more_than=0), signal.SIGINT, *arguments, folder=tmp_path)
    assert job.returncode == 130
    assert "Traceback" not in job.stderr
    assert not list(tmp_path.glob("p.csv*"))


def test_the_demo_reads_the_portrait_that_ships(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(classifier, "shipped", lambda: {"swift": model})
    outcome = run_mien("demo")
    assert outcome.code == 0
    assert "portrait.jpg" in outcome.out
    assert "mien predict photo.jpg" in outcome.out
    with Image.open("mien-demo.png") as image:
        assert (image.format, image.size) == ("PNG", (512, 512))
    assert [path.name for path in tmp_path.iterdir()] == ["mien-demo.png"]
    assert run_mien("demo", "-o", "other.jpg").code == 0
    assert (tmp_path / "other.jpg").exists()
    outcome = run_mien("demo", "-o", "none/other.jpg")
    assert (outcome.code, "cannot write none/other.jpg" in outcome.err) == (1, True)


def test_the_portrait_is_credited() -> None:
    folder = Path(mien.__file__).parent / "assets"
    credit = (folder / "portrait.txt").read_text(encoding="utf-8")
    for words in ("NASA", "Eileen Collins", "public domain"):
        assert words in credit
    portrait = mien.read_picture(folder / "portrait.jpg")
    assert np.abs(portrait.astype(int) - skimage.data.astronaut()).mean() < 5


def test_the_python_of_the_page_runs(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photo.parent)
    (photo.parent / "photos").mkdir()
    for path in (Path("photo.jpg"), Path("photos/a.jpg")):
        path.write_bytes(photo.read_bytes())
    exec(python_of("predict.md"), {})  # noqa: S102 (it is ours)
    told = capsys.readouterr().out
    assert "'source': 'photos/a.jpg'" in told
    assert "<Prediction photo.jpg: 1 face, happy" in told


def test_a_name_is_shown_and_not_obeyed(crops: Path, model: Path, tmp_path: Path) -> None:
    name = crops / "\x1b[2J:smile:.png"
    name.write_text("no picture")
    several = run_mien("predict", crops, "--cropped", "-m", model, "-o", tmp_path / "p.csv")
    alone = run_mien("predict", name, "--cropped", "-m", model)
    for outcome in (several, alone):
        assert outcome.code == 1
        assert "\x1b" not in outcome.err
        assert "\N{REPLACEMENT CHARACTER}[2J:smile:.png" in outcome.err


def test_names_with_other_systems_spaces_are_shown_whole() -> None:
    from mien.errors import plain

    name = "Screenshot 3.04\N{NARROW NO-BREAK SPACE}PM\N{IDEOGRAPHIC SPACE}顔.png"
    assert plain(name) == name
    assert plain("a\x9b\u202eb\n") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b\n"


def test_whole_photos_given_as_crops_are_told_of(photo: Path, model: Path) -> None:
    outcome = run_mien("predict", photo, "--cropped", "-m", model)
    assert table(outcome.out)[0]["quality"] == "uncropped"
    assert "1 face of doubtful quality: uncropped 1" in outcome.err
    assert "1 picture in which the face takes less than half: without --cropped, faces are found" in outcome.err


def test_doubtful_faces_are_counted(photo: Path, model: Path) -> None:
    with Image.open(photo) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(photo)
    outcome = run_mien("predict", photo, "-m", model)
    assert table(outcome.out)[0]["quality"].startswith("sideways:-")
    assert "1 face of doubtful quality: sideways 1" in outcome.err
