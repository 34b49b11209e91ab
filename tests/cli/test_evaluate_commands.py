"""`mien evaluate`, `models`, `show` and `bench`, as a user runs them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.classify.card import ModelCard
from mien.evaluation.paired import compare_predictions
from mien.evaluation.robustness import CorruptionError, robustness
from mien.labels import EXPRESSIONS
from mien.types import FaceSet
from support import python_of, random_faces, run_mien, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models and a file of faces: 60 to train, 40 to validate of which 10 are twins of those, 5 unlabelled."""
    folder = tmp_path_factory.mktemp("work")
    card = ModelCard(
        "tiny",
        EXPRESSIONS,
        parameters=16128,
        recipe="[optim]\nlr = 0.1\n",
        note="[not] markup",
        scores={
            "valid_accuracy": 0.625,
            "valid_accuracy_low": 0.61,
            "valid_accuracy_high": 0.64,
            "valid_accuracy_mirrored": 0.63,
            "valid_ece": 0.0213,
        },
    )
    tiny_model(folder / "tiny.onnx", card=card)
    tiny_model(folder / "other.onnx", name="other", seed=1)
    train, valid, test = (random_faces(n, seed=n, split=s) for n, s in ((60, "train"), (40, "valid"), (5, "test")))
    images = np.concatenate([train.images, valid.images, test.images])
    images[60:70] = images[:10]
    faces = FaceSet(
        images,
        np.concatenate([train.labels, valid.labels, np.full(5, -1)]),
        np.concatenate([train.splits, valid.splits, test.splits]),
        np.concatenate([train.ids, valid.ids, test.ids]),
        random_faces(105, votes=True).votes,
    )
    mien.save_faces(faces, folder / "faces.npz")
    return folder


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def _ships(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "swift.onnx").write_bytes((folder / "tiny.onnx").read_bytes())
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)


def test_evaluate_says_what_the_library_says(folder: Path, tmp_path: Path) -> None:
    outcome = run_mien("evaluate", "tiny.onnx", "faces.npz", "--out", tmp_path / "r.json")
    faces = mien.load_faces(folder / "faces.npz")
    report = mien.evaluate(
        mien.load(folder / "tiny.onnx"), faces[faces.splits == "valid"], train_faces=faces[faces.splits == "train"]
    )
    assert report.ferplus is not None
    assert (outcome.code, outcome.err) == (0, f"wrote {tmp_path / 'r.json'}\n")
    assert outcome.out.startswith("tiny on 40 labelled faces of faces.npz (valid)\n")
    assert f"{report.accuracy.value:.2%}" in outcome.out
    assert "of 30 with no twin in training" in outcome.out
    assert report.ferplus is not None
    assert f"{report.ferplus.accuracy.value:.2%}" in outcome.out
    for figure in (report.balanced_accuracy, report.brier, report.nll, report.ferplus.kl):
        assert f"{figure:.3f}" in outcome.out
    for row, answered in zip(report.rows(), report.confusion.sum(axis=0), strict=True):
        figures = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1", "ece")]
        figures[0] = figures[0] if answered else "-"
        cells = [row["expression"], str(row["faces"]), *figures]
        assert cells in [line.split() for line in outcome.out.splitlines()]
    for name, row in zip(EXPRESSIONS, report.confusion.tolist(), strict=True):
        assert [name, *map(str, row)] in [line.split() for line in outcome.out.splitlines()]
    assert "…" not in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert (tmp_path / "r.json").read_text() == report.to_json()


def test_what_people_name_beside_the_labels(folder: Path) -> None:
    """With people as the truth, the tables of expressions are theirs; the labels' accuracy stands beside."""
    outcome = run_mien("evaluate", "tiny.onnx", "faces.npz", "--against", "votes")
    faces = mien.load_faces(folder / "faces.npz")
    report = mien.evaluate(mien.load(folder / "tiny.onnx"), faces[faces.splits == "valid"])
    people = report.ferplus
    assert people is not None
    lines = [line.split() for line in outcome.out.splitlines()]
    assert ["faces", str(people.accuracy.count), str(report.count)] in lines
    beside = next(line for line in lines if line[:1] == ["accuracy"])
    assert [beside[1], beside[5]] == [f"{people.accuracy.value:.2%}", f"{report.accuracy.value:.2%}"]
    for name, row in zip(EXPRESSIONS, people.confusion.tolist(), strict=True):
        assert [name, *map(str, row)] in lines
        assert any(line[:2] == [name, str(sum(row))] for line in lines)
    assert not any(line[:2] == ["expression", "faces"] for line in lines)


