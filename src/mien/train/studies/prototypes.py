"""The features of a trained net: the faces that are typical of each class, and a map of all of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.errors import RunError
from mien.io.atomic_write import atomic_write
from mien.labels import COLOURS
from mien.train.inputs.augment import resize
from mien.train.onnx_export.export import load_inference_model
from mien.train.run.trainer import Run
from mien.types import FaceSet, Progress, batches
from mien.visualize.figure import figure_png, make_figure

_GREY = (160, 160, 160)  # of a class that has no colour
_BATCH = 256  # faces between two reports of progress


@dataclass(frozen=True)
class FeatureMap:
    """The features of labelled faces by a net, and each class's prototype, the mean feature of its faces.

    Parameters
    ----------
    faces
        The N labelled faces.
    nearest
        (classes, M) int64, the faces of each class that are nearest to its prototype, nearest first; -1 where a class
        has fewer.
    points
        (N, 2) float64, the features along their two principal components.
    prototypes
        (classes, 2) float64, the same of the prototypes; nan for a class without faces.
    explained
        The share of the features' variance that the two components have.
    """

    faces: FaceSet
    nearest: NDArray[np.int64]
    points: NDArray[np.float64]
    prototypes: NDArray[np.float64]
    explained: float


def map_features(
    run: Run | Path | str, faces: FaceSet, *, nearest: int = 8, progress: Progress | None = None
) -> FeatureMap:
    """Map the features that the net of a run's best epoch has of the labelled ones of some faces.

    Raises
    ------
    RunError
        Where the folder holds no finished epoch, or no face has a label, or the classes are not the run's.
    """
    model, card = load_inference_model(run, name="features")
    if faces.class_names != card.class_names:
        raise RunError(f"the faces must have the run's classes, {', '.join(card.class_names)}, got {faces!r}")
    labelled = faces[faces.labels >= 0]
    if len(labelled) < 2:
        raise RunError(f"prototypes are the means of labelled faces, got {len(labelled)} of them")
    parts = []
    with torch.inference_mode():
        for rows in batches(len(labelled), _BATCH):
            images = resize(torch.tensor(labelled.images[rows]), side=model.side)
            parts.append(model.net.features(images).double().numpy())
            if progress is not None:
                progress(rows.stop, len(labelled))
    return _map(labelled, np.concatenate(parts), nearest=nearest)


def _map(faces: FaceSet, features: NDArray[np.float64], *, nearest: int) -> FeatureMap:
    classes = len(faces.class_names)
    centres = np.full((classes, features.shape[1]), np.nan)
    rows = np.full((classes, nearest), -1)
    for label in np.unique(faces.labels):
        own = np.flatnonzero(faces.labels == label)
        centres[label] = features[own].mean(axis=0)
        distances = np.linalg.norm(features[own] - centres[label], axis=1)
        first = own[np.argsort(distances, kind="stable")[:nearest]]
        rows[label, : len(first)] = first
    middle = features.mean(axis=0)
    _, lengths, axes = np.linalg.svd(features - middle, full_matrices=False)
    variance = lengths**2
    return FeatureMap(
        faces,
        nearest=rows,
        points=(features - middle) @ axes[:2].T,
        prototypes=(centres - middle) @ axes[:2].T,
        explained=float(variance[:2].sum() / variance.sum()) if variance.any() else 1.0,
    )


def plot_features(path: Path, features: FeatureMap) -> None:
    """Draw each class's typical faces, and the map of all faces and prototypes, into a PNG file. Raises OutputError."""
    faces, (classes, count) = features.faces, features.nearest.shape
    figure = make_figure(figsize=(count * 0.6 + 8.5, max(classes, 7) * 0.85), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(count * 0.6 + 1.2, 7))
    left.suptitle("Nearest to the prototype of its class")
    cells = left.subplots(classes, count, squeeze=False)
    for label, name in enumerate(faces.class_names):
        for cell, row in zip(cells[label], features.nearest[label], strict=True):
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set_visible(False)
            if row >= 0:
                cell.imshow(faces.images[row], cmap="gray", vmin=0, vmax=255)
        cells[label][0].set_ylabel(name, rotation=0, ha="right", va="center")
    chart = right.subplots()
    for label, name in enumerate(faces.class_names):
        colour = tuple(level / 255 for level in COLOURS.get(name, _GREY))
        own = features.points[faces.labels == label]
        chart.scatter(*own.T, s=4, color=colour, alpha=0.35, linewidths=0, label=name)
    for label, name in enumerate(faces.class_names):
        colour = tuple(level / 255 for level in COLOURS.get(name, _GREY))
        chart.scatter(*features.prototypes[label], s=120, marker="X", color=colour, edgecolors="black")
    chart.set(xlabel="first principal component", ylabel="second")
    chart.set_title(f"Features of {len(faces):,} faces; {features.explained:.0%} of their variance")
    chart.legend(markerscale=4, frameon=False)
    chart.spines[["top", "right"]].set_visible(False)
    with atomic_write(path) as file:
        file.write(figure_png(figure))
