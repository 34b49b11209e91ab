"""A run becomes a model file: one ONNX graph from raw uint8 faces to probabilities, with a card that describes it."""

from dataclasses import replace
from pathlib import Path

import torch
from onnx import ModelProto
from torch import Tensor, nn

from mien._version import __version__
from mien.classify.card import ModelCard
from mien.classify.onnx import OnnxClassifier
from mien.errors import RunError
from mien.evaluation.card_figures import card_figures
from mien.io.atomic_write import atomic_write, require_writable
from mien.metrics import Proportion
from mien.train.inputs.augment import resize
from mien.train.loss.prototypes import Kind, use_prototypes
from mien.train.nets import FaceNet, Question
from mien.train.onnx_export.calibration import calibrate_model
from mien.train.onnx_export.onnx_graph import model_bytes, to_onnx
from mien.train.recipe import Recipe
from mien.train.recipe_toml import parse_recipe
from mien.train.run.checkpoint import Checkpoint
from mien.train.run.run_dir import RUN_FILES
from mien.train.run.trained_net import WhichEpoch, load_trained_net
from mien.train.run.trainer import Run
from mien.types import FaceSet


class InferenceModel(nn.Module):
    """All that a model file does: (N, 48, 48) uint8 -> (N, classes) float32 probabilities."""

    def __init__(self, net: FaceNet, *, side: int) -> None:
        super().__init__()
        self.net, self.side = net, side

    def forward(self, faces: Tensor) -> Tensor:
        return torch.softmax(self.net(resize(faces, side=self.side)), dim=1)


def export(
    run: Run | Path | str,
    out: Path | str,
    *,
    epoch: WhichEpoch = "best",
    name: str = "",
    note: str = "",
    faces: FaceSet | None = None,
    prototypes: Kind | None = None,
    question: Question | None = None,
    corrupt: bool = False,
) -> ModelCard:
    """Write an epoch of a run as one self-describing ONNX file, its weights in half precision.

    Parameters
    ----------
    run
        A run or its folder.
    out
        The model file.
    epoch
        "best" is the epoch with the highest accuracy on the valid faces; that accuracy is a little too high, since it
        was chosen. "last" is chosen by nothing.
    name
        The model's name; if empty, the file's.
    note
        What a reader should know, licence and data included.
    faces
        The file is measured on their valid split, with and without mirror averaging, and its card says how it did.
    prototypes
        The model classifies by its distance to the mean feature of each class's labelled train faces among `faces`,
        Euclidean or cosine, instead of by its last layer.
    question
        Which question the model answers, where that is not the recipe's: a run with an output for FER+ votes can answer
        both.
    corrupt
        Whether its robustness is measured, too, where `faces` are given.

    A run that held faces back (`optim.hold_out`) is calibrated by them where `faces` are given; its card names priors.

    Returns
    -------
    ModelCard
        The card of the file.

    Raises
    ------
    RunError
        Where the folder holds no finished epoch or a damaged one, or the faces do not do for prototypes.
    OutputError
        Where the file cannot be written, or is one of the run's own.
    """
    folder = _folder_of(run)
    require_writable(Path(out), inputs=[folder / name for name in RUN_FILES])
    name = name or Path(out).stem
    model, card = load_inference_model(folder, name=name, note=note, epoch=epoch, question=question)
    if faces is not None and faces.class_names != card.class_names:
        raise RunError(f"the faces must have the run's classes, {', '.join(card.class_names)}, got {faces!r}")
    recipe = parse_recipe(card.recipe)
    if faces is not None and recipe.optim.hold_out and not prototypes:
        card = calibrate_model(model.net, card, recipe, faces, side=model.side)
    if prototypes:
        card = replace(card, note=" ".join(filter(None, (note, _add_prototypes(model, card, prototypes, faces)))))
    return write_model(to_onnx(model), card, out, faces=faces, corrupt=corrupt)


def write_model(
    proto: ModelProto, card: ModelCard, out: Path | str, *, faces: FaceSet | None, corrupt: bool = False
) -> ModelCard:
    """Write a graph and its card as a model file, measured on the valid faces where there are any; return the card.

    corrupt: whether its robustness is measured, too.
    """
    content = model_bytes(proto, card)
    classifier = OnnxClassifier(content)  # also where it is not measured: what cannot be run is not written
    if faces is not None:
        card = replace(card, measured_on=faces.hash).with_scores(**card_figures(classifier, faces, corrupt=corrupt))
        content = model_bytes(proto, card)
    with atomic_write(out) as file:
        file.write(content)
    return card


def load_inference_model(
    run: Run | Path | str,
    *,
    name: str,
    note: str = "",
    epoch: WhichEpoch = "best",
    question: Question | None = None,
) -> tuple[InferenceModel, ModelCard]:
    """Load an epoch of a run as the torch module that its model file will be, and that file's card.

    Raises RunError where the folder holds no finished epoch, or a damaged one.
    """
    trained = load_trained_net(_folder_of(run), epoch=epoch, question=question)
    net, saved = trained.net, trained.saved
    card = ModelCard(
        name=name,
        class_names=saved.facts.class_names,
        question=trained.recipe.loss.question,
        parameters=sum(weight.numel() for weight in net.parameters()),
        recipe=saved.facts.recipe,
        faces_hash=saved.facts.faces_hash,
        commit=saved.facts.commit,
        version=__version__,
        note=note,
        scores=_card_scores(saved, trained.recipe),
    )
    return InferenceModel(net, side=trained.side).eval(), card


def _folder_of(run: Run | Path | str) -> Path:
    return run.out if isinstance(run, Run) else Path(run)


def _add_prototypes(model: InferenceModel, card: ModelCard, kind: Kind, faces: FaceSet | None) -> str:
    """Let a model classify by prototypes; return a note for its card."""
    if faces is None:
        raise RunError("prototypes are made of faces, and none are given: add --faces FACES")
    head = use_prototypes(model.net, kind, faces, side=model.side, class_names=card.class_names)
    nearness = "minus the squared distance" if kind == "euclidean" else "the cosine"
    return (
        f"Instead of the recipe's last layer: {nearness} to each class's prototype, the mean feature of its train"
        f" faces among {faces.hash[:12]}, times {head.scale:g}."
    )


def _card_scores(saved: Checkpoint, recipe: Recipe) -> dict[str, float]:
    newest, count = saved.epochs[-1], saved.facts.valid_faces
    accuracy = Proportion(round(newest.valid_accuracy * count), count)
    low, high = accuracy.interval
    judged = "held_out" if recipe.optim.hold_out else "valid"
    judged += "_people" if parse_recipe(saved.facts.recipe).loss.question == "ferplus" else ""
    return {
        f"{judged}_accuracy": accuracy.value,
        f"{judged}_accuracy_low": low,
        f"{judged}_accuracy_high": high,
        f"{judged}_faces": count,
        "epochs": newest.number,
        "minutes": round(sum(epoch.seconds for epoch in saved.epochs) / 60, 1),
    }
