"""The promise of abstaining, on FER2013's PublicTest: halves that fit a threshold, and halves that fitted nothing."""

from pathlib import Path

import numpy as np

import mien
from mien.evaluation.evaluate import score_faces
from mien.evaluation.selective import fit_threshold


def test_few_kept_answers_are_wrong_on_the_unused_half(fer2013: Path) -> None:
    """In 20 random halves but one at most, as a promise of 95% allows."""
    faces = mien.read_fer2013(fer2013 / "fer2013.csv")
    valid = faces[(faces.splits == "valid") & (faces.labels >= 0)]
    probs = score_faces(mien.load("swift-fer2013"), valid)
    right, confidence = probs.argmax(axis=1) == valid.labels, probs.max(axis=1)
    broken, coverages = 0, []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(valid))
        fitting, unused = order[: len(order) // 2], order[len(order) // 2 :]
        threshold = fit_threshold(right[fitting], confidence[fitting], max_error=0.1)
        kept = confidence[unused] >= threshold.confidence
        broken += (~right[unused][kept]).mean() > 0.1
        coverages.append(kept.mean())
    assert broken <= 1
    assert 0.3 < np.mean(coverages) < 0.6
