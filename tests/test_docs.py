"""The Python of README.md, docs/train.md and docs/video.md, and the commands of README.md, run as they stand."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from clips import Actor, at, write_clip
from mien.data.formats.npz import save_faces
from mien.io import recipe_files
from support import drawn_faces, python_of, run_mien, train_and_valid

ROOT = Path(__file__).parents[1]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the documents name."""
    monkeypatch.chdir(tmp_path)
    with Image.open(ROOT / "src/mien/assets/portrait.jpg") as portrait:
        portrait.save("photo.jpg")
    write_clip(tmp_path / "party.mp4", [Actor(at(160, 120))], duration=1.2, sound=True)
    save_faces(train_and_valid(40, 14), "faces.npz")
    (tmp_path / "recipes" / "report").mkdir(parents=True)
    small = "[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nbatch = 16\nepochs = 1\n"
    (tmp_path / "recipes" / "plain.toml").write_text(small)
    for name in ("short", "adam"):
        (tmp_path / "recipes" / "report" / f"{name}.toml").write_text(small)
    return tmp_path


@pytest.mark.usefixtures("desk")
def test_the_video_pages_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(python_of("video.md"), "video.md", "exec"), {})  # noqa: S102
    assert "happy" in capsys.readouterr().out


@pytest.mark.usefixtures("desk")
def test_the_readmes_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(python_of("../README.md"), "README.md", "exec"), {})  # noqa: S102
    assert "happy" in capsys.readouterr().out


def test_the_training_pages_python_runs(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(python_of("train.md"), "train.md", "exec"), {})  # noqa: S102
    assert "valid_accuracy" in capsys.readouterr().out
    assert (desk / "swift.onnx").exists()


def test_the_readmes_commands_run(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All in order, but the import, which needs FER2013, and the service, which has tests of its own."""
    small = {"plain": desk / "recipes" / "plain.toml"}  # the real one trains for hours
    monkeypatch.setattr(recipe_files, "shipped_recipes", lambda: small)
    (desk / "photos").mkdir()
    (desk / "photo.jpg").rename(desk / "photos" / "photo.jpg")
    (desk / "photo.jpg").write_bytes((desk / "photos" / "photo.jpg").read_bytes())
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [line.split("#")[0].split()[1:] for line in re.findall(r"^    (mien .*)$", text, flags=re.MULTILINE)]
    commands = [command for command in commands if command[:2] not in (["data", "import"], ["serve"])]
    verbs = ["predict", "predict", "predict", "data", "train", "export", "evaluate"]
    assert [command[0] for command in commands] == verbs
    for command in commands:
        ended = run_mien(
            *(name for word in command for name in (sorted(map(str, desk.glob(word))) if "*" in word else [word]))
        )  # as a shell does
        assert ended.code == 0, ended.err
    assert {"faces.csv", "rows.csv", "marked.mp4", "faces.png"} <= {path.name for path in desk.iterdir()}
    assert (desk / "my.onnx").exists()


@pytest.fixture
def students_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with FER2013 as a student of the report has it, drawn, and tiny nets in place of the recipes."""
    monkeypatch.chdir(tmp_path)
    faces = drawn_faces(60)
    splits = np.array(["train"] * 40 + ["valid"] * 14 + ["test"] * 6)
    ids = np.array([f"fer{row:07d}" for row in range(60)])
    faces = replace(faces, splits=splits, ids=ids)
    mien.write_fer2013(faces, "fer2013.csv")
    usages = {"train": "Training", "valid": "PublicTest", "test": "PrivateTest"}
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    rows = [f"{usages[split]},{name}.png,1,2,0,0,3,0,0,4,0,0" for split, name in zip(splits, ids, strict=True)]
    Path("fer2013new.csv").write_text("\n".join([header, *rows]) + "\n")
    known = np.where(splits == "train", faces.labels, -1)
    mien.write_folder(replace(faces, splits=np.where(splits == "train", splits, "test"), labels=known), "report")
    small = '[net]\nname = "cnn"\nwidths = [4, 8]\n[optim]\nbatch = 16\nepochs = 1\n'
    Path("recipes/report").mkdir(parents=True)
    for name in ("final", "final-18", "short", "smoothing-none", "weighted"):
        Path(f"recipes/report/{name}.toml").write_text(small)
    tiny = {f"report/{path.stem}": path.resolve() for path in Path("recipes/report").iterdir()}
    monkeypatch.setattr(recipe_files, "shipped_recipes", lambda: tiny)
    return tmp_path


def test_the_report_pages_commands_run(students_desk: Path) -> None:
    """All in order, but two: the cleaning, whose choices are of FER2013's own audit, and a measure of speed."""
    text = (ROOT / "docs/report.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (mien .*)$|`(mien [a-z]+ [^`]* [^`]*)`", text, flags=re.MULTILINE)
    ran = []
    for command in ("".join(each).split("#")[0].replace("4709", "9").split()[1:] for each in commands):
        if command[:2] == ["data", "clean"]:
            shutil.copy("faces.npz", "clean.npz")
        elif command[0] != "bench":
            ended = run_mien(*command)
            assert ended.code == 0, (command, ended.err)
            ran.append(command[0])
        if command[0] == "predict":
            Path("docs/training/report").mkdir(parents=True)
            shutil.copy("predictions.csv", "docs/training/report/predictions.csv")
    assert {"data", "train", "export", "evaluate", "predict", "study", "show"} == set(ran)
    assert {"seen.png", "prototypes.png", "fear.png"} <= {path.name for path in students_desk.iterdir()}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")) + sorted(ROOT.glob("*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
