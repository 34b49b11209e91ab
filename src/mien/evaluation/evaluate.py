"""The evaluation of a classifier: its probabilities on labelled faces, and the report that they make."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.classify.ensemble import base_classifiers, classifier_name
from mien.errors import DataError, ModelError
from mien.evaluation.ferplus import FerPlusReport, ferplus_report
from mien.evaluation.report import Report
from mien.evaluation.slice_columns import face_slices
from mien.evaluation.slices import Slice, SliceReport, measure_slices
from mien.evaluation.truth import Against, Truth, find_truth
from mien.evaluation.twins import Twins, find_twins
from mien.metrics import Proportion
from mien.types import Classifier, FaceSet, Progress, Scores, batches


def evaluate(
    classifier: Classifier,
    faces: FaceSet,
    *,
    train_faces: FaceSet | None = None,
    slices: Sequence[Slice] = (),
    against: Against = "auto",
    batch: int = 256,
    progress: Progress | None = None,
) -> Report:
    """Measure a classifier on labelled faces.

    Parameters
    ----------
    classifier
        Any function from (N, 48, 48) uint8 to `Scores` of the faces' classes, in any order.
    faces
        The faces; those without a label do not count.
    train_faces
        The faces that it was trained on. Where they are given, the accuracy is also measured without the faces that
        have a twin among them.
    slices
        Divisions of these very faces, such as `mien.evaluation.slice_columns.read_slices` reads them, beside those that
        the faces tell themselves (`mien.evaluation.slice_columns.face_slices`).
    against
        Judge the answers on slices by `labels`, `votes` or `auto`, as in `mien.evaluation.truth.find_truth`.
    batch
        How many faces the classifier gets at a time.
    progress
        Is told how many faces are done.

    Raises
    ------
    DataError
        Where no face is labelled, `batch` is less than 1, or a slice is of other faces.
    ModelError
        Where the classifier has other classes than the faces.
    """
    labelled = labelled_faces(faces)
    probs = score_faces(classifier, labelled, batch=batch, progress=progress)
    twins = None if train_faces is None else find_twins(labelled, train_faces)
    own = face_slices(labelled, twins=twins)
    return make_report(
        probs,
        labelled,
        classifier,
        twins=twins,
        slices=(*own, *(each.chosen(faces.labels >= 0) for each in slices)),
        truth=find_truth(labelled, classifier, against),
    )


def labelled_faces(faces: FaceSet) -> FaceSet:
    """Select the faces that have a label. Raises DataError where none has."""
    labelled = faces[faces.labels >= 0]
    if not len(labelled):
        raise DataError(f"only labelled faces can be measured, got {len(faces)} faces and no label among them")
    return labelled


def score_faces(
    classifier: Classifier, faces: FaceSet, *, batch: int = 256, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Return a classifier's probabilities, (N, K) in the order of the faces' classes. Raises as `evaluate` does."""
    if batch < 1:
        raise DataError(f"batch must be 1 or more, got {batch}")
    probs = np.empty((len(faces), len(faces.class_names)), np.float32)
    for rows in batches(len(faces), batch):
        images = faces.images[rows]
        scores = classifier(images)
        if len(scores) != len(images):
            raise ModelError(f"a classifier must return a row for each of {len(images)} faces, got {len(scores)}")
        probs[rows] = _reorder(scores, faces.class_names)
        if progress is not None:
            progress(rows.stop, len(faces))
    return probs


def make_report(
    probs: NDArray[np.float32],
    faces: FaceSet,
    classifier: Classifier | None = None,
    *,
    twins: Twins | None = None,
    slices: Sequence[Slice] = (),
    truth: Truth | None = None,
) -> Report:
    """Make the report of probabilities, (N, K), on N labelled faces; the classifier gives it name and hashes.

    The answers on slices are judged by the truth, or else by the labels.
    """
    labels, predicted = faces.labels, probs.argmax(axis=1)
    right = labels == predicted
    return Report(
        model=classifier_name(classifier) if classifier else "",
        model_hashes=tuple(str(getattr(part, "hash", "")) for part in base_classifiers(classifier))
        if classifier
        else (),
        faces_hash=faces.hash,
        confusion=metrics.confusion_matrix(labels, predicted, classes=len(faces.class_names)),
        top2=metrics.top_k_accuracy(labels, probs, 2),
        brier=metrics.brier_score(labels, probs),
        nll=metrics.nll(labels, probs),
        reliability=metrics.reliability(right, probs.max(axis=1)),
        classwise_ece=metrics.classwise_ece(labels, probs),
        without_identical=_share(right, None if twins is None else twins.identical),
        without_near=_share(right, None if twins is None else twins.near),
        ferplus=_ferplus(probs, faces),
        class_names=faces.class_names,
        slices=_slices(predicted, slices, truth or Truth("labels", labels)),
    )


def _slices(predicted: NDArray[np.int64], slices: Sequence[Slice], truth: Truth) -> SliceReport | None:
    if not slices or not truth.known.any():
        return None
    right = predicted == truth.classes
    return measure_slices(right[truth.known], [each.chosen(truth.known) for each in slices], truth=truth.name)


def _share(right: NDArray[np.bool_], twins: NDArray[np.bool_] | None) -> Proportion | None:
    if twins is None or twins.all():
        return None
    return Proportion(int(right[~twins].sum()), int((~twins).sum()))


def _ferplus(probs: NDArray[np.float32], faces: FaceSet) -> FerPlusReport | None:
    if faces.votes is None or not (faces.plurality >= 0).any():
        return None
    return ferplus_report(probs, faces)


def _reorder(scores: Scores, class_names: tuple[str, ...]) -> NDArray[np.float32]:
    try:
        return scores.reordered(class_names).probs
    except ModelError as error:
        raise ModelError(f"the classifier must have the classes of the faces: {error}") from error
