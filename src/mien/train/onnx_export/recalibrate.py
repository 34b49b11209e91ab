"""A model file is given honest confidence: temperature and biases in its graph, thresholds in its card."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from mien.classify.abstain import MAX_ERRORS, without_thresholds
from mien.classify.card import ModelCard
from mien.classify.onnx import OnnxClassifier, load, shipped
from mien.data.splits import assign_folds
from mien.errors import DataError
from mien.evaluation.card_figures import threshold_figures
from mien.evaluation.evaluate import score_faces
from mien.evaluation.selective import ErrorThreshold, fit_threshold
from mien.io.atomic_write import atomic_write, require_writable
from mien.labels import parse_expression
from mien.metrics import ece, nll
from mien.train.onnx_export.calibration import fit_calibration
from mien.train.onnx_export.onnx_graph import model_bytes
from mien.train.run.hold_out import faces_with_answers
from mien.types import FaceSet, Progress

_LEAST = 1e-30  # a probability of 0 has no logarithm


@dataclass(frozen=True)
class Recalibration:
    """The outcome of a calibration, measured on faces that did not fit it.

    Parameters
    ----------
    card
        The card of the new file.
    ece_before, ece_after, nll_before, nll_after
        Calibration error and negative log-likelihood on the half of the faces that fitted nothing.
    thresholds
        The thresholds for each of `MAX_ERRORS`, fitted on that half.
    """

    card: ModelCard
    ece_before: float
    ece_after: float
    nll_before: float
    nll_after: float
    thresholds: tuple[ErrorThreshold, ...]

    def __repr__(self) -> str:
        return f"<Recalibration {self.card.name}: ECE {self.ece_before:.3f} to {self.ece_after:.3f}>"


def recalibrate(
    model: Path | str, faces: FaceSet, out: Path | str, *, seed: int = 1, progress: Progress | None = None
) -> Recalibration:
    """Write a copy of a model file whose confidence is its accuracy, and whose card knows when to abstain.

    One half of the faces fits a temperature and class biases; they go into the graph. The other half, which fitted
    nothing, measures the result and fits the thresholds for `Abstaining`. Identical twins are in one half.

    Parameters
    ----------
    model
        The name of a model that ships, or a model file.
    faces
        Labelled faces that the model was not trained on.
    out
        The model file to write.
    seed
        Draws the halves.
    progress
        Is told how many faces are done.

    Raises
    ------
    ModelError
        Where the model cannot be read.
    DataError
        Where there are fewer than 100 labelled faces.
    RunError
        Where an expression has no face in the first half.
    OutputError
        Where the file cannot be written, or is the model.
    """
    ships = shipped()
    file = ships[str(model)] if str(model) in ships else Path(model)
    require_writable(Path(out), inputs=[Path(str(file))])
    classifier = load(model)
    labelled = faces_with_answers(faces, "ferplus" if classifier.card.question == "ferplus" else "fer2013")
    if len(labelled) < 100:
        raise DataError(f"a calibration needs 100 faces with a known answer or more, got {len(labelled)}")
    probs = score_faces(classifier, labelled, progress=progress)
    first = assign_folds(labelled, folds=2, seed=seed) == 0
    logits = torch.from_numpy(np.log(np.maximum(probs[first], _LEAST)))
    fitted = fit_calibration(logits, torch.from_numpy(labelled.labels[first].copy()))
    labels, before = labelled.labels[~first], probs[~first]
    columns = [parse_expression(name) or 0 for name in classifier.card.class_names]
    proto = add_calibration(onnx.load_model_from_string(file.read_bytes()), fitted.temperature, fitted.bias[columns])
    card = replace(
        classifier.card,
        temperature=classifier.card.temperature * fitted.temperature,
        prior="calibration",  # the biases make the model expect each class as often as these faces have it
        priors={**classifier.card.priors, "calibration": tuple(fitted.prior[columns].tolist())},
    )
    after = score_faces(OnnxClassifier(model_bytes(proto, card)), labelled[~first])
    right, confidence = after.argmax(axis=1) == labels, after.max(axis=1)
    thresholds = tuple(fit_threshold(right, confidence, max_error=error) for error in MAX_ERRORS)
    figures = {"calibrated_faces": float(len(labels)), "calibrated_ece": ece(labels, after)}
    card = replace(card, scores=without_thresholds(card.scores)).with_scores(**figures, **threshold_figures(thresholds))
    with atomic_write(out) as part:
        part.write(model_bytes(proto, card))
    calibration, likelihood = (ece(labels, before), ece(labels, after)), (nll(labels, before), nll(labels, after))
    return Recalibration(card, *calibration, *likelihood, thresholds)


def add_calibration(proto: ModelProto, temperature: float, bias: NDArray[np.float32]) -> ModelProto:
    """Divide the logits of a graph's probabilities by a temperature, and add biases, (K,)."""
    graph = proto.graph
    for node in graph.node:
        node.output[:] = ["calibrate/probs" if name == "probs" else name for name in node.output]
        node.input[:] = ["calibrate/probs" if name == "probs" else name for name in node.input]
    constants = {
        "least": np.float32(_LEAST),
        "scale": np.float32(1 / temperature),
        "bias": bias,
    }
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), f"calibrate/{name}") for name, value in constants.items()
    )
    steps = (
        ("Max", ["probs", "least"], "floored"),
        ("Log", ["floored"], "logits"),
        ("Mul", ["logits", "scale"], "scaled"),
        ("Add", ["scaled", "bias"], "biased"),
    )
    for kind, inputs, output in steps:
        graph.node.append(helper.make_node(kind, [f"calibrate/{name}" for name in inputs], [f"calibrate/{output}"]))
    graph.node.append(helper.make_node("Softmax", ["calibrate/biased"], ["probs"], axis=1))
    return proto
