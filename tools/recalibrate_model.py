"""Fit the confidence of a model that ships anew, as `mien export` does it now, where its run is no longer at hand.

    python tools/recalibrate_model.py swift --faces faces.npz

The model's recipe held train faces back. By these, and by nothing else, a temperature and biases are fitted. They are
put into the last layer of the graph, and the card says so. tools/write_model_cards.py then measures the card anew.
"""

import argparse
import sys
from dataclasses import replace

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from mien.classify.onnx import OnnxClassifier, shipped
from mien.data.formats.npz import load_faces
from mien.io.atomic_write import atomic_write
from mien.train.onnx_export.calibration import EVERYDAY, agreement, blend, fit_calibration
from mien.train.onnx_export.onnx_graph import model_bytes
from mien.train.recipe_toml import parse_recipe
from mien.train.run.hold_out import faces_with_answers, hold_out

_LAST = "net.head.classifier"


def scale_last_layer(proto: ModelProto, rows: slice, *, temperature: float, shift: NDArray[np.float32]) -> None:
    """Divide these rows of the last layer of an 8-bit graph by a temperature, then add a shift, in place."""
    arrays = {array.name: array for array in proto.graph.initializer}
    scale, bias = (numpy_helper.to_array(arrays[f"{_LAST}.{name}"]).copy() for name in ("weight.scale", "bias"))
    scale[rows] /= temperature
    bias[rows] = bias[rows] / temperature + shift
    for name, values in (("weight.scale", scale), ("bias", bias)):
        arrays[f"{_LAST}.{name}"].CopyFrom(numpy_helper.from_array(values, f"{_LAST}.{name}"))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a model that ships and says what people name")
    parser.add_argument("--faces", required=True, help="the faces that it was trained on, with their votes")
    arguments = parser.parse_args()
    file = shipped()[arguments.name]
    classifier = OnnxClassifier(file, prior="ferplus")
    card, recipe = classifier.card, parse_recipe(classifier.card.recipe)
    held = hold_out(load_faces(arguments.faces), recipe.optim.hold_out, seed=recipe.seed)
    judged = faces_with_answers(held[held.splits == "valid"], "ferplus")
    if judged.votes is None:
        raise SystemExit("the faces have no FER+ votes")
    logits = torch.from_numpy(np.log(np.maximum(classifier(judged.images).probs, 1e-12)))
    fitted = fit_calibration(logits, torch.from_numpy(judged.labels.copy()), torch.from_numpy(agreement(judged.votes)))
    before = {name: np.array(numbers) for name, numbers in card.priors.items()}
    priors = before | {"ferplus": fitted.prior, "everyday": blend(fitted.prior, EVERYDAY)}
    shift = fitted.bias + np.log(priors[card.prior] / priors["ferplus"])
    shift = shift - np.log(before[card.prior] / before["ferplus"]) / fitted.temperature
    proto, classes = onnx.load(file), len(card.class_names)
    scale_last_layer(proto, slice(classes, 2 * classes), temperature=fitted.temperature, shift=shift.astype(np.float32))
    numbers = {name: tuple(float(share) for share in shares) for name, shares in priors.items()}
    card = replace(card, temperature=card.temperature * fitted.temperature, priors=numbers)
    with atomic_write(file) as part:
        part.write(model_bytes(proto, card))
    print(f"{arguments.name}: temperature {card.temperature:.3f}, by {len(judged):,} faces that were held back")
    return 0


if __name__ == "__main__":
    sys.exit(main())