def test_evaluate_several_models_mirrored(folder: Path, tmp_path: Path) -> None:
    outcome = run_mien(
        "evaluate", "tiny.onnx", "other.onnx", "faces.npz", "--tta", "mirror", "--out", tmp_path / "r.json"
    )
    assert outcome.code == 0
    content = json.loads((tmp_path / "r.json").read_text())
    both = mien.Mirrored(mien.Ensemble(mien.load(folder / "tiny.onnx"), mien.load(folder / "other.onnx")))
    faces = mien.load_faces("faces.npz")
    wanted = mien.evaluate(both, faces[faces.splits == "valid"])
    assert content["model"] == "(tiny + other) mirrored"
    assert content["confusion"] == wanted.confusion.tolist()
    assert len(set(content["model_hashes"])) == 2


@pytest.mark.usefixtures("_ships")
def test_the_documented_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(python_of("evaluate.md"), {})  # noqa: S102 (it is ours)
    out = capsys.readouterr().out
    assert "<Proportion " in out
    assert json.loads(out[out.index("{") :])["model"] == "tiny mirrored"


def test_evaluate_ten_crops(folder: Path, tmp_path: Path) -> None:
    said = run_mien("evaluate", "tiny.onnx", "faces.npz", "--tta", "ten-crop", "--out", tmp_path / "r.json")
    assert said.code == 0
    content = json.loads((tmp_path / "r.json").read_text())
    faces = mien.load_faces("faces.npz")
    ten = mien.Mirrored(mien.FiveCrop(mien.load(folder / "tiny.onnx")))
    wanted = mien.evaluate(ten, faces[faces.splits == "valid"])
    assert content["model"] == "tiny ten-crop"
    assert content["confusion"] == wanted.confusion.tolist()
    assert len(content["model_hashes"]) == 1


def test_evaluate_under_another_prior(tmp_path: Path) -> None:
    priors = {"everyday": (0.4, *[0.1] * 6), "uniform": (1 / 7,) * 7}
    model = tiny_model(tmp_path / "prior.onnx", card=ModelCard("p", EXPRESSIONS, prior="everyday", priors=priors))
    valid = (faces := mien.load_faces("faces.npz"))[faces.splits == "valid"]
    for name in ("uniform", ",".join(f"{expression}=1" for expression in EXPRESSIONS)):
        said = run_mien("evaluate", model, "faces.npz", "--prior", name, "--json")
        wanted = mien.evaluate(mien.load(model, prior="uniform"), valid)
        assert json.loads(said.out)["confusion"] == wanted.confusion.tolist()
    assert wanted.confusion.tolist() != mien.evaluate(mien.load(model), valid).confusion.tolist()
    unknown = run_mien("evaluate", model, "faces.npz", "--prior", "sunday")
    assert unknown.code == 1
    assert "the prior must be one of everyday, uniform" in unknown.err


def test_two_models_are_compared_face_by_face(folder: Path, tmp_path: Path) -> None:
    said = run_mien("evaluate", "tiny.onnx", "faces.npz", "--compare", "other.onnx", "-o", tmp_path / "r.json")
    assert said.code == 0, said.err
    compared = json.loads((tmp_path / "r.json").read_text())["compared_with"]
    faces = mien.load_faces("faces.npz")
    valid = faces[faces.splits == "valid"]
    first, second = (mien.load(folder / name)(valid.images).top for name in ("tiny.onnx", "other.onnx"))
    wanted = compare_predictions(valid.labels, first, second)
    assert compared == {"model": "other", **wanted.to_dict()}
    line = next(line for line in said.out.splitlines() if line.startswith("tiny and other "))
    assert f"{100 * wanted.difference:+.2f} points" in line
    assert f"McNemar p = {wanted.p_value:.2g}" in line
    assert run_mien("evaluate", "tiny.onnx", "faces.npz", "--compare", "none.onnx").code == 1
    itself = run_mien("evaluate", "tiny.onnx", "faces.npz", "--compare", "tiny.onnx")
    assert (itself.code, "is a model compared with itself?" in itself.err, "itself?" in said.err) == (0, True, False)


