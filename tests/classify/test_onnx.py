"""A model file: what is computed from a sound one, what is said of an unsound one."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from scipy.special import softmax

from mien.classify import onnx as home
from mien.classify.card import ModelCard
from mien.classify.onnx import OnnxClassifier, load, models, shipped
from mien.classify.session import make_session
from mien.errors import DataError, ModelError
from mien.labels import EXPRESSIONS
from support import python_of, random_faces, tiny_model


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = ModelCard("tiny", EXPRESSIONS, parameters=16128, note="made for a test: é", scores={"valid_accuracy": 0.5})
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", card=card)


@pytest.fixture
def ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder with two models and a detector."""
    folder = tmp_path / "assets"
    folder.mkdir()
    for name in ("swift", "deep"):
        tiny_model(folder / f"{name}.onnx", name=name)
    for name in ("yunet", "yunet-early", "yunet-late"):
        (folder / f"{name}.onnx").write_bytes(b"a detector")
    (folder / "README.md").write_text("no model")
    monkeypatch.setattr("importlib.resources.files", lambda package: {"mien": tmp_path}[package])
    return folder


def _by_hand(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    (weight,) = (each for each in onnx.load(path).graph.initializer if each.name == "weight")
    pixels = images.reshape(len(images), -1).astype(np.float64) / 255
    probs: NDArray[np.float64] = softmax(pixels @ numpy_helper.to_array(weight).astype(np.float64), axis=1)
    return probs


def sessions_that(do: Callable[[NDArray[np.uint8]], object]) -> Callable[..., object]:
    """Return what makes sessions that do something with the faces of each call first."""

    class Session:
        def __init__(self, *content: bytes, **options: Any) -> None:
            self.real = make_session(*content, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def run(self, outputs: list[str], inputs: dict[str, NDArray[np.uint8]]) -> Any:
            do(inputs["faces"])
            return self.real.run(outputs, inputs)

    return Session


def test_probabilities_are_those_of_the_graph(path: Path) -> None:
    images = random_faces(10).images
    scores = OnnxClassifier(path)(images)
    np.testing.assert_allclose(scores.probs, _by_hand(path, images), atol=1e-5)
    assert scores.probs.dtype == np.float32
    assert scores.class_names == EXPRESSIONS


def test_it_runs_without_mien_as_documented(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_model(path.with_name("model.onnx"))
    monkeypatch.chdir(path.parent)
    code = python_of("model-file.md")
    assert "import mien" not in code
    exec(code, {})  # noqa: S102 (it is ours)
    black = OnnxClassifier("model.onnx")(np.zeros((1, 48, 48), np.uint8))
    assert capsys.readouterr().out.strip() == EXPRESSIONS[black.top[0]]


def test_the_card_comes_with_it(path: Path) -> None:
    classifier = OnnxClassifier(path)
    assert classifier.card.note == "made for a test: é"
    assert classifier.card.scores == {"valid_accuracy": 0.5}
    assert classifier.name == "tiny"
    assert repr(classifier) == f"<OnnxClassifier tiny: 7 classes, {classifier.threads} threads>"


def test_bytes_are_as_good_as_a_path(path: Path) -> None:
    images = random_faces(3).images
    from_bytes, from_text = OnnxClassifier(path.read_bytes()), OnnxClassifier(str(path))
    np.testing.assert_array_equal(from_bytes(images).probs, from_text(images).probs)
    assert from_bytes.hash == from_text.hash != OnnxClassifier(tiny_model(path.with_name("o.onnx"), seed=1)).hash


def test_no_faces_give_no_rows(path: Path) -> None:
    assert OnnxClassifier(path)(random_faces(0).images).probs.shape == (0, 7)


def test_the_batch_changes_nothing(path: Path) -> None:
    images = random_faces(50).images
    whole = OnnxClassifier(path)(images).probs
    for batch in (1, 7, 50):
        np.testing.assert_allclose(OnnxClassifier(path, batch=batch)(images).probs, whole, atol=1e-6)
    one_by_one = np.concatenate([OnnxClassifier(path)(images[row : row + 1]).probs for row in range(3)])
    np.testing.assert_allclose(one_by_one, whole[:3], atol=1e-6)


def test_no_more_than_a_batch_is_computed_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(home, "make_session", sessions_that(lambda faces: sizes.append(len(faces))))
    OnnxClassifier(path, batch=8)(random_faces(20).images)
    assert sizes == [2, 8, 8, 4]  # first, two faces try whether the model runs


def test_views_lists_of_faces_and_mirrored_faces_are_taken(path: Path) -> None:
    images = random_faces(6).images
    mirrored = images[::2, :, ::-1]
    np.testing.assert_allclose(OnnxClassifier(path)(mirrored).probs, _by_hand(path, mirrored.copy()), atol=1e-5)
    faces: Any = list(images)
    assert len(OnnxClassifier(path)(faces)) == 6


def test_threads_may_share_one(path: Path) -> None:
    classifier = OnnxClassifier(path, batch=4)
    sets = [random_faces(9, seed=seed).images for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for images, scores in zip(sets, pool.map(classifier, sets), strict=True):
            np.testing.assert_allclose(scores.probs, _by_hand(path, images), atol=1e-5)


def test_the_number_of_threads_is_the_users(path: Path) -> None:
    classifier = OnnxClassifier(path, threads=3)
    assert classifier.threads == 3
    assert OnnxClassifier(path).threads >= 1


def test_other_names_and_another_order_are_kept(tmp_path: Path) -> None:
    names = ("calm", *reversed(EXPRESSIONS))
    scores = OnnxClassifier(tiny_model(tmp_path / "m.onnx", class_names=names))(random_faces(2).images)
    assert scores.class_names == names
    assert scores.probs.shape == (2, 8)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((48, 48), np.uint8), r"got \(48, 48\) uint8; one face alone is face\[None\]"),
        (np.zeros((1, 64, 64), np.uint8), r"got \(1, 64, 64\) uint8$"),
        (np.zeros((1, 48, 48, 1), np.uint8), r"got \(1, 48, 48, 1\)"),
        (np.zeros((1, 48, 48), np.float32), "float32"),
        (np.uint8(1), r"got \(\)"),
        ([], r"got \(0,\) float64"),
    ],
)
def test_other_arrays_are_refused(path: Path, images: Any, said: str) -> None:
    with pytest.raises(DataError, match=r"faces must be \(N, 48, 48\) uint8.*" + said):
        OnnxClassifier(path)(images)


@pytest.mark.parametrize(
    ("flaw", "said"),
    [
        (
            {"with_card": False},
            r"an ONNX graph without one: faces tensor\(uint8\) \['N', 48, 48\] -> probs .*export RUN",
        ),
        ({"card": "{"}, "card is not one that this version of mien reads"),
        ({"card": "[]"}, "card is not one"),
        (
            {"card": json.dumps({"name": "m", "labels": list(EXPRESSIONS), "shoe_size": 3})},
            "card is not one.*shoe_size",
        ),
        ({"card": ModelCard("m", ("a", "a"))}, r"must be distinct, .*; got \['a', 'a'\]"),
        ({"card": ModelCard("m", ())}, "must be distinct"),
        ({"card": ModelCard("m", ("a", "\x1b[2J"))}, r"printable, .*; got \['a', '\\x1b\[2J'\]"),
        ({"card": '{"name": "m", "labels": [1, 2]}'}, "a value is of another kind"),
        ({"card": '{"name": "m", "labels": [["a"], ["b"]]}'}, "a value is of another kind"),
        ({"card": '{"name": "m", "labels": "ab"}'}, "class_names must be a list of names"),
        ({"card": '{"name": "m", "labels": ["a", "b"], "scores": null}'}, "a value is of another kind"),
        ({"card": '{"name": "m", "labels": ["a", "b"], "scores": {"x": "y"}}'}, "a value is of another kind"),
        ({"card": '{"name": "m", "labels": ["a", "\\ud800"]}'}, "a value is of another kind"),
        ({"card": '{"name": "m", "labels": ["a", "b"], "scores": {"x": 1e400}}'}, "a value is of another kind"),
        (
            {"card": '{"name": "m", "labels": ["a", "b"], "scores": {"x": 1%s}}' % ("0" * 400)},
            "a value is of another kind",
        ),
        ({"card": '{"name": "m", "labels": ["a", "b"], "scores": {"x": 1%s}}' % ("0" * 5000)}, "card is not one"),
        ({"card": '{"name": "m", "labels": ["a", "b"], "temperature": NaN}'}, "a value is of another kind"),
        ({"card": '{"name": "m", "labels": ["a", "b"], "parameters": true}'}, "a value is of another kind"),
        ({"card": "[" * 100_000}, "card is not one"),
        ({"card": ModelCard("m", ("left", "b"))}, "none of source, .* left, .*; got"),
        ({"card": ModelCard("m", EXPRESSIONS, side=64)}, "must be 48 pixels, got 64"),
        ({"columns": 8}, r"one output, probs tensor\(float\) \['N', 7\], N free; got probs tensor\(float\) \['N', 8\]"),
        ({"inputs": ("images",)}, "one input, faces .* got images"),
        ({"inputs": ("faces", "more")}, "one input, faces .* got faces .*, more"),
        ({"output": "logits_"}, "one output, probs .* got logits_"),
        ({"dtype": TensorProto.FLOAT}, r"got faces tensor\(float\)"),
        ({"shape": (1, 48, 48)}, r"N free; got faces tensor\(uint8\) \[1, 48, 48\]"),
        ({"shape": ("N", 1, 48, 48)}, r"got faces tensor\(uint8\) \['N', 1, 48, 48\]"),
        ({"shape": ("N", 64, 36)}, r"got faces tensor\(uint8\) \['N', 64, 36\]"),
        ({"batch_inside": 1}, r"N free; got probs tensor\(float\) \[1, 7\]"),
        ({"softmax": False}, "probabilities that sum to 1; the softmax must be inside the graph"),
    ],
)
def test_a_flaw_of_a_model_file_is_named_when_it_is_opened(tmp_path: Path, flaw: dict[str, Any], said: str) -> None:
    path = tiny_model(tmp_path / "flawed.onnx", **flaw)
    with pytest.raises(ModelError, match=said) as caught:
        OnnxClassifier(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "got an empty file"),
        (b"\x80\x02}q\x00.", "pickle"),
        (b"PK\x03\x04....", "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\x1c\x00\x00\x00TFL3....", "TensorFlow Lite"),
        (b'\x08\x00\x00\x00\x00\x00\x00\x00{"a": 1}', "safetensors"),
        (b"garbage" * 100, "got text"),
        (b"\xffgarbage" * 100, "a damaged or other one"),
        (bytes(1000), "a damaged or other one"),
    ],
)
def test_another_file_is_called_what_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"other\.onnx must be a model file.*{said}.*mien export"):
        OnnxClassifier(path)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path, path: Path) -> None:
    content = path.read_bytes()
    cut = tmp_path / "cut.onnx"
    for size in (1, 20, 1000, len(content) // 2, len(content) - 500, len(content) - 1):
        cut.write_bytes(content[:size])
        with pytest.raises(ModelError, match=r"cut\.onnx must"):
            OnnxClassifier(cut)


def test_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a folder; a run becomes a model file with: mien export"):
        OnnxClassifier(tmp_path)
    with pytest.raises(ModelError, match=r"cannot read the model .*no\.onnx: No such file"):
        OnnxClassifier(tmp_path / "no.onnx")


def test_what_goes_wrong_as_it_runs_is_said_in_one_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(faces: NDArray[np.uint8]) -> None:
        if len(faces) == 3:
            raise RuntimeError("[ONNXRuntimeError] : 6 : out of memory\nat some place")

    monkeypatch.setattr(home, "make_session", sessions_that(fail))
    classifier = OnnxClassifier(path)
    with pytest.raises(ModelError, match=r"tiny\.onnx failed on 3 faces at once: 6 : out of memory$"):
        classifier(random_faces(3).images)


def test_settings_are_checked(path: Path) -> None:
    with pytest.raises(ModelError, match=r"threads must be .* got -1"):
        OnnxClassifier(path, threads=-1)
    with pytest.raises(ModelError, match="batch must be 1 or more, got 0"):
        OnnxClassifier(path, batch=0)
    with pytest.raises(ModelError, match=r"providers must be among .*CPUExecutionProvider.*, got Abacus"):
        OnnxClassifier(path, providers=["CPUExecutionProvider", "Abacus"])
    with pytest.raises(ModelError, match="got none"):
        OnnxClassifier(path, providers=[])


@pytest.mark.usefixtures("ships")
def test_load_finds_by_name_and_by_path(path: Path) -> None:
    assert load("swift").name == "swift"
    assert load(path, threads=2).name == load(str(path)).name == "tiny"
    assert load(path, threads=2).threads == 2


@pytest.mark.usefixtures("ships")
def test_a_name_wins_over_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "swift").mkdir()
    assert load("swift").name == "swift"
    with pytest.raises(ModelError, match="is a folder"):
        load("./swift")


