"""Model files in 8 bits: as good, half as large, and refused where they are not."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.classify.onnx import OnnxClassifier
from mien.data.formats.npz import save_faces
from support import load_script, random_faces, tiny_model


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_script("tools/shrink_model.py")


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """A model file whose weight is stored in half precision, as `mien export` writes it."""
    path = tiny_model(tmp_path / "half.onnx")
    proto = onnx.load(path)
    (weight,) = (array for array in proto.graph.initializer if array.name == "weight")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).T.copy().astype(np.float16), "weight.half"))
    cast = helper.make_node("Cast", ["weight.half"], ["weight.rows"], to=TensorProto.FLOAT)
    proto.graph.node.insert(0, cast)
    proto.graph.node.insert(1, helper.make_node("Transpose", ["weight.rows"], ["weight"]))
    onnx.save(proto, path)
    return path


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    path = tmp_path / "faces.npz"
    save_faces(random_faces(200, votes=True), path)
    return path


def run(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: Path | str) -> int:
    monkeypatch.setattr(sys, "argv", ["shrink_model.py", *map(str, arguments)])
    code: int = tool.main()
    return code


def test_a_shrunk_model_answers_alike(
    tool: ModuleType, half: Path, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small.onnx"
    monkeypatch.setattr(tool, "LEAST_AGREEMENT", 0.9)  # noise has no clear answers
    assert run(tool, monkeypatch, half, "-o", small, "--faces", faces) == 0
    before, after = OnnxClassifier(half), OnnxClassifier(small)
    images = random_faces(50, seed=1).images
    np.testing.assert_allclose(after(images).probs, before(images).probs, atol=0.02)
    stored = {array.data_type for array in onnx.load(small).graph.initializer if array.name.startswith("weight")}
    assert stored == {TensorProto.INT8, TensorProto.FLOAT}
    assert after.card.measured_on
    assert small.stat().st_size < 0.7 * half.stat().st_size


def test_a_model_that_would_lose_is_not_written(
    tool: ModuleType, half: Path, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "quantize", lambda values: (np.zeros(values.shape, np.int8), np.ones((7, 1), np.float32)))
    assert run(tool, monkeypatch, half, "-o", tmp_path / "small.onnx", "--faces", faces) == 1
    assert not (tmp_path / "small.onnx").exists()