def test_groups_of_a_users_table_are_measured(folder: Path, tmp_path: Path) -> None:
    faces = mien.load_faces(folder / "faces.npz")
    valid = faces[faces.splits == "valid"]
    right = mien.load(folder / "tiny.onnx")(valid.images).top == valid.labels
    lines = [f"{name},{'hard' if not hit else 'easy'}" for name, hit in zip(valid.ids, right, strict=True)]
    (tmp_path / "kinds.csv").write_text("\n".join(["id,kind", *lines]))
    asked = ("tiny.onnx", "faces.npz", "--slices", tmp_path / "kinds.csv", "--against", "labels")
    outcome = run_mien("evaluate", *asked, "-o", tmp_path / "r.json")
    assert outcome.code == 0, outcome.err
    assert "Groups are judged by the labels." in outcome.out
    assert "Worse than the rest:\n  kind, hard (-100.0 points)\n" in outcome.out
    found = json.loads((tmp_path / "r.json").read_text())["slices"]
    (easy,) = (each for each in found["groups"] if each["group"] == "easy")
    assert (easy["faces"], easy["accuracy"], easy["gap"], easy["verdict"]) == (right.sum(), 1, 1, "better")
    assert found["worst"] == [{"slice": "kind", "group": "hard", "gap": -1}]
    assert {each["slice"] for each in found["groups"]} >= {"brightness", "sharpness", "twin in training", "kind"}
    voted = run_mien("evaluate", "tiny.onnx", "faces.npz", "--against", "votes")
    assert "Groups are judged by people." in voted.out
    assert "have too few faces" in voted.out
    compared = run_mien("evaluate", "tiny.onnx", "faces.npz", "--against", "votes", "--compare", "other.onnx", "--json")
    by_votes = json.loads(compared.out)["compared_with"]["by_votes"]
    clear = valid[valid.plurality >= 0]
    tiny, other = (mien.load(folder / name)(clear.images).top for name in ("tiny.onnx", "other.onnx"))
    assert by_votes == compare_predictions(clear.plurality, tiny, other).to_dict()


def test_a_small_odd_set_is_told_without_nonsense(tmp_path: Path) -> None:
    """Expressions without a face, a column of one group, a model beside one that is always right, and a single face."""
    tiny_model(tmp_path / "sharp.onnx", name="sharp", sharp=4)
    faces = random_faces(6)
    mien.save_faces(replace(faces, labels=mien.load(tmp_path / "sharp.onnx")(faces.images).top), tmp_path / "f.npz")
    (tmp_path / "t.csv").write_text("\n".join(["id,hat", *(f"{name},no" for name in faces.ids)]))
    words = ("sharp.onnx", "f.npz", "--slices", "t.csv", "--corrupt", "--compare", "sharp.onnx")
    said = run_mien("evaluate", *(tmp_path / word if "." in word else word for word in words))
    assert said.code == 0
    assert said.err == (
        f"{tmp_path / 't.csv'}: the column hat has fewer than two groups of these faces: left out\n"
        "both answer every face alike: is a model compared with itself?\n"
    )
    assert not {"nan", "inf"} & set(said.out.replace("%", " ").split())
    empty = next(line.split() for line in said.out.splitlines() if line.startswith("disgust"))
    assert empty[:5] == ["disgust", "0", "-", "-", "-"]
    assert "\N{HORIZONTAL ELLIPSIS}" not in said.out  # of what did not fit
    mien.save_faces(faces[:1], tmp_path / "one.npz")
    alone = run_mien("evaluate", tmp_path / "sharp.onnx", tmp_path / "one.npz")
    assert alone.out.startswith("sharp on 1 labelled face of ")
    assert "slices" not in alone.out


