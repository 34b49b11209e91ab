"""Covered mouths: whether a mask, a scarf or a hand hides the lower part of a face, as far as its crop shows.

A logistic regression on histograms of oriented gradients (Dalal and Triggs, 2005) and on brightness, learned from
FER2013's training faces with coverings drawn over half of them (tools/train_covered.py).
"""

from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from mien.types import FACE_SIDE

_CELL = 6  # pixels: the side of a cell
_BINS = 8  # directions of an edge
_CELLS = FACE_SIDE // _CELL
_CELL_OF = np.add.outer(np.arange(FACE_SIDE) // _CELL * _CELLS, np.arange(FACE_SIDE) // _CELL)  # of each pixel
_FLAT = 5.0  # grey levels: the spread below which a crop shows no face, covered or not


def covered_probability(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how probably the mouth of each face is covered, (N,), from its crop, (N, 48, 48) uint8."""
    if not len(crops):
        return np.zeros(0, np.float32)
    weights = _weights()
    logits = covered_features(crops) @ weights[:-1] + weights[-1]
    probs: NDArray[np.float32] = 1 / (1 + np.exp(-logits))
    probs[crops.std(axis=(1, 2)) < _FLAT] = 0
    return probs


def covered_features(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the regression knows of faces: (N, F) float32, which brightness and contrast do not change.

    For each cell of 6x6 pixels the strength of edges in eight directions, and the mean and the spread of brightness.
    """
    faces = crops.astype(np.float32)
    spread = faces.std(axis=(1, 2), keepdims=True) + 4
    faces = (faces - faces.mean(axis=(1, 2), keepdims=True)) / spread
    down, across = np.gradient(faces, axis=(1, 2))
    strength = np.hypot(down, across)
    direction = ((np.arctan2(down, across) / np.pi % 1) * _BINS).astype(np.int64) % _BINS
    histograms = (np.arange(len(faces))[:, None, None] * _BINS + direction) * _CELLS**2 + _CELL_OF
    sums = np.bincount(histograms.ravel(), strength.ravel(), len(faces) * _BINS * _CELLS**2)
    edges = (sums / _CELL**2).astype(np.float32).reshape(len(faces), -1)  # all cells of the first direction come first
    means = _cell_means(faces)
    spreads = np.sqrt(np.maximum(_cell_means(faces**2) - means**2, 0))
    return np.concatenate([np.sqrt(edges), means, spreads], axis=1)


def _cell_means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    means: NDArray[np.float32] = values.reshape(len(values), _CELLS, _CELL, _CELLS, _CELL).mean(axis=(2, 4))
    return means.reshape(len(values), -1)


@cache
def _weights() -> NDArray[np.float32]:
    """Return the weight of each feature, and last the bias."""
    return np.frombuffer(files("mien").joinpath("assets", "covered.f32").read_bytes(), "<f4")
