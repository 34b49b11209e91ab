"""What the command line says of itself: help, completion, and one line for each wrong use."""

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from mien.cli.main import COMMANDS, DATA_COMMANDS, Command
from mien.data.formats.npz import save_faces
from mien.detect.yunet import YuNet
from mien.io.recipe_files import shipped_recipes
from support import random_faces, run_mien, tiny_model

PATHS = [(each.name,) for each in COMMANDS] + [("data", each.name) for each in DATA_COMMANDS]


def words(text: str) -> str:
    """The words of a help page, without its frames."""
    return " ".join(re.sub("[│─╭╮╰╯]", " ", text).split())


def test_the_help_lists_the_commands_by_panels() -> None:
    said = run_mien("-h")
    assert (said.code, said.err) == (0, "")
    assert said.out == run_mien("--help").out
    for command in COMMANDS:
        assert f"{command.name} {command.line}" in words(said.out)
        assert command.panel in said.out
    assert said.out.index("predict") < said.out.index("train")
    assert words(said.out).endswith("Examples mien demo mien predict photo.jpg --draw marked.jpg mien COMMAND --help")
    data = words(run_mien("data", "-h").out)
    for command in DATA_COMMANDS:
        assert f"{command.name} {command.line}" in data


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_each_command_has_its_line_and_an_example(path: tuple[str, ...]) -> None:
    said = words(run_mien(*path, "-h").out)
    (line,) = (each.line for each in (DATA_COMMANDS if path[0] == "data" else COMMANDS) if each.name == path[-1])
    assert line in said
    assert "--quiet -q" in said
    assert said.partition(" Examples ")[2].startswith(f"mien {' '.join(path)}")


@pytest.mark.parametrize("command", [*COMMANDS, *DATA_COMMANDS], ids=lambda command: command.module)
def test_a_paragraph_of_help_is_one_line(command: Command) -> None:
    """A terminal breaks it where it must; a break of ours beside that would leave ragged lines."""
    assert all("\n" not in part for part in command.load().help.split("\n\n"))


def test_defaults_are_shown() -> None:
    said = words(run_mien("predict", "-h").out)
    assert "Several, each with -m, are averaged. [default: swift]" in said
    assert f"[default: {YuNet.threshold}]" in said
    for panel in ("Input", "Output", "Model", "Video", "Thresholds"):
        assert panel in said


@pytest.mark.parametrize(
    ("words", "new"),
    [
        (["predict", "a.jpg", "--output", "a.csv"], "--out"),
        (["predict", "a.jpg", "--output=a.csv"], "--out"),
        (["predict", "a.mp4", "--raw"], "--smooth 0"),
        (["predict", "a", "--crops"], "--cropped"),
        (["predict", "a.mp4", "--plot", "a.png"], "--timeline"),
        (["predict", "a.jpg", "--mirror"], "--tta mirror"),
        (["evaluate", "swift", "f.npz", "--five-crop"], "--tta five-crop"),
        (["data", "audit", "f.npz", "-o", "a.json", "--page", "a.html"], "--html"),
        (["data", "export", "f.npz", "-o", "a", "--as", "flat"], "--format"),
        (["data", "clean", "f.npz", "-o", "a.npz", "--ask"], "--interactive"),
    ],
)
def test_an_old_option_names_the_new_one(words: list[str], new: str) -> None:
    said = run_mien(*words)
    (old,) = (word.partition("=")[0] for word in words if word.startswith("--"))
    assert (said.code, said.out, said.err) == (2, "", f"mien: {old} is now {new}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predikt"], "No such command 'predikt'. Did you mean 'predict'?; see `mien --help`"),
        (
            ["predict", "a.jpg", "--tta", "mirrored"],
            "'mirrored' is not one of 'none', 'mirror', 'five-crop', 'ten-crop'",
        ),
        (["predict", "a.jpg", "--drew", "x"], "No such option: --drew"),
        (["export", "swift", "-o", "m.onnx", "--int8"], "--int8: needs faces: add --calibrate FACES; see"),
        (
            ["export", "swift", "-o", "m.onnx", "--calibrate", "f"],
            "--calibrate: is for files in 8 bits: add --int8; see",
        ),
        (["evaluate", "swift", "f.npz", "--html"], "Option '--html' requires an argument; see `mien evaluate --help`"),
        (["data", "audit", "f.npz", "-o"], "Option '-o' requires an argument; see `mien data audit --help`"),
        (["predict", "a.jpg", "--min-confidence", "90"], "'--min-confidence': must be less than or equal to 1; see"),
        (["train"], "Missing argument 'RECIPE'; see `mien train --help`"),
        (["train", "a.toml", "-o", "run"], "Missing option '--faces'; see `mien train --help`"),
        (["predict", "a.jpg", "--device", "gpu"], "'gpu' is not one of 'auto', 'cpu', 'cuda'"),
        (
            ["data", "export", "f.npz", "-o", "a"],
            "Missing option '--format'. Choose from: fer2013, folder, flat, parquet;",
        ),
        (
            ["join", "swift", "-o", "m.onnx"],
            "Invalid value for MODEL: must be two models or more, got swift alone; see",
        ),
        (["data", "import", "a.csv", "-o", "-"], "must be the name of a file or folder"),
    ],
)
def test_wrong_use_is_one_line(words: list[str], message: str) -> None:
    said = run_mien(*words)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert message in said.err


