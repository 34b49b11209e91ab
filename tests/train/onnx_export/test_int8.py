"""A model file in 8 bits: the same answers, or it is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest

import mien
from mien.classify.onnx import OnnxClassifier, load
from mien.errors import ModelError, RunError
from mien.train import export_int8
from mien.train.onnx_export import int8
from mien.types import FaceSet
from support import drawn_faces, run_mien, tiny_model


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Drawn faces, of which those of valid are labelled by what the model says of most of them."""
    sets = [drawn_faces(count, seed=seed, split=split) for count, seed, split in ((96, 1, "train"), (80, 2, "valid"))]
    return FaceSet.concatenate(sets)


@pytest.fixture(scope="module")
def made(faces: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int8.Int8Export]:
    out = tmp_path_factory.mktemp("int8") / "small.onnx"
    return out, export_int8("swift-nano", out, faces, note="by a test")


def test_answers_stay_and_the_file_is_smaller(made: tuple[Path, int8.Int8Export], faces: FaceSet) -> None:
    out, report = made
    images = faces[faces.splits == "valid"].images
    one, other = load("swift-nano")(images), OnnxClassifier(out)(images)
    assert (one.top == other.top).mean() == pytest.approx(report.agreement)
    assert report.agreement >= 0.98
    assert np.abs(one.probs - other.probs).mean() < 0.03
    assert out.stat().st_size < 600_000
    assert report.time > 0


def test_weights_and_sums_are_whole_numbers(made: tuple[Path, int8.Int8Export]) -> None:
    graph = onnx.load(str(made[0])).graph
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in graph.node}
    scales = {node.input[0]: node.input[1] for node in graph.node if node.op_type == "DequantizeLinear"}
    sizes = {array.name: array.dims for array in graph.initializer}
    weights = [name for name in scales if len(sizes.get(name, ())) == 4]
    assert len(weights) >= 6
    assert all(list(sizes[scales[name]]) == [sizes[name][0]] for name in weights)  # a scale for each channel


def test_the_card_is_kept_and_says_so(made: tuple[Path, int8.Int8Export]) -> None:
    before, after = load("swift-nano").card, OnnxClassifier(made[0]).card
    kept = ("class_names", "question", "prior", "priors", "recipe", "faces_hash", "commit", "temperature")
    assert all(getattr(before, name) == getattr(after, name) for name in kept)
    assert after.name == "small"
    assert "by a test In 8 bits: " in after.note
    assert after.scores["valid_faces"] == 80
    assert repr(made[1]).startswith("<Int8Export small: ")


def test_any_batch_gives_the_same_numbers(made: tuple[Path, int8.Int8Export], faces: FaceSet) -> None:
    classify, images = OnnxClassifier(made[0]), faces.images[:20]
    singly = np.concatenate([classify(images[row : row + 1]).probs for row in range(20)])
    np.testing.assert_allclose(classify(images).probs, singly, atol=1e-5)


def test_a_model_that_would_answer_otherwise_is_refused(
    faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "LEAST_AGREEMENT", 1.01)
    with pytest.raises(RunError, match=r"int8 must agree on 101% of the 80 valid faces .*; all convolutions: "):
        export_int8("swift-nano", tmp_path / "small.onnx", faces)
    assert not list(tmp_path.iterdir())


def test_what_it_needs_is_said(faces: FaceSet, tmp_path: Path) -> None:
    out = tmp_path / "small.onnx"
    with pytest.raises(RunError, match="needs train faces"):
        export_int8("swift-nano", out, faces[faces.splits == "valid"])
    with pytest.raises(RunError, match="needs labelled valid faces"):
        export_int8("swift-nano", out, faces[faces.splits == "train"])
    with pytest.raises(ModelError, match="no model that ships is named swift-nan"):
        export_int8("swift-nan", out, faces)
    tiny_model(tmp_path / "tiny.onnx")
    with pytest.raises(RunError, match="int8 is for convolutions, and the model has none"):
        export_int8(tmp_path / "tiny.onnx", out, faces)


def test_the_command(faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mien.save_faces(faces, "faces.npz")
    ended = run_mien("export", "swift-nano", "-o", "small.onnx", "--int8", "--calibrate", "faces.npz")
    assert ended.code == 0, ended.err
    assert "of valid faces get the same answer" in ended.out
    ended = run_mien("bench", "small.onnx", "--against", "swift-nano", "--threads", "1")
    assert ended.code == 0, ended.err
    assert "ms of swift-nano" in ended.out
    assert run_mien("export", "swift-nano", "-o", "a.onnx", "--int8").code == 2
    assert run_mien("export", "swift-nano", "-o", "a.onnx", "--calibrate", "faces.npz").code == 2
