"""ONNX graphs: made of a torch module, given a card, and merged into one."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, TensorProto, compose, helper, numpy_helper
from torch import nn

from mien.classify.card import ModelCard
from mien.errors import ModelError, RunError
from mien.types import FACE_SIDE

_SMALL = 1024  # an array of fewer numbers keeps 32 bits for each


def to_onnx(model: nn.Module) -> ModelProto:
    """Turn a module from (N, 48, 48) uint8 to probabilities into a graph, large weights in half precision.

    Raises RunError where torch cannot export it.
    """
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's exporter warns of its own code
        warnings.simplefilter("ignore", DeprecationWarning)
        log.setLevel(logging.ERROR)  # and remarks on packages that nobody asked for
        try:
            program = torch.onnx.export(
                model,
                (torch.zeros((2, FACE_SIDE, FACE_SIDE), dtype=torch.uint8),),
                dynamo=True,
                input_names=["faces"],
                output_names=["probs"],
                dynamic_shapes=({0: torch.export.Dim("N")},),
                verbose=False,
            )
        finally:
            log.setLevel(level)
    if program is None:
        raise RunError("torch could not export this net to ONNX")
    proto: ModelProto = program.model_proto
    graph = proto.graph
    halve_weights(graph)
    for part in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]  # the exporter's notes of where in the source each node comes from
    return proto


def model_bytes(proto: ModelProto, card: ModelCard) -> bytes:
    """Return the content of a model file: the graph with its card."""
    del proto.metadata_props[:]
    entry = proto.metadata_props.add()
    entry.key, entry.value = "mien", card.to_json()
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def merge_graphs(graphs: Sequence[ModelProto], weights: Sequence[float]) -> ModelProto:
    """Merge graphs into one whose probabilities are the weighted mean of theirs.

    Raises ModelError where they are of different versions of ONNX.
    """
    versions = {tuple(sorted((each.domain, each.version) for each in graph.opset_import)) for graph in graphs}
    if len(versions) > 1:
        raise ModelError("models of different versions of ONNX cannot be joined: export them anew with one torch")
    nodes, arrays, infos, functions = [], [], [], []
    for number, graph in enumerate(graphs):
        part = compose.add_prefix(graph, f"{number}/", inplace=False)
        for node in part.graph.node:
            node.input[:] = ["faces" if name == f"{number}/faces" else name for name in node.input]
        weight = numpy_helper.from_array(np.array(weights[number], np.float32), f"{number}/share")
        weighted = helper.make_node("Mul", [f"{number}/probs", weight.name], [f"{number}/weighed"])
        nodes += [*part.graph.node, weighted]
        arrays += [*part.graph.initializer, weight]
        infos += part.graph.value_info
        functions += part.functions
    nodes.append(helper.make_node("Sum", [f"{number}/weighed" for number in range(len(graphs))], ["probs"]))
    first = graphs[0]
    merged = helper.make_graph(nodes, "joined", first.graph.input, first.graph.output, arrays, value_info=infos)
    return helper.make_model(merged, opset_imports=first.opset_import, ir_version=first.ir_version, functions=functions)


def halve_weights(graph: Any) -> None:
    """Store each large float32 array whose numbers fit as float16, and cast it back before it is used."""
    casts = []
    for array in graph.initializer:
        values, name = numpy_helper.to_array(array), array.name
        fits = values.dtype == np.float32 and np.abs(values).max(initial=0) <= np.finfo(np.float16).max
        if fits and values.size >= _SMALL:
            array.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            casts.append(helper.make_node("Cast", [array.name], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    for place, cast in enumerate(casts):
        graph.node.insert(place, cast)
