"""Prior correction: how often each class is expected, before a face is seen (Menon et al., 2021, logit adjustment).

A model's probabilities assume how common each class is. By Bayes' rule they are corrected for another world: each is
multiplied by the class's new prior over the old one, and they are scaled to a sum of 1. This is the same as adding the
difference of the priors' logarithms to the logits.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mien.classify.card import ModelCard
from mien.errors import ModelError

# A prior by its name in the card, as numbers in the order of the classes, or as numbers by the classes' names.
Prior = str | Sequence[float] | Mapping[str, float]


def prior_ratio(card: ModelCard, prior: Prior) -> NDArray[np.float64]:
    """Return what a model's probabilities are multiplied by, (classes,), so that they assume another prior.

    Raises ModelError where the card does not tell the prior inside the model, or the wanted one is none.
    """
    if card.prior not in card.priors:
        raise ModelError(f"{card.name} does not say which prior it assumes, so that it cannot be given another one")
    wanted, inside = (
        np.array(numbers, np.float64) for numbers in (prior_numbers(card, prior), card.priors[card.prior])
    )
    return np.divide(wanted, inside)


def prior_numbers(card: ModelCard, prior: Prior) -> tuple[float, ...]:
    """Return a prior as positive numbers, in the order of the card's classes, with a sum of 1. Raises ModelError."""
    if isinstance(prior, str):
        if prior not in card.priors:
            names = ", ".join(card.priors) or "none"
            raise ModelError(f"the prior must be one of {names}, or a number for each class, got {prior!r}")
        return card.priors[prior]
    if isinstance(prior, Mapping):
        if set(prior) != set(card.class_names):
            got = ", ".join(f"{name}={number}" for name, number in prior.items())
            raise ModelError(f"a prior must have a number for each of {', '.join(card.class_names)}, got {got}")
        prior = [prior[name] for name in card.class_names]
    numbers = [float(number) for number in prior]
    if len(numbers) != len(card.class_names):
        raise ModelError(f"a prior must be {len(card.class_names)} numbers, one a class, got {len(numbers)}")
    if not all(math.isfinite(number) and number > 0 for number in numbers):
        raise ModelError(f"the numbers of a prior must be over 0, got {numbers}")
    return tuple(number / sum(numbers) for number in numbers)


def corrected(probs: NDArray[np.float32], ratio: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, classes) probabilities -> the same, each multiplied by its class's ratio and scaled to a sum of 1."""
    weighted = probs.astype(np.float64) * ratio
    return np.asarray(weighted / weighted.sum(axis=1, keepdims=True), np.float32)


def parse_prior(text: str) -> Prior:
    """Read a prior from a command's option: a name, or `angry=0.1,happy=0.4,...`. Raises ModelError."""
    if "=" not in text:
        return text
    numbers = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            numbers[name.strip()] = float(value)
        except ValueError as error:
            raise ModelError(f"a prior must be like angry=0.1,happy=0.4, got {part!r} in it") from error
    return numbers
