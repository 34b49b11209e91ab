"""The chance of each label, given what the FER+ annotators saw in a face and what a teacher says of it.

A label of FER2013 is one person's glance; ten people's votes and a net that has not seen the face say more about which
labels it could as well have got. Learning those chances teaches less noise than learning the labels. This is
distillation with privileged information (Lopez-Paz et al., 2016): the votes are there in training alone.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mien.data.splits import assign_folds
from mien.types import FaceSet

_FOLDS = 4
_PENALTY = 0.5  # times the sum of the squared weights, beside the sum of the faces' losses


def label_posterior(
    faces: FaceSet, *, votes: NDArray[np.float32], teacher_probs: NDArray[np.float32] | None, classes: int
) -> NDArray[np.float32]:
    """(N, classes) float32: by logistic regressions of the labels, each face by one fitted without it and its twins.

    votes: (N, 10). teacher_probs: (N, classes), best of a teacher that has not seen these faces; None: by the votes
    alone.
    """
    total = votes.sum(axis=1, keepdims=True)
    known = [np.log((votes + 0.3) / (total + 3)), votes / np.maximum(total, 1)]
    if teacher_probs is not None:
        known.append(np.log(teacher_probs + 1e-3))
    inputs, labels = torch.from_numpy(np.concatenate(known, axis=1)).double(), torch.from_numpy(faces.labels.copy())
    fold = torch.from_numpy(assign_folds(faces, folds=_FOLDS, seed=0))
    chances = torch.zeros(len(faces), classes, dtype=torch.float64)
    for held_out in range(_FOLDS):
        inside, outside = fold == held_out, fold != held_out
        weights, bias = _fit(inputs[outside], labels[outside], classes=classes)
        chances[inside] = torch.softmax(inputs[inside] @ weights + bias, dim=1)
    return chances.numpy().astype(np.float32)


def _fit(inputs: Tensor, labels: Tensor, *, classes: int) -> tuple[Tensor, Tensor]:
    """Fit a multinomial logistic regression: its weights, (D, classes), and bias, (classes,)."""
    weights = torch.zeros(inputs.shape[1], classes, dtype=inputs.dtype, requires_grad=True)
    bias = torch.zeros(classes, dtype=inputs.dtype, requires_grad=True)
    solver = torch.optim.LBFGS([weights, bias], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> float:
        solver.zero_grad()
        misfit = functional.cross_entropy(inputs @ weights + bias, labels, reduction="sum")
        cost: Tensor = (misfit + _PENALTY * weights.square().sum()) / len(inputs)
        cost.backward()
        return float(cost.detach())

    solver.step(loss)
    return weights.detach(), bias.detach()
