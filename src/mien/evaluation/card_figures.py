"""The figures that a model's card holds, measured on a split of faces."""

from mien.classify.tta import Mirrored
from mien.evaluation.evaluate import evaluate
from mien.evaluation.robustness import SAMPLE, robustness
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
    recalls = [("", report.recall)]
    if report.ferplus is not None:
        recalls.append(("people_", report.ferplus.recall))
        figures[f"{split}_people_ece"] = report.ferplus.ece
    for by, recall in recalls:
        each = zip(report.class_names, recall.tolist(), strict=True)
        figures |= {f"{split}_{by}recall_{name}": value for name, value in each}
    if corrupt:
        figures |= robustness(classifier, chosen, sample=sample, progress=progress).card_scores(split)
    return figures
