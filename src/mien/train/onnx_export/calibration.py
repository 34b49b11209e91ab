"""Honest confidence: a temperature and class biases by faces that were held back, and the priors that a card names."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mien.classify.card import ModelCard
from mien.errors import RunError
from mien.train.inputs.augment import resize
from mien.train.nets import FaceNet, Question, answer_columns
from mien.train.recipe import Recipe
from mien.train.run.hold_out import faces_with_answers, hold_out
from mien.types import FaceSet, batches

# How far the prior `everyday` lies from the shares of people's answers in FER2013 towards equal shares, in logarithms.
EVERYDAY = 0.25
_PENALTY = 1e-3  # times the biases' squares, beside the mean loss: keeps a class with few faces near where it was


@dataclass(frozen=True)
class Calibration:
    """The calibration of a net: its logits are divided by `temperature`, then `bias`, (K,) float32, is added.

    prior: (K,) float64, how often each class occurs in the faces that it was fitted on, by their weights, which is what
    the calibrated probabilities assume.
    """

    temperature: float
    bias: NDArray[np.float32]
    prior: NDArray[np.float64]


def fit_calibration(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Calibration:
    """Fit the temperature and biases under which (N, K) logits give N labels the highest likelihood.

    That is the vector scaling of Guo et al. (2017) with one scale for all classes. weights: (N,), how much each face
    counts; evenly, unless they are given. Raises RunError where a class has no face, since no bias would be right for
    it.
    """
    weights = torch.ones(len(labels)) if weights is None else weights
    weights = weights.double()
    counts = torch.bincount(labels, weights, minlength=logits.shape[1])
    if not counts.all():
        raise RunError("a calibration needs one or more held-back faces of each class: hold more back")
    logits = logits.double()
    log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([log_scale, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> float:
        solver.zero_grad()
        misfit = functional.cross_entropy(logits * log_scale.exp() + bias, labels, reduction="none")
        cost: Tensor = (weights * misfit).sum() / weights.sum() + _PENALTY * bias.square().sum()
        cost.backward()
        return float(cost.detach())

    solver.step(loss)
    centred = (bias - bias.mean()).detach()
    return Calibration(
        temperature=float((-log_scale).exp().detach()),
        bias=centred.numpy().astype(np.float32),
        prior=(counts / counts.sum()).numpy(),
    )


def blend(prior: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return a prior between another one (share 0) and the uniform one (share 1), evenly in logarithms."""
    powered = prior ** (1 - share)
    return np.asarray(powered / powered.sum(), np.float64)


@torch.no_grad()
def calibrate(layer: nn.Linear, first: int, calibration: Calibration, prior: NDArray[np.float64]) -> None:
    """Put a calibration and a prior into a net's last layer, so that its softmax is calibrated and assumes the prior.

    first: the layer's output of the first class; the other classes follow it.
    """
    rows = slice(first, first + len(prior))
    shift = torch.from_numpy(calibration.bias + np.log(prior / calibration.prior).astype(np.float32))
    layer.weight[rows] /= calibration.temperature
    layer.bias[rows] = layer.bias[rows] / calibration.temperature + shift


def calibrate_model(net: FaceNet, card: ModelCard, recipe: Recipe, faces: FaceSet, *, side: int) -> ModelCard:
    """Calibrate a net by the train faces that its run held back, and give it a prior; return the card that says so.

    A model of people's answers assumes the prior `everyday`, one of FER2013's labels that of these. Of people's answers
    a face counts by the share of its annotators who give the answer: where they differ, one answer is no truth, and a
    fit to it would make the model too unsure of clear faces. Raises RunError where an expression has no face among
    those held back.
    """
    question: Question = "ferplus" if card.question == "ferplus" else "fer2013"
    classes = len(card.class_names)
    held = hold_out(faces, recipe.optim.hold_out, seed=recipe.seed)
    judged = faces_with_answers(held[held.splits == "valid"], question)
    weights = None if judged.votes is None or question != "ferplus" else torch.from_numpy(agreement(judged.votes))
    fitted = fit_calibration(_logits(net, judged, side=side), torch.from_numpy(judged.labels.copy()), weights)
    counts = np.bincount(held.labels, minlength=classes)
    priors = {"uniform": np.full(classes, 1 / classes), "fer2013": counts / counts.sum(), question: fitted.prior}
    if question == "ferplus":
        priors["everyday"] = blend(fitted.prior, EVERYDAY)
    prior = "everyday" if question == "ferplus" else question
    layer = net.head.classifier
    if not isinstance(layer, nn.Linear):
        raise RunError("a net of prototypes cannot be calibrated")
    calibrate(layer, answer_columns(question, classes=classes).start or 0, fitted, priors[prior])
    numbers = {name: tuple(float(share) for share in shares) for name, shares in priors.items()}
    return replace(card, temperature=fitted.temperature, prior=prior, priors=numbers)


def agreement(votes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 10) votes -> (N,), the share of those for the answer."""
    return np.asarray(votes.max(axis=1) / votes.sum(axis=1), np.float32)


@torch.no_grad()
def _logits(net: FaceNet, faces: FaceSet, *, side: int) -> Tensor:
    images = torch.from_numpy(faces.images.copy())
    return torch.cat([net(resize(images[rows], side=side)) for rows in batches(len(images), 256)])
