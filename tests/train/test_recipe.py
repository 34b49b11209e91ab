"""Recipes: what loads, what is refused, and that every shipped one makes a step."""

import dataclasses
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.scores_file import FaceScores, save_scores
from mien.errors import RecipeError
from mien.io import recipe_files
from mien.io.recipe_files import shipped_recipes
from mien.labels import EXPRESSIONS, VOTES
from mien.train import Recipe, load_recipe, train
from mien.train.loss.settings import Loss
from mien.train.nets import NETS
from mien.train.nets.facenet import FaceNet29
from mien.train.nets.normalise import Normalise
from mien.train.nets.plain import Cnn
from mien.train.nets.resnet import ResNet
from mien.train.nets.swift import Swift
from mien.train.optim.settings import Optim
from mien.train.recipe_toml import REMOVED, RENAMED, parse_recipe
from mien.types import Scores
from recipe_strategies import recipes
from support import ONE_THREAD, tiny_model, train_and_valid

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.toml"))
IDEAS = sorted((Path(__file__).parents[2] / "experiments").rglob("*.toml"))
REPORT = [path for path in RECIPES if path.parent.name == "report" and path.stem != "final"]

KEYS = "name|widths|lr|epochs|image_sizes|fuse|crop|mix"
KEY_VALUE = rf"\[(net|head|loss|augment|optim)\]\n({KEYS}) = [-\[\]\"'{{}}0-9a-z_., ]{{1,20}}"


def test_sources_without_recipes_read_recipes_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.toml").write_text("seed = 7\n")
    monkeypatch.setattr(recipe_files, "__file__", str(tmp_path / "src" / "mien" / "io" / "recipe_files.py"))
    assert load_recipe(tmp_path / "own.toml").seed == 7
    with pytest.raises(RecipeError, match="must be a TOML file"):
        load_recipe("plain")


def test_defaults_survive_toml() -> None:
    assert parse_recipe(Recipe().to_toml()) == Recipe()


def test_changed_values_survive_toml() -> None:
    recipe = Recipe(
        seed=7, net=Swift(widths=(8, 16), dropout=0.0), optim=Optim(image_sizes=((32, 0.5), (48, 0.5)), lr=1e-05)
    )
    assert parse_recipe(recipe.to_toml()) == recipe


def test_any_name_of_a_teacher_survives_toml() -> None:
    recipe = Recipe(loss=Loss(teachers=("\U0001f600.onnx", 'a"b\\c.onnx')))
    assert parse_recipe(recipe.to_toml()) == recipe


@settings(deadline=None, max_examples=60)
@given(recipes())
def test_any_recipe_survives_toml(recipe: Recipe) -> None:
    assert parse_recipe(recipe.to_toml()) == recipe


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60) | st.from_regex(KEY_VALUE, fullmatch=True))
def test_any_text_is_a_recipe_or_one_line_of_error(text: str) -> None:
    try:
        recipe = parse_recipe(text)
    except RecipeError as error:
        said = str(error)
    else:
        said = ""
        assert parse_recipe(recipe.to_toml()) == recipe
    assert "\n" not in said