def test_a_picture_in_the_wrong_place_is_sent_to_predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(b"picture")
    said = run_mien("photo.jpg")
    assert (said.code, said.err) == (
        2,
        "mien: photo.jpg is no command; did you mean: mien predict photo.jpg?; see `mien --help`\n",
    )
    said = run_mien("show", "photo.jpg")
    assert (said.code, said.err.endswith("are read by: mien predict photo.jpg\n")) == (1, True)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("f.npz", "mien evaluate swift f.npz"),
        ("f.npz", "mien data show f.npz"),
        ("f.csv", "mien data import f.csv -o faces.npz"),
        ("F.PARQUET", "mien batch F.PARQUET -o rows"),
        ("m.onnx", "mien predict PICTURE -m m.onnx"),
        ("r.toml", "mien train r.toml --faces faces.npz -o run"),
        ("list.txt", "@list.txt"),
    ],
)
def test_a_file_for_another_command_is_sent_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(b"content")
    for asked in (["predict", name], ["explain", name], ["batch", name, "-o", "rows"]):
        if (asked[0], name) not in (("batch", "F.PARQUET"), ("explain", "list.txt")):  # one reads it, one takes no list
            said = run_mien(*asked)
            assert (said.code, said.out, said.err.count("\n")) == (1, "", 1), asked
            assert said.err.startswith(f"mien: {name} is no picture but ")
            assert command in said.err
    assert not Path("rows").exists()


def test_a_file_for_another_command_ends_no_other(tmp_path: Path) -> None:
    photo, other = tmp_path / "p.jpg", tmp_path / "f.npz"
    photo.write_bytes((files("mien") / "assets" / "portrait.jpg").read_bytes())
    other.touch()
    said = run_mien("predict", photo, other, "-m", "swift-nano")
    assert (said.code, "happy" in said.out, f"left out: {other} is no picture but a file" in said.err) == (
        1,
        True,
        True,
    )


def test_a_folder_named_like_a_group_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("data", "show"):
        Path(command).mkdir()
    said = run_mien("data", "show", "--help")
    assert (said.code, said.err) == (0, "")


def test_a_slip_in_a_recipes_name_is_put_right() -> None:
    said = run_mien("train", "plian", "--faces", "f.npz", "-o", "run")
    assert (said.code, said.err.endswith("got plian; did you mean plain?\n")) == (1, True)


def test_a_shell_completes_commands_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_MIEN_COMPLETE", "complete_bash")
    for typed, offered in (("mien pre", "predict"), ("mien predict --dr", "--draw"), ("mien data au", "audit")):
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
        assert offered in run_mien().out.split()