def test_a_page_is_written_of_one_model_and_of_two(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    outcome = run_mien("evaluate", "tiny.onnx", "faces.npz", "--html", page)
    assert (outcome.code, outcome.err) == (0, f"wrote {page}\n")
    alone = page.read_text(encoding="utf-8")
    assert "<h1>How good is tiny?</h1>" in alone
    assert "Measured on 40 faces of faces.npz (valid)." in alone
    assert run_mien("evaluate", "tiny.onnx", "faces.npz", "--html", page, "-q").code == 0
    assert page.read_text(encoding="utf-8") == alone
    assert run_mien("evaluate", "tiny.onnx", "faces.npz", "--compare", "other.onnx", "--html", page).code == 0
    assert "<h1>Which is better, tiny or other?</h1>" in page.read_text(encoding="utf-8")
    refused = run_mien("evaluate", "tiny.onnx", "faces.npz", "--html", tmp_path / "photo.jpg")
    assert (refused.code, "a page" in refused.err) == (1, True)


def test_evaluate_takes_the_split_that_is_asked_for() -> None:
    train = run_mien("evaluate", "tiny.onnx", "faces.npz", "--split", "train").out
    assert "on 60 labelled faces of faces.npz (train)" in train
    both = run_mien("evaluate", "tiny.onnx", "faces.npz", "--split", "valid+test").out
    assert "40 labelled faces of faces.npz (valid+test)" in both  # the test faces have no labels
    everything = run_mien("evaluate", "tiny.onnx", "faces.npz", "--split", "all").out
    assert "on 100 labelled faces of faces.npz (all)" in everything
    assert "twin" not in everything


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["faces.npz"], 2, "MODEL: is missing, as in: mien evaluate swift faces.npz"),
        (["swift"], 2, "FACES: is missing, as in: mien evaluate swift faces.npz"),
        (["tiny.onnx", "faces.npz", "--split", "dev"], 2, "--split"),
        (["tiny.onnx", "nothing.npz"], 1, "mien: cannot read nothing.npz"),
        (["tiny.onnx", "other.onnx"], 1, "mien: other.onnx is no file of faces"),
        (["faces.npz", "tiny.onnx"], 2, "FACES: comes last, as in: mien evaluate swift faces.npz"),
        (["faces.npz", "faces.npz"], 1, "mien: faces.npz must be a model file, got a zip archive"),
        (["tinny", "faces.npz"], 1, "mien: no file and no model that ships is named tinny"),
        (["tiny.onnx", "faces.npz", "--split", "test"], 1, "mien: faces.npz has no labels for --split test"),
        (["tiny.onnx", "faces.npz", "--out", "photo.jpg"], 1, "mien: a report's name must end in .json, got photo.jpg"),
        (["tiny.onnx", "faces.npz", "--out", "no/r.json"], 1, "mien: cannot write no/r.json"),
    ],
)
def test_evaluate_says_what_is_wrong(arguments: list[str], code: int, said: str) -> None:
    outcome = run_mien("evaluate", *arguments)
    assert outcome.code == code
    assert said in outcome.err
    assert code == 2 or outcome.err.count("\n") == 1


def test_evaluate_names_the_splits_there_are(tmp_path: Path) -> None:
    mien.save_faces(random_faces(5, split="train"), tmp_path / "f.npz")
    outcome = run_mien("evaluate", "tiny.onnx", tmp_path / "f.npz")
    assert outcome.err == f"mien: {tmp_path / 'f.npz'} has no faces for --split valid; it has: train 5\n"


@pytest.mark.parametrize(
    ("path", "said"), [("no/r.json", "there is no folder no"), ("faces.npz", "it is an input"), (".", "a folder")]
)
def test_a_report_that_cannot_be_written_is_refused_at_once(path: str, said: str) -> None:
    before = Path("faces.npz").read_bytes()
    outcome = run_mien("evaluate", "tiny.onnx", "faces.npz", "--out", path)
    assert (outcome.code, outcome.out, said in outcome.err) == (1, "", True), outcome.err
    assert Path("faces.npz").read_bytes() == before


@pytest.mark.usefixtures("_ships")
def test_models_lists_what_ships() -> None:
    outcome = run_mien("models")
    assert outcome.code == 0
    head, row = outcome.out.splitlines()
    assert head.split("  ")[0] == "model"
    assert "test" not in head
    *carded, milliseconds = row.split()
    assert " ".join(carded) == "swift - 0.1 MB 62.5% (61.0 to 64.0%) 63.0% 0.021"
    assert float(milliseconds) > 0


@pytest.mark.parametrize(("mirrored", "shown"), [(0.86, "86.0%"), (None, "-")])
def test_a_model_is_listed_by_its_own_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirrored: float | None, shown: str
) -> None:
    scores = {"valid_accuracy": 0.6, "valid_ece": 0.25, "valid_accuracy_mirrored": 0.61}
    scores |= {"valid_people_accuracy": 0.85, "valid_people_ece": 0.016}
    if mirrored:
        scores["valid_people_accuracy_mirrored"] = mirrored
    (tmp_path / "assets").mkdir()
    card = ModelCard("swift", EXPRESSIONS, question="ferplus", scores=scores)
    tiny_model(tmp_path / "assets" / "swift.onnx", card=card)
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    outcome = run_mien("models")
    assert outcome.out.splitlines()[1].split()[:-1] == ["swift", "people", "0.1", "MB", "85.0%", shown, "0.016"]
    assert ("-: not in the model's card; mien evaluate" in outcome.err) == (shown == "-")


def test_models_may_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    outcome = run_mien("models")
    assert (outcome.code, outcome.out) == (0, "")
    assert "no model ships" in outcome.err


