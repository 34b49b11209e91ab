"""Calibration: the temperature at which a classifier's confidence is its accuracy (Guo et al., 2017)."""

import math

import numpy as np
from numpy.typing import NDArray


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Find the temperature T at which (N,) labels are likeliest under the softmax of (N, K) logits / T.

    The negative log-likelihood is convex in 1 / T, so that halving finds where its slope changes its sign. T lies
    between a thousandth and a thousand times the spread of the logits.
    """
    scores = logits.astype(np.float64)
    right = scores[np.arange(len(labels)), labels].mean()
    spread = float(scores.std(axis=1, ddof=1).mean()) or 1.0
    low, high = 1e-3 / spread, 1e3 / spread  # of 1 / T
    while high / low > 1 + 1e-6:
        middle = math.sqrt(low * high)
        scaled = middle * (scores - scores.max(axis=1, keepdims=True))
        powers = np.exp(scaled)
        slope = float(((powers / powers.sum(axis=1, keepdims=True)) * scores).sum(axis=1).mean() - right)
        low, high = (middle, high) if slope < 0 else (low, middle)
    return 1 / middle