def test_settings_replace_the_files(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[optim]\nlr = 0.5\nepochs = 3\n")
    recipe = load_recipe(path, ["optim.lr=0.2", "net.widths=[8, 16]", "seed=3"])
    assert (recipe.optim.lr, recipe.optim.epochs, recipe.net.widths, recipe.seed) == (0.2, 3, (8, 16), 3)


def test_a_whole_number_does_for_a_float() -> None:
    rate = parse_recipe("[optim]\nlr = 1\n").optim.lr
    assert rate == 1.0
    assert isinstance(rate, float)


REFUSED = [
    ("[optim]\nlerning = 1", "unknown key 'optim.lerning'; known here: name, epochs"),
    ("[optim]\nepoch = 1", "unknown key 'optim.epoch'; did you mean optim.epochs"),
    ("[optimum]\nlr = 1", "did you mean optim"),
    ("lr = 1", r"unknown key 'lr'; did you mean optim\.lr\?"),
    ("[loss]\nepochs = 1", r"unknown key 'loss\.epochs'; did you mean optim\.epochs\?"),
    ("dropout = 0.1", r"did you mean head\.dropout or net\.dropout\?"),
    ("seed = 1.5", "seed must be a whole number, got 1.5"),
    ('[optim]\nlr = "fast"', "optim.lr must be a number, got 'fast'"),
    ("[optim]\nlr = true", "optim.lr must be a number, got True"),
    ("optim = 3", "optim must be a table, got 3"),
    ("[net]\nwidths = 40", "net.widths must be a list, got 40"),
    ("[net]\nwidths = []", r"net.widths must be a list whose length is in \[1, 8\], got \[\]"),
    ("[net]\nwidths = [8, 0]", r"net.widths\[1\] must be in \[1, 4096\], got 0"),
    ("[net]\nwidths = [1000000000]", r"net.widths\[0\] must be in \[1, 4096\], got 1000000000"),
    ('[net]\nname = ["swift"]', r"net.name must be one of swift, .*, got \['swift'\]"),
    ('[net]\nname = "swfit"', "net.name must be one of swift, .*, got 'swfit'; did you mean swift"),
    ("[net]\ndropout = 1.0", r"net.dropout must be in \[0, 1\), got 1.0"),
    ("[net]\nstem_kernel = 4", "net.stem_kernel must be 3, 5, 7 or 9, got 4"),
    ("[optim]\nimage_sizes = [[32, 0.5], [48, 0.4]]", "must sum to 1, got 0.9"),
    ("[optim]\nimage_sizes = [[32, 0.5, 1]]", r"optim.image_sizes\[0\] must be a list of 2"),
    ("[optim]\nimage_sizes = [[32, 1.5], [48, -0.5]]", r"optim.image_sizes\[0\]\[1\] must be in \(0, 1\], got 1.5"),
    ("[optim]\nlr = 1e300", r"optim.lr must be in \(0, 100\], got 1e\+300"),
    (f"[optim]\nlr = {'9' * 400}", r"optim.lr must be in \(0, 100\], got 9{60}\.\.\."),
    (f"[optim]\nlr = {'9' * 5000}", "recipe is not TOML: Exceeds the limit"),
    (f"seed = 0x{'f' * 5000}", r"seed must be in \[0, 4294967295\], got a number with thousands of digits"),
    (f"seed = {'[' * 5000}", "recipe is not TOML"),
    ('[optim]\nprecision = "16"', "must be one of 32-true, 16-mixed, bf16-mixed, auto, got '16'"),
    ("[optim]\nmax_grad_norm = inf", r"optim.max_grad_norm must be in \[0, 1e6\], got inf"),
    ("[augment]\nflip_prob = 2", r"augment.flip_prob must be in \[0, 1\], got 2"),
    ("[augment]\ncrop = 53", r"augment\.crop must be 16 to 48 \+ 2 x pad, got 53"),
    ("[loss]\nsmoothing = -0.1", r"loss.smoothing must be in \[0, 1\), got -0.1"),
    ("[loss]\nclass_weights = [1, 1, 1, 1, 1, 1, nan]", r"loss.class_weights\[6\] must be in .*, got nan"),
    ("[loss]\nclass_weights = 3", "loss.class_weights must be one of none, inverse, sqrt or a list, got 3"),
    ('[loss]\nteachers = ["a\\u0000b"]', r"loss.teachers\[0\] must be a text without NUL"),
    ("[normalise]\nmean = nan", r"normalise.mean must be in \[-10, 10\], got nan"),
    ("seed = -1", r"seed must be in \[0, 4294967295\], got -1"),
    ("[optim\n", "not TOML"),
]


@pytest.mark.parametrize(("text", "complaint"), REFUSED, ids=[complaint[:40] for _, complaint in REFUSED])
def test_what_does_not_fit_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint) as refusal:
        parse_recipe(text)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_a_net_of_too_many_weights_is_refused() -> None:
    recipe = parse_recipe("[net]\nwidths = [4096, 4096, 4096]\nblocks = 4")
    with pytest.raises(RecipeError, match=r"at most 500,000,000 weights, got [\d,]+: make net.widths smaller"):
        recipe.build_net(classes=7)


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_key_is_answered_by_its_new_name(old: str) -> None:
    section, _, key = old.partition(".")
    with pytest.raises(RecipeError, match=f"recipe: {old} has another name now: {RENAMED[old]}"):
        parse_recipe(f"[{section}]\n{key} = 1")


