"""What `mien predict` writes, and what it says of it: tables, drawings, what had no face, what was not there."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from clips import Actor, Clip, write_clip
from mien.errors import OutputError
from mien.io.video_reader import read_video
from mien.visualize.timeline import Timeline
from support import run_mien


@pytest.fixture
def wall(photo: Path) -> Path:
    """Return a picture without a face, beside the photo."""
    Image.new("RGB", (300, 200), "teal").save(photo.parent / "wall.png")
    return photo.parent / "wall.png"


def test_what_had_no_face_is_named(photo: Path, wall: Path, model: Path, tmp_path: Path) -> None:
    outcome = run_mien(
        "predict", photo.parent, "-m", model, "--faceless", tmp_path / "none.csv", "-o", tmp_path / "a.csv"
    )
    assert outcome.code == 0
    assert f"no face in {wall}" in outcome.err.splitlines()
    assert f"wrote {tmp_path / 'none.csv'}: 1 without a face" in outcome.err.splitlines()
    assert (tmp_path / "none.csv").read_text(encoding="utf-8") == f"source,seconds\n{wall},\n"


def test_many_without_a_face_are_counted_and_listed(tmp_path: Path, model: Path) -> None:
    for number in range(23):
        Image.new("L", (60, 60), 10 * number).save(tmp_path / f"{number:02}.png")
    outcome = run_mien("predict", str(tmp_path / "*.png"), "-m", model, "--faceless", tmp_path / "none.csv")
    assert "19.png and 3 more; --faceless FILE lists all" in outcome.err
    assert len((tmp_path / "none.csv").read_text().splitlines()) == 24


def test_frames_without_a_face_are_listed(tmp_path: Path, model: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", [Actor(lambda time: (160, 120) if time > 0.5 else None)], duration=1.0)
    outcome = run_mien("predict", clip.path, "-m", model, "--faceless", tmp_path / "none.csv", "-o", tmp_path / "a.csv")
    assert outcome.code == 0
    listed = list(csv.DictReader(io.StringIO((tmp_path / "none.csv").read_text(encoding="utf-8"))))
    seen = {row["seconds"] for row in csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text(encoding="utf-8")))}
    assert "0.2" in {row["seconds"] for row in listed}
    assert len(seen) + len(listed) == 25


def test_a_name_cannot_pretend_to_be_another_line(photo: Path, model: Path) -> None:
    Image.new("L", (60, 60), 128).save(photo.parent / "a\nmien: all is well\x1b[2J.png")
    outcome = run_mien("predict", photo.parent, "-m", model)
    assert "a mien: all is well\N{REPLACEMENT CHARACTER}[2J.png" in outcome.err
    assert len(outcome.err.splitlines()) == 2


@pytest.mark.parametrize("name", ["marked.jpg", "marked.png"])
def test_one_picture_is_drawn_into_one_file(photo: Path, model: Path, tmp_path: Path, name: str) -> None:
    outcome = run_mien("predict", photo, "-m", model, "--draw", tmp_path / name)
    assert outcome.code == 0
    assert f"wrote {tmp_path / name}: 1 drawn file" in outcome.err.splitlines()
    with Image.open(tmp_path / name) as image:
        assert image.format == {"jpg": "JPEG", "png": "PNG"}[name[-3:]]
        assert (np.abs(np.asarray(image).astype(int) - skimage.data.astronaut()) > 60).any()


@pytest.mark.parametrize(
    ("sources", "target", "message"),
    [
        (["PHOTO"], "out.gif", "--draw must be a folder (out.gif/) or a file that ends in .jpg"),
        (["CLIP"], "out.gif", "--draw must be a folder (out.gif/) or a file that ends in .jpg"),
        (["PHOTO", "WALL"], "out.jpg", "--draw out.jpg takes one picture; for anything else, name a folder"),
        (["CLIP"], "out.jpg", "--draw out.jpg takes one picture; for anything else, name a folder"),
        (["PHOTO"], "out.mp4", "--draw out.mp4 takes one video; for anything else, name a folder"),
        (["PHOTO"], "none/out.jpg", "cannot write none/out.jpg: there is no folder none"),
        (["PHOTO"], "PHOTO", "it is an input; choose another file"),
    ],
)
def test_a_drawing_that_does_not_fit_is_refused_first(
    photo: Path,
    wall: Path,
    clip: Clip,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sources: list[str],
    target: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"PHOTO": photo, "WALL": wall, "CLIP": clip.path}
    before = photo.read_bytes()
    draw = str(files.get(target, target))
    outcome = run_mien("predict", *(files[name] for name in sources), "-m", model, "-o", "a.csv", "--draw", draw)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert message in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == [photo.parent.name]
    assert photo.read_bytes() == before


def test_a_folder_with_a_dot_is_named_by_its_slash(photo: Path, model: Path, tmp_path: Path) -> None:
    assert run_mien("predict", photo, "-m", model, "--draw", f"{tmp_path}/run.2026/").code == 0
    assert [path.name for path in (tmp_path / "run.2026").iterdir()] == [photo.name]


@pytest.mark.parametrize("pattern", [False, True])
def test_drawings_keep_the_tree(photo: Path, model: Path, tmp_path: Path, pattern: bool) -> None:
    for place in ("angry", "happy", "happy/more"):
        (tmp_path / "tree" / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / place / "a.jpg").write_bytes(photo.read_bytes())
    source = f"{tmp_path}/tree/**/*.jpg" if pattern else tmp_path / "tree"
    assert run_mien("predict", source, "-m", model, "--draw", tmp_path / "out").code == 0
    drawn = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg"))
    assert drawn == ["angry/a.jpg", "happy/a.jpg", "happy/more/a.jpg"]


def test_drawings_of_a_tree_never_overwrite_it(photo: Path, model: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / "tree" / place).mkdir(parents=True)
        (tmp_path / "tree" / place / "1.jpg").write_bytes(photo.read_bytes())
    outcome = run_mien("predict", tmp_path / "tree/a", tmp_path / "tree/b", "-m", model, "--draw", tmp_path / "tree")
    assert (outcome.code, "--draw must be another folder" in outcome.err) == (1, True)
    assert (tmp_path / "tree/a/1.jpg").read_bytes() == photo.read_bytes()


def test_each_result_has_a_line(clip: Clip, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_mien(
        "predict", clip.path, "-m", model, "-o", "rows.csv", "--draw", "marked.mp4", "--timeline", "chart.html"
    )
    assert outcome.code == 0
    lines = outcome.err.splitlines()
    for line in ("wrote rows.csv: 25 rows", "wrote marked.mp4: 1 drawn file", "wrote chart.html: a timeline"):
        assert line in lines
    assert len(list(read_video("marked.mp4"))) == 25


def test_a_chart_that_fails_costs_no_rows(
    clip: Clip, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OutputError("cannot write chart.png: the disk is full")

    monkeypatch.setattr(Timeline, "write", fail)
    monkeypatch.chdir(tmp_path)
    outcome = run_mien("predict", clip.path, "-m", model, "-o", "rows.csv", "--timeline", "chart.png")
    assert (outcome.code, outcome.err.splitlines()[-1]) == (1, "mien: cannot write chart.png: the disk is full")
    assert len(Path("rows.csv").read_text(encoding="utf-8").splitlines()) == 26


def test_a_missing_name_is_told_and_the_rest_goes_on(photo: Path, model: Path, tmp_path: Path) -> None:
    outcome = run_mien("predict", photo, tmp_path / "gone.jpg", tmp_path / "no/*.png", "-m", model)
    assert outcome.code == 1
    assert len(outcome.out.splitlines()) == 2
    assert f"left out: {tmp_path / 'gone.jpg'}: there is no such file or folder" in outcome.err
    assert outcome.err.endswith("mien: 2 of 3 pictures could not be read; they are named above\n")
    nothing = run_mien("predict", tmp_path / "gone.jpg", tmp_path / "gone.png", "-m", model)
    assert (nothing.code, nothing.out) == (1, "")
    assert "none of the 2 sources" in nothing.err


@pytest.mark.usefixtures("wall")
def test_quiet_says_nothing_but_errors(photo: Path, model: Path, tmp_path: Path) -> None:
    outcome = run_mien("predict", photo.parent, "-m", model, "-q", "-o", tmp_path / "a.csv")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    outcome = run_mien("predict", photo, tmp_path / "gone.jpg", "-m", model, "-q", "-o", tmp_path / "a.csv")
    assert (outcome.code, outcome.err.startswith("mien: 1 of 2")) == (1, True)


def test_json_is_one_document_of_the_rows(photo: Path, wall: Path, model: Path, tmp_path: Path) -> None:
    outcome = run_mien("predict", photo.parent, "-m", model, "--json")
    (row,) = json.loads(outcome.out)
    assert row["source"] == str(photo)
    (listed,) = csv.DictReader(io.StringIO(run_mien("predict", photo.parent, "-m", model, "-o", "-").out))
    assert listed == {name: str(value) for name, value in row.items()}
    assert json.loads(run_mien("predict", wall, "-m", model, "--json").out) == []
    both = run_mien("predict", photo, "-m", model, "--json", "-o", tmp_path / "a.csv")
    assert (both.code, "goes without --out" in both.err) == (2, True)


def test_a_dash_gives_csv_on_a_terminal_too(crops: Path, model: Path) -> None:
    evil = crops / "\x1b[2J.png"
    (crops / "00.png").rename(evil)
    out = run_mien("predict", evil, "--cropped", "-m", model, "-o", "-", columns=80).out
    assert out.startswith("source,face,left")
    assert "\N{REPLACEMENT CHARACTER}[2J.png" in out
    assert "\x1b" not in out