@pytest.mark.usefixtures("_ships")
def test_show_a_model_by_path_or_name(folder: Path) -> None:
    by_path, by_name = run_mien("show", "tiny.onnx").out, run_mien("show", "swift").out
    assert by_path.splitlines()[0] == "tiny.onnx: a model file"
    assert by_path.splitlines()[1:-1] == by_name.splitlines()[1:-1]
    shown = [line.split(maxsplit=1) for line in by_path.splitlines()]
    for name, value in (
        ("model", "tiny"),
        ("classes", ", ".join(EXPRESSIONS)),
        ("parameters", "16,128"),
        ("hash", mien.load(folder / "tiny.onnx").hash),
    ):
        assert [name, value] in shown
    assert "\n[not] markup\n" in by_path
    assert "accuracy, by the labels 62.5% 61.0 to 64.0" in [" ".join(line.split()) for line in by_path.splitlines()]
    page = run_mien("show", "tiny.onnx", "--markdown").out
    assert page.startswith("# tiny\n")
    assert "| accuracy, by the labels | 62.5% | 61.0 to 64.0 |" in page
    assert "lr = 0.1" not in by_path
    assert by_name.endswith("\n\nThe recipe that trained it: mien show swift --recipe\n")
    assert run_mien("show", "tiny.onnx", "--recipe").out == mien.load(folder / "tiny.onnx").card.recipe.rstrip() + "\n"
    assert "lr = 0.1" in page


def test_show_faces(folder: Path) -> None:
    outcome = run_mien("show", "faces.npz")
    faces = mien.load_faces(folder / "faces.npz")
    assert outcome.code == 0
    assert outcome.out.startswith("faces.npz: a file of faces\n")
    assert faces.hash in outcome.out
    lines = [line.split() for line in outcome.out.splitlines()]
    for index, name in enumerate(EXPRESSIONS):
        counts = [str(((faces.labels == index) & (faces.splits == s)).sum()) for s in ("train", "valid", "test")]
        assert [name, *counts] in [line[:4] for line in lines]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>", "got a web page"),
        (b"PK\x03\x04 but no more", "is damaged"),
        (b"\x89PNG\r\n\x1a\n", "got a PNG picture"),
        (b"who knows", "got text"),
        (b"\x08who knows", "a damaged or other one"),
    ],
)
def test_show_says_what_is_wrong(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "it").write_bytes(content)
    outcome = run_mien("show", tmp_path / "it")
    assert outcome.code == 1
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_bench_says_how_fast_and_on_what(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.evaluation import latency as bench

    quick = bench.bench
    monkeypatch.setattr(bench, "bench", lambda classifier, *, batch: quick(classifier, batch=batch, seconds=0))
    outcome = run_mien("bench", "tiny.onnx", "--threads", "1")
    lines = outcome.out.splitlines()
    assert outcome.code == 0
    assert lines[:2] == ["tiny, 1 thread", bench.machine()]
    assert [line.split()[0] for line in lines[-2:]] == ["1", "64"]
    assert run_mien("bench", "tiny.onnx", "--threads", "-1").code == 2


def test_robustness_is_said_written_and_drawn(tmp_path: Path) -> None:
    words = ["evaluate", "tiny.onnx", "faces.npz", "--corrupt", "--corrupt-faces", "12", "--compare", "other.onnx"]
    said = run_mien(*words, "-o", tmp_path / "r.json", "--draw", tmp_path / "r.png")
    assert said.code == 0, said.err
    content = json.loads((tmp_path / "r.json").read_text())["robustness"]
    valid = (faces := mien.load_faces("faces.npz"))[faces.splits == "valid"]
    wanted = robustness(mien.load("tiny.onnx"), valid, sample=12)
    theirs = robustness(mien.load("other.onnx"), valid, sample=12)
    compared = CorruptionError(wanted, theirs)
    assert content == {**wanted.to_dict(), "compared_with": compared.to_dict()}
    lines = [line.split() for line in said.out.splitlines()]
    for name, row, error in zip(wanted.corruptions, wanted.accuracy, compared.each, strict=True):
        figures = [f"{value:.1%}" for value in (*row, row.mean())]
        assert [*name.split("_"), *figures, f"{error:.2f}"] in lines
    assert f"mean corruption error: {compared.mean:.2f} times that of other" in said.out
    with Image.open(tmp_path / "r.png") as picture:
        assert picture.width > 1000
    assert json.loads(run_mien(*words[:6], "--json").out)["robustness"] == wanted.to_dict()
    assert run_mien(*words[:3], "--draw", "r.png").err.startswith(
        "mien: Invalid value for --draw: draws the robustness"
    )
    assert "must end in .png, got r.jpg" in run_mien(*words[:6], "--draw", "r.jpg").err
