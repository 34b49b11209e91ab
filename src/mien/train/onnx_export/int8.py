"""A model file whose convolutions compute in 8 bits, where that changes next to no answer: static QDQ, per channel."""

import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from mien.classify.card import ModelCard
from mien.classify.onnx import OnnxClassifier, load
from mien.classify.session import import_onnxruntime
from mien.errors import RunError
from mien.evaluation.latency import bench
from mien.io.atomic_write import require_writable
from mien.train.onnx_export.export import write_model
from mien.train.onnx_export.onnx_graph import halve_weights, model_bytes
from mien.train.run.hold_out import faces_with_answers
from mien.types import FaceSet, batches

LEAST_AGREEMENT = 0.98  # of valid faces that both files must give the same answer for
MOST_LOST = 0.005  # of accuracy on valid faces
_CALIBRATE = 512  # train faces that the ranges of activations are taken from
_SECONDS, _AT_ONCE = 0.4, 64  # how long each choice of layers is timed, and with how many faces


@dataclass(frozen=True)
class Int8Export:
    """The outcome of an export in 8 bits.

    Parameters
    ----------
    card
        The card of the new file.
    layers
        Which convolutions compute in 8 bits.
    agreement
        The share of valid faces with the same answer from both files.
    lost
        By how much the accuracy on valid faces fell; negative: it rose.
    time
        The time of a face on one thread here, as a share of the time before.
    """

    card: ModelCard
    layers: str
    agreement: float
    lost: float
    time: float

    def __repr__(self) -> str:
        return f"<Int8Export {self.card.name}: {self.agreement:.1%} agreement, {self.time:.2f} of the time>"


def export_int8(model: Path | str, out: Path | str, faces: FaceSet, *, name: str = "", note: str = "") -> Int8Export:
    """Write a copy of a model file that computes in 8 bits, if its answers stay the same.

    Weights have a scale for each output channel, activations one for each map, from the range that train faces give
    them. Which convolutions suffer depends on the net, so several choices are tried: all, all but the first one, those
    larger than 1x1, and these but the first of them. The fastest here of those that agree is written.

    Parameters
    ----------
    model
        The name of a model that ships, or a model file.
    out
        The model file to write.
    faces
        Faces of train and valid: the former give the ranges, the latter judge.
    name
        The model's name; if empty, the file's.
    note
        What the card says beside the model's own note.

    Raises
    ------
    RunError
        Where no choice agrees on 98% of the valid faces with accuracy within 0.5 points, a split is empty, or the faces
        have other classes.
    ModelError
        Where the model cannot be read.
    """
    require_writable(Path(out), inputs=[Path(model)])
    before = load(model, threads=1)
    judge, calibrate = _judging_faces(before.card, faces), faces[faces.splits == "train"].images
    if not len(calibrate):
        raise RunError("int8 needs train faces to take the ranges of activations from, got none")
    calibrate = calibrate[np.random.default_rng(0).permutation(len(calibrate))[:_CALIBRATE]]
    graph = _folded(before.content)
    wanted, pace, best, found = before(judge.images).top, _pace(before), np.inf, ""
    chosen: tuple[ModelProto, Int8Export] | None = None
    for layers, nodes in _choices(graph).items():
        small = _quantized(graph, calibrate, nodes)
        after = OnnxClassifier(model_bytes(small, before.card), threads=1)
        given = after(judge.images).top
        agreement = float((given == wanted).mean())
        lost = float((wanted == judge.labels).mean() - (given == judge.labels).mean())
        found += f"; {layers}: {agreement:.1%}, {100 * lost:+.1f} points lost"
        took = _pace(after)
        if agreement >= LEAST_AGREEMENT and lost <= MOST_LOST and took < best:
            best, chosen = took, (small, Int8Export(before.card, layers, agreement, lost, took / pace))
    if chosen is None:
        least = f"{LEAST_AGREEMENT:.0%} of the {len(judge):,} valid faces and lose at most {100 * MOST_LOST} points"
        raise RunError(f"int8 must agree on {least}{found}")
    small, made = chosen
    said = f"In 8 bits: {made.layers}; {made.agreement:.1%} agreement with {before.name} on {len(judge):,} valid faces."
    notes = " ".join(filter(None, (before.card.note, note, said)))
    card = replace(before.card, name=name or Path(out).stem, note=notes)
    measured = faces if len(faces[(faces.splits == "valid") & (faces.labels >= 0)]) else None
    return replace(made, card=write_model(small, card, out, faces=measured))


