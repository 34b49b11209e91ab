"""Sets of other classes than FER2013's seven: imported, audited, cleaned, trained on, measured and drawn alike."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mien
from mien.data.audit.findings import load_audit
from mien.data.decode import encode_png
from mien.errors import DataError, ModelError, RunError
from mien.labels import CLASS_SETS, VOTES
from mien.train.recipe_toml import parse_recipe
from mien.types import FaceSet, Scores
from support import ONE_THREAD, random_faces, run_mien, tiny_model, train_and_valid

OWN = ("bored", "engaged", "pain")
EIGHT = CLASS_SETS["ferplus8"]
SMALL = "[net]\nwidths = [4, 8]\nblocks = 1\n[optim]\nbatch = 16\nepochs = 1\n"


def own_faces(train: int = 30, valid: int = 12) -> FaceSet:
    faces = train_and_valid(train, valid)
    return replace(faces, labels=np.arange(train + valid) % len(OWN), class_names=OWN)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("form", ["f.npz", "f.parquet"])
@pytest.mark.parametrize("names", [OWN, EIGHT])
def test_a_file_of_faces_keeps_its_classes(form: str, names: tuple[str, ...]) -> None:
    faces = replace(own_faces(), class_names=names)
    mien.save_faces(faces, form)
    loaded = mien.load_faces(form)
    assert (loaded.hash, loaded.class_names) == (faces.hash, names)
    assert loaded.hash != replace(faces, class_names=("a", "b", "c")).hash
    assert loaded[loaded.labels == 1].class_names == names
    assert FaceSet.concatenate([loaded[:2], loaded[2:]]).hash == faces.hash
    with pytest.raises(DataError, match="sets must have the same classes"):
        FaceSet.concatenate([loaded, random_faces(2)])


@pytest.mark.parametrize(
    "names",
    [(), ("a",), ("a", "A"), ("a", ""), ("a", "b,c"), ("a", "../b"), ("a", "keep"), ("a", "\x1b[2J"), ("a", "b" * 99)],
    ids=str,
)
def test_names_that_no_class_can_have_are_refused(names: tuple[str, ...]) -> None:
    faces = random_faces(2, labels=np.zeros(2, np.int64))
    with pytest.raises(DataError, match=r"class"):
        replace(faces, class_names=names)


@pytest.mark.parametrize("form", ["fer2013", "folder", "flat", "parquet"])
def test_every_form_goes_out_and_in_with_its_classes(form: str) -> None:
    faces = own_faces()
    mien.save_faces(faces, "f.npz")
    name = {"fer2013": "out.csv", "parquet": "out.parquet"}.get(form, "out")
    done = run_mien("data", "export", "f.npz", "-o", name, "--format", form)
    assert (f"read it back with --classes {','.join(OWN)}" in done.err) == (form != "parquet")
    classes = [] if form == "parquet" else ["--classes", ",".join(OWN)]
    assert run_mien("data", "import", name, "-o", "g.npz", "--format", form, *classes).code == 0
    loaded = mien.load_faces("g.npz")
    assert loaded.class_names == OWN
    if form != "flat":
        assert sorted(zip(loaded.labels, map(bytes, loaded.images), strict=True)) == sorted(
            zip(faces.labels, map(bytes, faces.images), strict=True)
        )


def test_numbered_folders_of_eight_classes_are_imported() -> None:
    affectnet = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"]
    for number, face in enumerate(random_faces(8).images):
        Path(f"a/{number}").mkdir(parents=True)
        Path(f"a/{number}/1.png").write_bytes(encode_png(face))
    assert run_mien("data", "import", "a", "-o", "f.npz", "--names", ",".join(affectnet)).code == 0
    faces = mien.load_faces("f.npz")
    assert faces.class_names == EIGHT
    assert [faces.class_names[label] for label in faces.labels] == ["neutral", *affectnet[1:6], "angry", "contempt"]
    assert run_mien("data", "import", "a", "-o", "f.npz", "--names", "a,b,c,d,e,f,g,h").code == 0
    assert mien.load_faces("f.npz").class_names == tuple("abcdefgh")


def test_a_folder_of_another_class_says_how_it_is_imported() -> None:
    for name, face in zip(("happy", "bored"), random_faces(2).images, strict=True):
        Path(f"a/{name}").mkdir(parents=True)
        Path(f"a/{name}/1.png").write_bytes(encode_png(face))
    assert "list all classes by --classes" in run_mien("data", "import", "a", "-o", "f.npz").err
    assert run_mien("data", "import", "a", "-o", "f.npz", "--classes", "Happiness,bored").code == 0
    assert mien.load_faces("f.npz").class_names == ("happy", "bored")


def test_an_audit_and_a_review_speak_of_the_sets_own_classes() -> None:
    faces = own_faces()
    images, labels = faces.images.copy(), faces.labels.copy()
    images[[1, 2]] = images[0]
    labels[[0, 1, 2]] = 2, 1, 2
    mien.save_faces(replace(faces, images=images, labels=labels), "f.npz")
    assert run_mien("data", "audit", "f.npz", "-o", "a.json", "--html", "a.html", "--no-detect").code == 0
    found = load_audit("a.json")
    (conflict,) = found.of_kind("conflict")
    assert (found.class_names, conflict.row, conflict.suggestion) == (OWN, 1, 2)
    assert '"suggestion": "pain"' in Path("a.json").read_text()
    assert '"expressions":["bored","engaged","pain"]' in Path("a.html").read_text()
    ids = faces.ids.tolist()
    Path("r.json").write_text(json.dumps({"audit_hash": found.hash, "choices": {ids[5]: "pain", ids[6]: "drop"}}))
    assert run_mien("data", "clean", "f.npz", "a.json", "r.json", "-o", "c.npz", "--relabel", "0.6").code == 0
    cleaned = mien.load_faces("c.npz")
    known = dict(zip(cleaned.ids.tolist(), cleaned.labels.tolist(), strict=True))
    assert (cleaned.class_names, known[ids[1]], known[ids[5]], ids[6] in known) == (OWN, 2, 2, False)
    Path("r.json").write_text(json.dumps({"audit_hash": found.hash, "choices": {ids[5]: "happy"}}))
    assert (
        "one of bored, engaged, pain, got 'happy'"
        in run_mien("data", "clean", "f.npz", "a.json", "r.json", "-o", "c.npz").err
    )


def test_show_counts_the_sets_own_classes() -> None:
    mien.save_faces(own_faces(), "f.npz")
    rows = [line.split() for line in run_mien("data", "show", "f.npz").out.splitlines()]
    assert all([name, "10", "4", "0", "14"] in rows for name in OWN)
    assert run_mien("data", "show", "f.npz", "--expression", "pain").code == 0
    done = run_mien("data", "show", "f.npz", "--expression", "happy")
    assert (done.code, "must be bored, engaged, pain or none" in done.err) == (2, True)


def test_training_measuring_and_drawing_with_own_classes() -> None:
    mien.save_faces(own_faces(), "f.npz")
    Path("r.toml").write_text(SMALL)
    run = run_mien("train", "r.toml", "--faces", "f.npz", "-o", "run", "--threads", "1")
    assert run.code == 0, run.err
    assert run_mien("export", "run", "-o", "own.onnx", "--faces", "f.npz").code == 0
    assert mien.load("own.onnx").card.class_names == OWN
    done = run_mien("evaluate", "own.onnx", "f.npz", "--split", "valid")
    assert (done.code, [name in done.out for name in OWN]) == (0, [True] * 3), done.err
    portrait = Path(mien.__file__).parent / "assets" / "portrait.jpg"
    done = run_mien(
        "predict", portrait, "-m", "own.onnx", "-o", "rows.csv", "--draw", "drawn.png", "--min-confidence", "0"
    )
    assert done.code == 0, done.err
    assert set(OWN) <= set(pd.read_csv("rows.csv").columns)
    assert Path("drawn.png").stat().st_size > 10_000


def test_a_model_never_meets_other_classes_in_silence(tmp_path: Path) -> None:
    faces = own_faces()
    mien.save_faces(faces, "f.npz")
    model = mien.load(tiny_model(tmp_path / "m.onnx"))
    with pytest.raises(ModelError, match="must have the classes of the faces: classes must be bored, engaged, pain"):
        mien.evaluate(model, faces)
    done = run_mien("data", "audit", "f.npz", "-o", "a.json", "--model", "m.onnx", "--no-detect")
    assert (done.code, "the scores are of other classes" in done.err) == (1, True)
    with pytest.raises(RunError, match="must tell bored, engaged, pain"):
        mien.train.train(parse_recipe(SMALL), faces, out="run", hardware=ONE_THREAD, teacher=model)


def test_votes_need_the_classes_that_they_are_for() -> None:
    votes = np.random.default_rng(0).integers(0, 5, (42, len(VOTES))).astype(np.float32)
    recipe = parse_recipe(SMALL + "[loss]\nferplus_weight = 1.0\n")
    with pytest.raises(RunError, match="needs the classes that FER\\+ votes are for"):
        mien.train.train(recipe, replace(own_faces(), votes=votes), out="own", hardware=ONE_THREAD)
    eight = replace(train_and_valid(30, 12), votes=votes, class_names=EIGHT)
    (epoch,) = mien.train.train(recipe, eight, out="eight", hardware=ONE_THREAD)
    assert np.isfinite(epoch.valid_loss)


def test_the_plurality_of_votes_may_be_contempt_among_eight() -> None:
    votes = np.zeros((3, len(VOTES)), np.float32)
    votes[[0, 1, 2], [VOTES.index(name) for name in ("contempt", "happy", "nonface")]] = 8
    faces = replace(random_faces(3), votes=votes)
    assert faces.plurality.tolist() == [-1, 3, -1]
    eight = replace(faces, class_names=EIGHT, labels=np.array([0, 3, 1]))
    assert eight.plurality.tolist() == [7, 3, -1]

    def knows(images: np.ndarray) -> Scores:
        return Scores(np.eye(8, dtype=np.float32)[[7, 3, 0]][: len(images)], EIGHT)

    report = mien.evaluate(knows, eight)
    assert report.class_names == EIGHT
    assert report.ferplus is not None
    assert report.ferplus.accuracy.value == 1
