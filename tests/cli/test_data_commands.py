"""`mien data import`, `show` and `export`, as a user runs them."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mien
from mien.data.decode import encode_png
from mien.types import FaceSet
from support import random_faces, run_mien

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
SPLITS = np.array(["train"] * 20 + ["valid"] * 6 + ["test"] * 4)
NOISE = random_faces(30, seed=8)
FACES = FaceSet(
    images=NOISE.images,
    labels=np.where(SPLITS == "test", -1, np.arange(30) % 7),
    splits=SPLITS,
    ids=np.array([f"fer{row:07d}" for row in range(30)]),
)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kaggle's file, FER+'s, and the same faces in folders, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    mien.write_fer2013(FACES, "fer2013.csv")
    mien.write_folder(FACES, "folders")
    usages = {"train": "Training", "valid": "PublicTest", "test": "PrivateTest"}
    rows = [
        f"{usages[split]},{name}.png,1,2,0,0,3,0,0,4,0,0" for split, name in zip(FACES.splits, FACES.ids, strict=True)
    ]
    Path("fer2013new.csv").write_text("\n".join([HEADER, *rows]) + "\n")


def counted(out: str) -> dict[str, list[int]]:
    """The rows of the table that was printed: train, valid, test, all."""
    rows = [line.replace(",", "").split() for line in out.splitlines()]
    return {row[0]: [int(word) for word in row[1:]] for row in rows if len(row) == 5 and "".join(row[1:]).isdigit()}


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_import_says_what_the_library_says(suffix: str) -> None:
    outcome = run_mien("data", "import", "fer2013.csv", "--votes", "fer2013new.csv", "-o", f"f{suffix}")
    assert (outcome.code, outcome.err) == (0, "")
    expected = mien.add_votes(mien.read_fer2013("fer2013.csv"), "fer2013new.csv")
    assert mien.load_faces(f"f{suffix}").hash == expected.hash
    assert outcome.out.startswith(f"f{suffix}: 30 faces, 0.")
    names = np.array([*mien.EXPRESSIONS, "none"])[FACES.labels]
    table = pd.crosstab(names, SPLITS, margins=True, margins_name="all")[["train", "valid", "test", "all"]]
    assert counted(outcome.out) == {name: row.tolist() for name, row in table.iterrows()}


@pytest.mark.parametrize("form", ["fer2013", "folder", "flat", "parquet"])
@pytest.mark.parametrize("said", [True, False])
def test_every_form_goes_out_and_in(form: str, said: bool) -> None:
    mien.save_faces(FACES, "f.npz")
    name = {"fer2013": "out.csv", "parquet": "out.parquet"}.get(form, "out")
    outcome = run_mien("data", "export", "f.npz", "-o", name, "--format", form)
    assert (outcome.code, outcome.out) == (0, f"{name}: 30 faces\n")
    lost = {"fer2013": "ids", "flat": "labels and splits"}.get(form)
    assert outcome.err == (f"this form has no place for {lost}\n" if lost else "")
    assert run_mien("data", "import", name, "-o", "g.npz", *(["--format", form] if said else [])).code == 0
    assert sorted(face.tobytes() for face in mien.load_faces("g.npz").images) == sorted(
        f.tobytes() for f in FACES.images
    )


def test_bad_rows_stop_or_are_left_out() -> None:
    lines = Path("fer2013.csv").read_text().splitlines()
    lines[3] = lines[3].replace("Training", "[bold]")
    lines[9] = lines[9].replace(" ", "  1 ", 1)
    Path("bad.csv").write_text("\n".join(lines))
    outcome = run_mien("data", "import", "bad.csv", "-o", "f.npz")
    said = "bad.csv line 4: Usage must be Training, PublicTest, PrivateTest, got '[bold]'"
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"mien: {said}\n")
    assert not Path("f.npz").exists()

    outcome = run_mien("data", "import", "bad.csv", "-o", "f.npz", "--skip-bad", "--votes", "fer2013new.csv")
    assert outcome.code == 0
    assert outcome.err.splitlines() == [
        said,
        "bad.csv line 10: pixels must be 2304 numbers, got 2305",
        "2 bad rows or files were left out",
    ]
    whole = mien.add_votes(FACES, "fer2013new.csv")
    assert mien.load_faces("f.npz").hash == whole[~np.isin(np.arange(30), (2, 8))].hash


def test_bad_pictures_stop_or_are_left_out() -> None:
    picture = next(Path("folders/train/happy").iterdir())
    picture.write_bytes(picture.read_bytes()[:300])
    outcome = run_mien("data", "import", "folders", "-o", "f.npz")
    assert outcome.code == 1
    assert outcome.err.startswith(f"mien: {picture} ")
    assert run_mien("data", "import", "folders", "-o", "f.npz", "--skip-bad").code == 0
    assert len(mien.load_faces("f.npz")) == 29


@pytest.mark.parametrize(("text", "valid"), [("5", 5), ("0.25", 0.25)])
@pytest.mark.parametrize("stratified", [True, False])
def test_train_faces_can_be_split(text: str, valid: float, stratified: bool) -> None:
    options = ["--split-valid", text, "--seed", "3", "--stratified" if stratified else "--no-stratified"]
    assert run_mien("data", "import", "fer2013.csv", "-o", "f.npz", *options).code == 0
    expected = mien.split_random(mien.read_fer2013("fer2013.csv"), valid=valid, seed=3, stratified=stratified)
    assert mien.load_faces("f.npz").hash == expected.hash
    assert (expected.splits == "valid").sum() == 11


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["fer2013.csv", "-o", "f.csv"], 1, "the file of faces must end in .npz or .parquet, got f.csv"),
        (["fer2013.csv", "-o", "none/f.npz"], 1, "there is no folder none"),
        (["none.csv", "-o", "f.npz"], 1, "none.csv must be a file or folder"),
        (["fer2013.csv", "-o", "f.npz", "--format", "folder"], 1, "cannot read the folder fer2013.csv"),
        (["fer2013new.csv", "-o", "f.npz"], 1, "fer2013new.csv line 1 must name the columns emotion, pixels and Usage"),
        (
            ["folders", "--votes", "fer2013new.csv", "-o", "f.npz"],
            1,
            "can only be joined to faces read from a fer2013.csv",
        ),
        (["fer2013.csv", "-o", "f.npz", "--split-valid", "20"], 1, "20 of the 20 train faces were asked for"),
        (["fer2013.csv", "-o", "f.npz", "--split-valid", "many"], 2, "must be a number of faces or a share"),
        (["fer2013.csv", "-o", "f.npz", "--seed", "5"], 2, "--split-valid: is needed"),
        (["fer2013.csv", "-o", "f.npz", "--no-stratified"], 2, "--split-valid: is needed"),
        (["fer2013.csv", "-o", "f.npz", "--names", "sad"], 2, "goes with numbered folders and Parquet files"),
        (["fer2013.csv", "-o", "f.npz", "--format", "csv"], 2, "--format"),
        (["fer2013.csv"], 2, "--out"),
    ],
)
def test_what_cannot_be_imported(arguments: list[str], code: int, said: str) -> None:
    outcome = run_mien("data", "import", *arguments)
    assert outcome.code == code
    assert said in " ".join(outcome.err.replace("│", " ").split())
    assert not Path("f.npz").exists()


def test_names_say_what_numbers_mean() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = [{"bytes": encode_png(face), "path": None} for face in FACES.images[:3]]
    pq.write_table(pa.table({"image": contents, "label": [0, 1, 2]}), "a.parquet")
    assert "--names" in run_mien("data", "import", "a.parquet", "-o", "f.npz").err
    assert run_mien("data", "import", "a.parquet", "-o", "f.npz", "--names", "sad,happy,neutral").code == 0
    assert mien.load_faces("f.npz").labels.tolist() == [4, 3, 6]


def test_show_counts_and_draws() -> None:
    mien.save_faces(mien.add_votes(FACES, "fer2013new.csv"), "f.npz")
    outcome = run_mien("data", "show", "f.npz", "--split", "train", "--expression", "fear", "--draw", "a.png")
    chosen = mien.load_faces("f.npz")[(FACES.splits == "train") & (FACES.labels == 2)]
    assert len(chosen) == 3
    assert outcome.code == 0
    assert counted(outcome.out)["fear"] == counted(outcome.out)["all"] == [3, 0, 0, 3]
    assert f"mean {chosen.images.mean():.2f}, standard deviation {chosen.images.std():.2f}" in outcome.out
    assert "with FER+ votes  3" in outcome.out
    assert chosen.hash in outcome.out
    assert outcome.err == "the first 3 faces are drawn in a.png\n"
    with Image.open("a.png") as sheet:
        assert np.array_equal(np.asarray(sheet)[2:50, 52:100], chosen.images[1])


def test_show_draws_what_training_sees() -> None:
    """Without augmentation every version is the face itself, at each size of the recipe; `--set` brings some in."""
    mien.save_faces(FACES, "f.npz")
    off = ["flip_prob", "rotate_degrees", "scale", "shift_pixels", "contrast", "erase_prob"]
    Path("r.toml").write_text("[augment]\n" + "\n".join(f"{key} = 0" for key in off))
    drawing = ["data", "show", "f.npz", "--recipe", "r.toml", "--draw", "a.png", "--first", "3"]
    outcome = run_mien(*drawing)
    trained_on = FACES[(FACES.splits == "train") & (FACES.labels >= 0)][:3]
    assert (outcome.code, outcome.err) == (0, "what training sees of 3 faces is drawn in a.png\n")
    with Image.open("a.png") as sheet:
        cells = np.asarray(sheet)[20:, :].reshape(3, -1, 9, 104).swapaxes(1, 2)[:, :, 4:100, 4:100]
    assert np.array_equal(cells[:, :, ::2, ::2], trained_on.images[:, None].repeat(9, axis=1))
    assert run_mien(*drawing, "--set", "augment.flip_prob=1").code == 0
    with Image.open("a.png") as sheet:
        cells = np.asarray(sheet)[20:, :].reshape(3, -1, 9, 104).swapaxes(1, 2)[:, :, 4:100, 4:100]
    assert np.array_equal(cells[:, 1:, ::2, ::2], trained_on.images[:, None, :, ::-1].repeat(8, axis=1))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--recipe", "r.toml"], 2, "--recipe: needs --draw sheet.png"),
        (["--set", "augment.pad=4", "--draw", "a.png"], 2, "--set: needs --recipe"),
        (["--recipe", "r.toml", "--draw", "a.png", "--set", "augment.padd=4"], 1, "did you mean augment.pad"),
        (["--first", "3"], 2, "--first: needs --draw sheet.png"),
        (["--draw", "f.npz"], 1, "it is an input"),
        (["--recipe", "no.toml", "--draw", "a.png"], 1, "cannot read the recipe no.toml"),
        (["--recipe", "r.toml", "--draw", "a.png", "--expression", "none"], 1, "needs labelled faces, got 0"),
    ],
)
def test_what_training_sees_cannot_be_drawn(arguments: list[str], code: int, said: str) -> None:
    mien.save_faces(FACES, "f.npz")
    Path("r.toml").write_text("seed = 1")
    outcome = run_mien("data", "show", "f.npz", *arguments)
    assert outcome.code == code
    assert said in " ".join(outcome.err.replace("│", " ").split())
    assert not Path("a.png").exists()


def test_drawing_what_training_sees_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    mien.save_faces(FACES, "f.npz")
    Path("r.toml").write_text("seed = 1")
    for name in [name for name in sys.modules if name == "mien.train" or name.startswith("mien.train.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    outcome = run_mien("data", "show", "f.npz", "--recipe", "r.toml", "--draw", "a.png")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("mien: mien.train needs more packages; install them with: ")
    assert outcome.err.count("\n") == 1
    assert run_mien("data", "show", "f.npz", "--draw", "a.png").code == 0


def test_show_what_has_no_label_and_what_is_not_there() -> None:
    mien.save_faces(FACES, "f.npz")
    assert counted(run_mien("data", "show", "f.npz", "--expression", "none").out)["all"] == [0, 0, 4, 4]
    outcome = run_mien(
        "data", "show", "f.npz", "--expression", "fear", "--split", "test", "--draw", "a.png", "--first", "9"
    )
    assert counted(outcome.out)["all"] == [0, 0, 0, 0]
    assert outcome.err == "the first 0 faces are drawn in a.png\n"
    outcome = run_mien("data", "show", "fer2013.csv")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "mien: fer2013.csv is no file of faces; make one with: mien data import SOURCE -o faces.npz\n"


def test_an_export_never_touches_what_is_there() -> None:
    mien.save_faces(FACES, "f.npz")
    outcome = run_mien("data", "export", "f.npz", "-o", "folders", "--format", "flat")
    assert outcome.code == 1
    assert "folders must be a new or an empty folder" in outcome.err
    assert mien.read_folder("folders").labels.size == 30


def test_a_terminal_shows_progress_and_a_pipe_does_not() -> None:
    assert run_mien("data", "import", "folders", "-o", "f.npz").err == ""
    done = run_mien("data", "import", "folders", "-o", "f.npz", watched=True)
    assert "Reading folders" in done.err
    assert "Writing f.npz" in done.err
    assert "Reading" not in done.out


def test_the_documentation_runs() -> None:
    """Every command and all Python of docs/data.md, where small files of those names lie."""
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text().replace("4709", "47")
    commands = [line.split("#")[0].split()[1:] for line in page.splitlines() if line.startswith("    mien data ")]
    Path("folders").rename("report")
    mien.write_folder(random_faces(100, split="train"), "report/train/happy/more")
    mien.write_flat(FACES, "crops")
    shutil.copy(Path(mien.__file__).parent / "assets" / "portrait.jpg", "photo.jpg")
    for number, face in enumerate(FACES.images[:7], 1):
        Path(f"raf/{number}").mkdir(parents=True)
        Path(f"raf/{number}/a.png").write_bytes(encode_png(face))
    mien.write_parquet(FACES, "faces.parquet")
    for name, face in zip(("bored", "engaged"), FACES.images, strict=False):
        Path(f"lectures/{name}").mkdir(parents=True)
        Path(f"lectures/{name}/a.png").write_bytes(encode_png(face))
    for command in commands:
        outcome = run_mien(*command)
        assert outcome.code == 0, f"{command}: {outcome.err}"
    assert len(commands) > 10
    for part in page.split("```python")[1:]:
        exec(part.split("```")[0], {})  # noqa: S102
    assert [path.name for path in Path("faces/happy").iterdir()] == ["photo-0.png"]
    assert mien.load_faces("faces.parquet").hash == mien.read_folder("report").hash


@pytest.mark.parametrize("form", ["fer2013", "parquet"])
def test_an_export_does_not_replace_what_is_read(form: str) -> None:
    mien.save_faces(FACES, "f.npz")
    Path("hard").hardlink_to("f.npz")
    Path("soft").symlink_to("f.npz")
    for name in ("f.npz", "./folders/../f.npz", "hard", "soft"):
        outcome = run_mien("data", "export", "f.npz", "-o", name, "--format", form)
        assert (outcome.code, "it is an input" in outcome.err) == (1, True)
    assert mien.load_faces("f.npz").hash == FACES.hash
    assert "give the folder by its name" in run_mien("data", "export", "f.npz", "-o", ".", "--format", "flat").err


def test_an_import_does_not_replace_what_is_read() -> None:
    """Not the table, the votes, nor a file in the folder that is read, by whatever name."""
    Path("pf").mkdir()
    mien.write_parquet(FACES, "pf/train.parquet")
    Path("votes.npz").hardlink_to("fer2013new.csv")
    Path("table.npz").symlink_to("fer2013.csv")
    before = {path: path.read_bytes() for path in (Path("pf/train.parquet"), Path("fer2013.csv"), Path("votes.npz"))}
    for arguments in (
        ("pf", "-o", "pf/train.parquet"),
        ("pf/train.parquet", "-o", "pf/train.parquet"),
        ("fer2013.csv", "-o", "table.npz"),
        ("fer2013.csv", "--votes", "fer2013new.csv", "-o", "votes.npz"),
    ):
        outcome = run_mien("data", "import", *arguments)
        assert (outcome.code, "it is an input" in outcome.err) == (1, True), arguments
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.linux
@pytest.mark.parametrize("form", ["folder", "flat"])
def test_a_folder_with_a_pipe_or_a_circle_is_imported(form: str) -> None:
    os.mkfifo("folders/train/happy/pipe.png")
    Path("folders/train/happy/up").symlink_to(Path("folders").resolve(), target_is_directory=True)
    outcome = run_mien("data", "import", "folders", "-o", "f.npz", "--format", form)
    assert (outcome.code, outcome.err) == (0, "")
    assert len(mien.load_faces("f.npz")) == 30


def test_numbered_folders_are_named() -> None:
    names = "surprise,fear,disgust,happy,sad,angry,neutral"
    for number, face in enumerate(FACES.images[:7], 1):
        Path(f"raf/train/{number}").mkdir(parents=True)
        Path(f"raf/train/{number}/a.png").write_bytes(encode_png(face))
    assert f"--names {names} (RAF-DB)" in run_mien("data", "import", "raf", "-o", "f.npz").err
    assert run_mien("data", "import", "raf", "-o", "f.npz", "--names", names).code == 0
    assert [mien.EXPRESSIONS[label] for label in mien.load_faces("f.npz").labels] == names.split(",")


def test_what_an_import_passes_over_and_doubts_is_told() -> None:
    Path("folders/train/notes.pdf").write_text("%PDF")
    Image.new("RGB", (800, 600), "orange").save("folders/train/happy/photo.jpg")
    outcome = run_mien("data", "import", "folders", "-o", "f.npz")
    assert outcome.code == 0
    assert "passed over: train/notes.pdf" in outcome.err
    assert (
        "1 of 31 pictures are no crops of faces by their sizes, such as train/happy/photo.jpg (800x600)" in outcome.err
    )


def test_foreign_names_cannot_command_the_terminal() -> None:
    Path("folders/train/happy/\x1b[2Jx.pdf").write_text("%PDF")
    Path("folders/train/\x1b[31mred").mkdir()
    outcome = run_mien("data", "import", "folders", "-o", "f.npz", "--skip-bad")
    assert outcome.code == 0
    assert "\x1b" not in outcome.out + outcome.err
    mien.save_faces(FACES, "f.npz", history=["\x1b[2J"])
    assert "\x1b" not in run_mien("data", "show", "f.npz").out


def test_where_every_row_is_bad_they_are_listed() -> None:
    Path("bad.csv").write_text("emotion,pixels,Usage\n0,1 2 3,Training\n")
    outcome = run_mien("data", "import", "bad.csv", "-o", "f.npz", "--skip-bad")
    assert outcome.code == 1
    assert "bad.csv line 2: pixels must be 2304 numbers, got 3" in outcome.err