@pytest.mark.parametrize("old", REMOVED)
def test_a_removed_key_is_said_to_be_gone(old: str) -> None:
    section, _, key = old.partition(".")
    with pytest.raises(RecipeError, match=f"{old} is no longer there, since it brought nothing: leave it out"):
        parse_recipe(f"[{section}]\n{key} = 1")


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("net.name=cnn", "cnn"),
        ("net.name = cnn", "cnn"),
        ("optim.schedule=one-cycle", "one-cycle"),
        ('optim.schedule="one-cycle"', "one-cycle"),
        ("augment.mix=cutmix", "cutmix"),
    ],
)
def test_a_word_needs_no_quotes(tmp_path: Path, change: str, value: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text("seed = 1\n")
    section, _, key = change.partition("=")[0].strip().partition(".")
    assert getattr(getattr(load_recipe(path, [change]), section), key) == value


@pytest.mark.parametrize("weights", ["~/some_where/net-2.safetensors", "./net.safetensors", "../net", "/some/net"])
def test_a_path_needs_no_quotes(tmp_path: Path, weights: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[net]\nname = "facenet29"\n')
    net = load_recipe(path, [f"net.weights={weights}"]).net
    assert isinstance(net, FaceNet29)
    assert net.weights == weights


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("optim.precision=a b", r"the value in .* is not TOML \(a text needs quotes"),
        ("optim.precision=[", "is not TOML"),
        ("optim.precision=", "is not TOML"),
        ("optim.lr=1e", "is not TOML"),
        ("optim.lr=high", "optim.lr must be"),
        ("optim.nesterov=True", "optim.nesterov must be"),
        ("net.name=fast", "net.name must be"),
        ("net.widths=wide", "net.widths must be"),
    ],
)
def test_a_changed_value_that_does_not_fit_is_refused(tmp_path: Path, change: str, error: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text("seed = 1\n")
    with pytest.raises(RecipeError, match=error):
        load_recipe(path, [change])


@pytest.mark.parametrize("change", ["optim.lr", "seed.x=1", "optim.lr.x=1"])
def test_settings_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text("seed = 1\n[optim]\nlr = 0.5\n")
    with pytest.raises(RecipeError):
        load_recipe(path, [change])


def test_another_net_comes_without_the_settings_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[net]\nname = "resnet18"\nstem_kernel = 3\n')
    assert load_recipe(path, ['net.name="cnn"']).net == Cnn()
    for changes in (['net.name="cnn"', "net.widths=[4]"], ["net.widths=[4]", 'net.name="cnn"']):
        assert load_recipe(path, changes).net == Cnn(widths=(4,))
    assert load_recipe(path, ['net.name="resnet18"']).net == load_recipe(path).net
    path.write_text("[net]\nwidths = [4, 8]\n")
    assert load_recipe(path, ['net.name="swift"']).net == load_recipe(path).net  # which it was by default


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no\.toml"):
        load_recipe(tmp_path / "no.toml")


def _files(folder: Path, **texts: str) -> Path:
    """Recipe files by name; the path of the first."""
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    return folder / f"{next(iter(texts))}.toml"


def test_a_recipe_says_only_what_differs_from_its_base(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    _files(tmp_path, root="seed = 4\n[optim]\nlr = 0.5\nepochs = 3\n")
    _files(tmp_path / "deep", middle='base = "../root.toml"\n[optim]\nepochs = 7\n')
    top = _files(tmp_path / "deep", top='base = "middle.toml"\n[loss]\nsmoothing = 0.2\n')
    recipe = load_recipe(top, ["optim.batch=9"])
    assert (recipe.seed, recipe.optim.lr, recipe.optim.epochs) == (4, 0.5, 7)
    assert (recipe.loss.smoothing, recipe.optim.batch) == (0.2, 9)
    assert parse_recipe(recipe.to_toml()) == recipe
    assert "base" not in recipe.to_toml()


def test_of_another_net_the_base_says_nothing(tmp_path: Path) -> None:
    base = '[net]\nname = "resnet18"\nstem_kernel = 3\n'
    assert load_recipe(_files(tmp_path, a='base = "b.toml"\n[net]\nname = "cnn"', b=base)).net == Cnn()
    deeper = load_recipe(_files(tmp_path, d='base = "b.toml"\n[net]\nname = "resnet34"'))
    assert deeper.net == ResNet(name="resnet34", stem_kernel=3)
    same = load_recipe(_files(tmp_path, c='base = "b.toml"\n[net]\ndropout = 0.1'))
    assert same.net == ResNet(stem_kernel=3, dropout=0.1)


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ({"a": 'base = "b.toml"', "b": 'base = "a.toml"'}, "must not be its own base, got .*a.toml -> .*b.toml -> .*a"),
        ({"a": 'base = "a.toml"'}, "must not be its own base"),
        ({"a": 'base = "no.toml"'}, "cannot read the base of .*a.toml, .*no.toml: No such file"),
        ({"a": "base = 3"}, "base in .*a.toml must be the name of a file, got 3"),
        ({"a": 'base = "b\\u0000c"'}, r"base in .*a.toml must be the name of a file, got 'b\\x00c'"),
        ({"a": 'base = "b.toml"', "b": "[optim]\nepoch = 1"}, "b.toml: unknown key 'optim.epoch'"),
        ({"a": 'base = "b.toml"\n[optim]\nepoch = 1', "b": ""}, "a.toml: unknown key 'optim.epoch'"),
    ],
)
def test_a_base_refused(texts: dict[str, str], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=complaint) as refusal:
        load_recipe(_files(tmp_path, **texts))
    assert "\n" not in str(refusal.value)