@pytest.mark.usefixtures("ships")
def test_an_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(
        ModelError,
        match=r"no file and no model that ships is named swfit; did you mean swift\? \(these ship: deep, swift",
    ):
        load("swfit")
    with pytest.raises(ModelError, match=r"named no/where\.onnx \("):
        load("no/where.onnx")


@pytest.mark.usefixtures("ships")
def test_what_ships_is_listed_without_the_detector() -> None:
    assert list(shipped()) == ["deep", "swift"]
    assert [card.name for card in models()] == ["deep", "swift"]


def test_nothing_may_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    assert models() == []
    with pytest.raises(ModelError, match="none ships"):
        load("swift")


@pytest.mark.parametrize("name", list(shipped()))
def test_each_model_that_ships_is_sound(name: str) -> None:
    classifier = load(name, threads=1)
    card = classifier.card
    assert card.name == name
    assert card.class_names == EXPRESSIONS
    assert card.parameters > 0
    assert card.recipe
    assert len(card.faces_hash) == 64
    assert card.note
    assert {"valid_accuracy", "valid_accuracy_low", "valid_accuracy_high"} <= card.scores.keys()
    images = random_faces(70).images
    whole = classifier(images).probs
    for batch in (1, 8, 64):
        parts = [classifier(images[start : start + batch]).probs for start in range(0, len(images), batch)]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