def _judging_faces(card: ModelCard, faces: FaceSet) -> FaceSet:
    """Select the valid faces whose answer to the model's question is known."""
    if faces.class_names != card.class_names:
        raise RunError(f"the faces must have the model's classes, {', '.join(card.class_names)}, got {faces!r}")
    valid = faces[faces.splits == "valid"]
    known = faces_with_answers(valid, "ferplus" if card.question == "ferplus" else "fer2013")
    known = known if len(known) else valid[valid.labels >= 0]
    if not len(known):
        raise RunError("int8 needs labelled valid faces to be judged by, got none")
    return known


def _pace(classifier: OnnxClassifier) -> float:
    """Return the seconds of the fastest call."""
    return min(bench(classifier, batch=_AT_ONCE, seconds=_SECONDS).seconds)


def _folded(content: bytes) -> ModelProto:
    """Return the graph with float32 weights, constants computed and normalisation inside the convolutions."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath)
    used = {node.domain for node in graph.graph.node}
    kept = [each for each in graph.opset_import if each.domain in used or not each.domain]
    del graph.opset_import[:]
    graph.opset_import.extend(kept)
    for number, node in enumerate(graph.graph.node):
        node.name = f"{node.op_type}_{number}"
    return graph


def _choices(graph: ModelProto) -> dict[str, list[str]]:
    """Return the choices of nodes that may compute in 8 bits, by what to call them."""
    shapes = {array.name: array.dims for array in graph.graph.initializer}
    convolutions = [node for node in graph.graph.node if node.op_type == "Conv"]
    if not convolutions:
        raise RunError("int8 is for convolutions, and the model has none")
    wide = [node for node in convolutions[1:] if max(shapes.get(node.input[1], [1])[2:], default=1) > 1]
    choices = {
        "all convolutions": convolutions,
        "all convolutions but the first": convolutions[1:],
        "convolutions larger than 1x1 but the first": wide,
        "convolutions larger than 1x1 but the first two": wide[1:],
    }
    return {name: _with_activations(graph, nodes) for name, nodes in choices.items() if nodes}


def _with_activations(graph: ModelProto, nodes: list[Any]) -> list[str]:
    """Return the names of nodes and of the ReLUs right behind them, so that ranges are those after the ReLU."""
    outputs = {node.output[0] for node in nodes}
    behind = [node for node in graph.graph.node if node.op_type == "Relu" and node.input[0] in outputs]
    return [node.name for node in [*nodes, *behind]]


def _quantized(graph: ModelProto, images: NDArray[np.uint8], nodes: list[str]) -> ModelProto:
    """Return a copy of a graph whose named nodes compute in 8 bits."""
    import_onnxruntime()  # first, so that it sends nothing
    quantization = import_module("onnxruntime.quantization")
    copy = ModelProto()
    copy.CopyFrom(graph)
    with TemporaryDirectory() as folder, _silence():
        path = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            copy,
            path,
            _Reader(images),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu"],
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=not has_vnni(),
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        small = onnx.load(path)
    halve_weights(small.graph)
    return small


class _Reader:
    """Gives the quantizer faces (N, 48, 48), some at a time, and None after the last."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._parts = ({"faces": images[rows]} for rows in batches(len(images), _AT_ONCE))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next inputs of the model."""
        return next(self._parts, None)


def has_vnni() -> bool:
    """Tell whether this processor adds products of 8 bits without overflow; if it does not, weights take 7 bits."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True  # ARM's instructions do not overflow
    listing = Path("/proc/cpuinfo")
    return listing.is_file() and "vnni" in listing.read_text(encoding="utf-8", errors="replace")


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the quantizer's advice, which is followed, off standard error."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