# Faces and batches are small; widths are, where a net has the choice.
SMALL = ["optim.epochs=1", "optim.batch=14", "optim.image_sizes=[[28, 1]]", "loss.support=1", "loss.queries=1"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_makes_a_step(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A ResNet-18 with its momentum is 180 MB.
    monkeypatch.setattr("mien.train.run.run_dir.save_checkpoint", lambda *_: None)
    monkeypatch.setattr("mien.train.run.run_dir.RunPlots.write", lambda *_: None)
    wide = "widths" in {field.name for field in dataclasses.fields(load_recipe(path).net)}
    recipe = load_recipe(path, [*SMALL, "net.widths=[4, 8, 8, 8]"] if wide else SMALL)
    if isinstance(recipe.net, FaceNet29):  # its weights are made by a tool, and do not ship
        recipe = replace(recipe, net=replace(recipe.net, weights=""))
    faces = train_and_valid(14, 7)
    votes = np.ones((21, len(VOTES)), np.float32)
    votes[np.arange(21), faces.labels] = 3
    faces = replace(faces, votes=votes)
    monkeypatch.chdir(tmp_path)
    Path("runs/folds").mkdir(parents=True)
    for name in recipe.loss.teachers:
        if name.endswith(".npz"):  # what `mien train --folds` writes
            even = Scores(np.full((21, 7), 1 / 7, np.float32), EXPRESSIONS)
            save_scores(FaceScores(faces.ids, even, held_out=True), name)
        elif name.endswith(".onnx"):
            tiny_model(Path(name))
    (epoch,) = train(recipe, faces, out=tmp_path / "run", hardware=ONE_THREAD)
    assert epoch.number == 1


def test_recipes_are_found() -> None:
    assert {"swift", "final", "bare", "cnn"} <= {path.stem for path in RECIPES}
    assert set(shipped_recipes().values()) == set(RECIPES)
    assert load_recipe("report/final") == load_recipe(shipped_recipes()["report/final"])


def test_a_recipe_that_does_not_ship_is_told_what_does() -> None:
    with pytest.raises(RecipeError, match=r"or one that ships \(dash, .*report/.*\), got plian; did you mean plain"):
        load_recipe("plian")


def test_a_picture_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*photo\.jpg: it must be UTF-8 text$"):
        load_recipe(tmp_path / "photo.jpg")


@pytest.mark.parametrize("path", IDEAS, ids=lambda path: path.stem)
def test_the_logs_recipes_can_be_read(path: Path) -> None:
    assert load_recipe(path).net.name in NETS


@pytest.mark.parametrize("path", REPORT, ids=lambda path: path.stem)
def test_each_recipe_of_the_report_is_about_one_thing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    about, said = text.splitlines()[:2]
    assert about.startswith("# ")
    assert said.startswith("# Report: ")
    base = tomllib.loads(text)["base"]
    recipe, below = load_recipe(path), load_recipe(path.parent / base)
    differing = [
        each.name for each in dataclasses.fields(Recipe) if getattr(recipe, each.name) != getattr(below, each.name)
    ]
    together = {"short": ["net", "optim"], "prototypes": ["head", "loss", "optim"]}
    assert differing == together.get(path.stem, differing[:1])


def test_the_reports_final_recipe_is_as_submitted() -> None:
    recipe = load_recipe("report/final")
    assert recipe.net == ResNet(name="resnet34", stem_kernel=3, stem_stride=1, stem_pool=False)
    assert recipe.normalise == Normalise(by="fixed", mean=0.15, std=0.4)
    assert (recipe.loss.smoothing, recipe.loss.smoothing_over, recipe.loss.class_weights) == (0.05, "wrong", "none")
    assert (recipe.optim.name, recipe.optim.momentum, recipe.optim.nesterov) == ("sgd", 0.9, False)
    assert (recipe.optim.lr, recipe.optim.gamma, recipe.optim.step_epochs) == (0.01, 0.4, 9)
    assert (recipe.optim.batch, recipe.optim.weight_decay, recipe.optim.decay_all) == (63, 1e-5, True)


def test_the_reports_class_weights_are_in_our_order() -> None:
    theirs = {"angry": 0.4, "disgust": 1, "fear": 0.4, "happy": 0.3, "neutral": 0.35, "sad": 0.35, "surprise": 0.5}
    assert load_recipe("report/weighted").loss.class_weights == tuple(theirs[name] for name in EXPRESSIONS)


def test_every_value_is_frozen() -> None:
    recipe: Any = Recipe()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 2
