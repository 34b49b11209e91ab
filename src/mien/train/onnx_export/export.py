"""From a run to a model file: one ONNX graph that takes raw uint8 faces, gives probabilities, and says what it is."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mien._version import __version__
from mien.classify.card import ModelCard
from mien.classify.onnx import OnnxClassifier
from mien.classify.tta import Mirrored
from mien.errors import RunError
from mien.evaluation.report import evaluate
from mien.io.atomic_write import atomic_write
from mien.metrics import Proportion
from mien.train.inputs.augment import resize
from mien.train.loss.prototypes import Kind, use_prototypes
from mien.train.nets import FaceNet
from mien.train.onnx_export.onnx_graph import model_bytes, to_onnx
from mien.train.recipe_toml import parse_recipe
from mien.train.run.checkpoint import Epoch, load_checkpoint, select_prefix
from mien.train.run.trainer import Run
from mien.types import FaceSet

if TYPE_CHECKING:
    from onnx import ModelProto


class InferenceModel(nn.Module):
    """(N, 48, 48) uint8 -> (N, classes) float32 probabilities: all that a model file does."""

    def __init__(self, net: FaceNet, *, side: int) -> None:
        super().__init__()
        self.net, self.side = net, side

    def forward(self, faces: Tensor) -> Tensor:
        return torch.softmax(self.net(resize(faces, side=self.side)), dim=1)


def export(
    run: Run | Path | str,
    out: Path | str,
    *,
    name: str = "",
    note: str = "",
    faces: FaceSet | None = None,
    prototypes: Kind | None = None,
) -> ModelCard:
    """Write the best epoch of a run as one self-describing ONNX file, its weights in half precision; return its card.

    run: a run or its folder. name: the model's, else the file's. note: what a reader should know, licence and data.
    faces: where given, the finished graph is measured on their valid split, and the card says how it did, with and
    without mirror averaging, and which faces they were.
    prototypes: instead of by its last layer, the model classifies by nearness to the mean feature of each class's
    labelled train faces among `faces`: by Euclidean distance or by cosine.
    Raises RunError where the folder holds no finished epoch, or the faces do not do for prototypes; OutputError where
    the file cannot be written.
    """
    model, card = load_inference_model(run, name=name or Path(out).stem, note=note)
    if prototypes:
        card = replace(card, note=" ".join(filter(None, (note, _put_prototypes(model, card, prototypes, faces)))))
    return write_model(to_onnx(model), card, out, faces=faces)


def write_model(proto: "ModelProto", card: ModelCard, out: Path | str, *, faces: FaceSet | None) -> ModelCard:
    """Write a graph and its card as a model file, measured on the valid faces where there are any; return the card."""
    content = model_bytes(proto, card)
    classifier = OnnxClassifier(content)  # also where it is not measured: what cannot be run is not written
    if faces is not None:
        card = replace(card, measured_on=faces.hash).with_scores(**_measured(classifier, faces))
        content = model_bytes(proto, card)
    with atomic_write(out) as file:
        file.write(content)
    return card


def load_inference_model(
    run: Run | Path | str, *, name: str, note: str = "", last: bool = False
) -> tuple[InferenceModel, ModelCard]:
    """The best epoch of a run, or its last, as a torch module that takes and gives what its model file will, and its
    card."""
    folder = run.out if isinstance(run, Run) else Path(run)
    path = folder / ("last.safetensors" if last else "best.safetensors")
    if not path.exists():
        raise RunError(f"{folder} holds no run with a finished epoch; make one with: mien train RECIPE -o {folder}")
    tensors, epochs, facts = load_checkpoint(path)
    recipe = parse_recipe(facts["recipe"], where=f"the recipe in {path}")
    net = recipe.build_net(classes=len(facts["labels"]))
    net.load_state_dict(select_prefix("average.", tensors))
    card = ModelCard(
        name=name,
        class_names=tuple(facts["labels"]),
        parameters=sum(weight.numel() for weight in net.parameters()),
        recipe=facts["recipe"],
        faces_hash=facts["faces_hash"],
        commit=facts["commit"],
        version=__version__,
        note=note,
        scores=_scores(epochs, facts),
    )
    return InferenceModel(net, side=epochs[-1].side).eval(), card


def _put_prototypes(model: InferenceModel, card: ModelCard, kind: Kind, faces: FaceSet | None) -> str:
    """Let a model classify by prototypes; what its card says of that."""
    if faces is None:
        raise RunError("prototypes are made of faces, and none are given: add --faces FACES")
    head = use_prototypes(model.net, kind, faces, side=model.side, class_names=card.class_names)
    nearness = "minus the squared distance" if kind == "euclidean" else "the cosine"
    return (
        f"Instead of the recipe's last layer: {nearness} to each class's prototype, the mean feature of its train"
        f" faces among {faces.hash[:12]}, times {head.scale:g}."
    )


def _scores(epochs: list[Epoch], facts: dict[str, Any]) -> dict[str, float]:
    count = int(facts["valid_faces"])
    accuracy = Proportion(round(epochs[-1].valid_accuracy * count), count)
    low, high = accuracy.interval
    return {
        "valid_accuracy": accuracy.value,
        "valid_accuracy_low": low,
        "valid_accuracy_high": high,
        "valid_faces": count,
        "epochs": epochs[-1].number,
        "minutes": round(sum(epoch.seconds for epoch in epochs) / 60, 1),
    }


def _measured(classifier: OnnxClassifier, faces: FaceSet) -> dict[str, float]:
    valid, seen = faces[faces.splits == "valid"], faces[faces.splits == "train"]
    mirrored = evaluate(Mirrored(classifier), valid).accuracy.value
    return {**evaluate(classifier, valid, seen=seen).card_scores("valid"), "valid_accuracy_mirrored": mirrored}
