"""Store a model file's weights in 8 bits, so that it takes half of its size.

    python tools/shrink_model.py swift.onnx -o small.onnx --faces faces.npz

Each output channel of a large weight keeps its largest number as 127, and a scale of its own. The graph turns them back
to float32 by two ordinary nodes, which ONNX Runtime folds when it loads the file: so the small file computes in float32
and is as fast as the large one. The card is measured anew on the valid faces. Refused is what would cost accuracy: the
two files must agree on 99% of these faces, and their accuracies must be within 0.3 points.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from mien.classify.onnx import OnnxClassifier
from mien.data.formats.npz import load_faces
from mien.train.onnx_export.export import write_model
from mien.train.onnx_export.onnx_graph import model_bytes

LEAST_AGREEMENT = 0.99
MOST_LOST = 0.003  # of accuracy


def quantize(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return (O, ...) int8 and the scale of each of the O channels, (O, 1, ...) float32, that bring the values back."""
    axes = tuple(range(1, values.ndim))
    scale = np.abs(values).max(axis=axes, keepdims=True) / 127
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.round(values / scale).astype(np.int8), scale


def shrink(model: ModelProto) -> None:
    """Replace each weight in half precision, and the cast that brings it back, by one in 8 bits with its scale."""
    graph, nodes = model.graph, []
    halves = {array.name: array for array in graph.initializer if array.data_type == TensorProto.FLOAT16}
    for node in graph.node:
        array = halves.get(node.input[0]) if node.op_type == "Cast" else None
        if array is None:
            nodes.append(node)
            continue
        name = node.output[0]
        weights, scale = quantize(numpy_helper.to_array(array).astype(np.float32))
        array.CopyFrom(numpy_helper.from_array(weights, f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes.append(helper.make_node("Cast", [f"{name}.int8"], [f"{name}.whole"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}.whole", f"{name}.scale"], [name]))
    del graph.node[:]
    graph.node.extend(nodes)


def main() -> int:
    """Run the command line. Return 1 if the small file would cost accuracy, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a model file with its weights in half precision")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the small file; may be the same path")
    parser.add_argument("--faces", type=Path, required=True, help="a file of faces with a valid split")
    arguments = parser.parse_args()
    faces = load_faces(arguments.faces)
    valid = faces[faces.splits == "valid"]
    large = OnnxClassifier(arguments.model)
    proto = onnx.load(arguments.model)
    shrink(proto)
    small = OnnxClassifier(model_bytes(proto, large.card))
    before, after = large(valid.images).top, small(valid.images).top
    agreement = float((before == after).mean())
    lost = float((before == valid.labels).mean() - (after == valid.labels).mean())
    print(f"the same answer for {agreement:.2%} of {len(valid):,} faces, accuracy {100 * lost:+.2f} points lower")
    if agreement < LEAST_AGREEMENT or lost > MOST_LOST:
        print("not written: it would cost too much")
        return 1
    write_model(proto, large.card, arguments.out, faces=faces)
    print(f"{arguments.model.stat().st_size / 1e6:.1f} MB -> {arguments.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
