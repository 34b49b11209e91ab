"""The Python of README.md, docs/train.md and docs/video.md, and the commands of README.md, run as they stand."""

import re
from pathlib import Path

import pytest
from PIL import Image

from clips import Actor, at, write_clip
from mien.data.formats.npz import save_faces
from mien.train import recipe_files
from support import python_of, run_mien, train_and_valid

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


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")) + sorted(ROOT.glob("*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
