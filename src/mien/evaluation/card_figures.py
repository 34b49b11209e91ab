"""The figures that a model's card holds, measured on a split of faces."""

import math
from collections.abc import Iterable

from mien.classify.abstain import MAX_ERRORS, coverage_name, threshold_name
from mien.classify.tta import Mirrored
from mien.evaluation.evaluate import evaluate, score_faces
from mien.evaluation.robustness import SAMPLE, robustness
from mien.evaluation.selective import ErrorThreshold, fit_threshold
from mien.evaluation.truth import find_truth
from mien.types import Classifier, FaceSet, Progress


def card_figures(
    classifier: Classifier,
    faces: FaceSet,
    *,
    split: str = "valid",
    corrupt: bool = False,
    sample: int = SAMPLE,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Measure a classifier on a split, and return figures by names that begin with it, such as `valid_accuracy`.

    Parameters
    ----------
    faces
        All faces; those of the train split tell which others have a twin.
    corrupt
        Whether the robustness is measured too, on `sample` faces.
    progress
        Is told how many corrupted faces are done.

    Raises
    ------
    DataError
        Where the split has no labelled face.
    """
    chosen, train = faces[faces.splits == split], faces[faces.splits == "train"]
    report = evaluate(classifier, chosen, train_faces=train)
    mirrored = evaluate(Mirrored(classifier), chosen).accuracy.value
    figures = {**report.card_scores(split), f"{split}_accuracy_mirrored": mirrored}
    recalls = [("", report.recall, report.confusion)]
    if report.ferplus is not None:
        recalls.append(("people_", report.ferplus.recall, report.ferplus.confusion))
        figures[f"{split}_people_ece"] = report.ferplus.ece
    for by, recall, confusion in recalls:
        each = zip(report.class_names, recall.tolist(), confusion.sum(axis=1).tolist(), strict=True)
        figures |= {f"{split}_{by}recall_{name}": value for name, value, faces in each if faces}
    truth = find_truth(chosen, classifier)
    probs = score_faces(classifier, chosen[truth.known])
    right = probs.argmax(axis=1) == truth.classes[truth.known]
    figures |= threshold_figures(fit_threshold(right, probs.max(axis=1), max_error=error) for error in MAX_ERRORS)
    if corrupt:
        figures |= robustness(classifier, chosen, sample=sample, progress=progress).card_scores(split)
    return figures


def threshold_figures(thresholds: Iterable[ErrorThreshold]) -> dict[str, float]:
    """Return thresholds as a card holds them, those that keep no answer left out; `Abstaining` reads them."""
    kept = [each for each in thresholds if math.isfinite(each.confidence)]
    figures = {threshold_name(each.max_error): each.confidence for each in kept}
    return figures | {coverage_name(each.max_error): each.coverage for each in kept}