def test_a_recipe_is_shown_and_is_no_model(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text("# Small.\n[optim]\nlr = 0.1\n")
    said = run_mien("show", recipe)
    assert (said.code, said.out) == (0, f"{recipe}: a recipe\n\n# Small.\n[optim]\nlr = 0.1\n")
    assert json.loads(run_mien("show", recipe, "--json").out) == {"recipe": {"optim": {"lr": 0.1}}}
    said = run_mien("bench", recipe)
    assert (said.code, said.err.partition(";")[0]) == (
        1,
        f"mien: {recipe} must be a model file, got text, such as a recipe",
    )
    recipe.write_text("lr 0.1")
    assert f"{recipe} is not TOML" in run_mien("show", recipe).err


def test_a_recipe_that_ships_is_shown_with_its_comments() -> None:
    for name in ("plain", "report/final-18"):
        text = shipped_recipes()[name].read_text(encoding="utf-8")
        assert text.startswith("# ")
        assert run_mien("show", name).out == f"{name}: a recipe\n\n{text.rstrip()}\n"
    assert json.loads(run_mien("show", "report/final-18", "--json").out)["recipe"]["base"] == "final.toml"
    assert run_mien("show", "swift").out.startswith("swift: a model file")  # which is a recipe's name, too
    said = run_mien("show", "report/fnal-18")
    assert (said.code, said.err.endswith("no model or recipe that ships; did you mean report/final-18?\n")) == (1, True)
    assert "models: swift-fer2013, swift-nano, swift; recipes: dash, folds, plain" in run_mien("show", "nothing").err


def test_what_only_a_model_has_is_refused_of_others(tmp_path: Path) -> None:
    save_faces(random_faces(5), tmp_path / "f.npz")
    for file, what in (("plain", "a recipe"), (tmp_path / "f.npz", "a file of faces")):
        for option in ("--recipe", "--markdown"):
            said = run_mien("show", file, option)
            assert (said.code, f"Invalid value for {option}: goes with a model, got {what}" in said.err) == (2, True)
    assert run_mien("show", "swift", "--recipe", "--json").code == 2
    said = run_mien("show", tiny_model(tmp_path / "m.onnx"), "--recipe")
    assert (said.code, said.err) == (1, f"mien: the card of {tmp_path / 'm.onnx'} has no recipe\n")


def test_json_is_one_document(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "m.onnx")
    shown = json.loads(run_mien("show", model, "--json").out)
    assert (shown["name"], len(shown["hash"])) == ("tiny", 64)


def test_what_is_missing_is_installed_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """mien itself may have come from a file, a folder or nowhere: its extras cannot be asked for by its name."""
    from mien.errors import ExtraError

    requirements = ["numpy>=1.26", "av>=18; extra == 'video'", 'torch>=2.6; extra == "train"']
    monkeypatch.setattr("importlib.metadata.requires", lambda _: requirements)
    assert str(ExtraError("videos", extra="video")).endswith("pip install 'av>=18'")


def test_an_answer_without_work_loads_nothing_heavy() -> None:
    """`train` without its recipe, too: torch is loaded last."""
    code = """
import sys
from mien.cli.main import main
for words in ([], ["predict", "-h"], ["train"], ["study", "a.toml"], ["export"], ["show", "-h"], ["data", "show"]):
    sys.argv = ["mien", *words]
    try: main()
    except SystemExit: pass
print(*sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.splitlines()[-1].split())
    assert "mien.cli.predict" in loaded
    assert not loaded & {"torch", "onnxruntime", "av", "cv2", "matplotlib", "pyarrow", "onnx"}


def test_an_output_of_another_kind_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_faces(random_faces(3), "f.npz")
    Path("photo.jpg").write_bytes(b"precious")
    tiny_model(Path("m.onnx"))
    for words in (
        ["evaluate", "m.onnx", "f.npz", "-o", "photo.jpg"],
        ["data", "audit", "f.npz", "-o", "photo.jpg"],
        ["data", "audit", "f.npz", "-o", "a.json", "--html", "photo.jpg"],
        ["data", "show", "f.npz", "--draw", "photo.jpg"],
        ["predict", "a.jpg", "--faceless", "photo.jpg"],
        ["demo", "-o", "look.gif"],
    ):
        said = run_mien(*words)
        assert (said.code, said.out, said.err.count("\n")) == (1, "", 1), words
        assert "name must end in" in said.err or "no such file" in said.err
    assert Path("photo.jpg").read_bytes() == b"precious"


def test_a_training_that_cannot_begin_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_faces(random_faces(3), "f.npz")
    Path("r.toml").write_text("seed = 1\n")
    Path("file").write_text("")
    for words, message in (
        (
            ["train", "no.toml", "--faces", "f.npz", "-o", "run"],
            "cannot read the recipe no.toml: No such file or directory",
        ),
        (["train", "r.toml", "--faces", "no.npz", "-o", "run"], "cannot read no.npz: No such file or directory"),
        (["train", "r.toml", "--faces", "f.npz", "-o", "file/run"], "cannot make the folder file/run: file is a file"),
        (["study", "r.toml", "--faces", "f.npz", "-o", "file/run"], "cannot make the folder file/run: file is a file"),
        (["data", "show", "."], ". is a folder; make a file of faces of it with: mien data import . -o faces.npz"),
        (
            ["export", "run", "-o", "m.onnx"],
            "run must be the folder of a run, as mien train makes it; only --int8 takes a model, too",
        ),
    ):
        said = run_mien(*words)
        assert (said.code, said.out, said.err) == (1, "", f"mien: {message}\n")
