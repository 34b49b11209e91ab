"""The page of an evaluation: one HTML file that needs no network and no script."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.page.answers import Answers
from mien.evaluation.page.corrupted import corrupted_section
from mien.evaluation.page.faces import doubtful_figure, mistakes_figure
from mien.evaluation.page.figures import (
    confusion_figure,
    legend,
    precision_figure,
    recall_figure,
    reliability_figure,
    risk_figure,
    yardstick_figure,
)
from mien.evaluation.page.tables import figures_section, slices_section, tiles
from mien.evaluation.paired import PairedComparison, compare_predictions
from mien.evaluation.report import Report
from mien.evaluation.robustness import CorruptionError, Robustness
from mien.evaluation.truth import Truth
from mien.io.html import Markup, element, fill_page, join
from mien.types import FaceSet

_TRUTHS = {
    "labels": "A right answer is the label that the face has in the file.",
    "votes": "A right answer is the expression that most of the face's annotators named (FER+). Other faces, on which "
    "no expression leads, are left out of the pictures.",
}


Evaluated = list[tuple[Report, NDArray[np.float32]]]  # reports of models, with the probabilities that they are of


def evaluation_page(
    evaluated: Evaluated,
    faces: FaceSet,
    truth: Truth,
    *,
    title: str,
    robust: Robustness | CorruptionError | None = None,
) -> str:
    """Return the page as HTML text; equal evaluations give equal pages.

    Parameters
    ----------
    evaluated
        The report of a model and its probabilities, (N, K); of two models for a comparison.
    faces
        The N faces, all labelled. Some of them are shown on the page.
    truth
        The right class of each face.
    title
        Name of the faces.
    robust
        The robustness of the first model where it was measured, or its errors beside those of the second model.

    Raises
    ------
    DataError
        Where there is no model or more than two, or probabilities are of other faces.
    """
    if len(evaluated) not in (1, 2):
        raise DataError(f"a page shows one model or two, got {len(evaluated)}")
    shape = (len(faces), len(faces.class_names))
    if any(probs.shape != shape for _, probs in evaluated):
        raise DataError(f"probs must be {shape}, a row a face, got {[probs.shape for _, probs in evaluated]}")
    known = truth.known
    shown, labels = faces[known], truth.classes[known]
    answers = [Answers(report.model, labels, probs[known], faces.class_names) for report, probs in evaluated]
    reports = [report for report, _ in evaluated]
    named = answers[0].model if len(answers) > 1 else ""
    compared = f" of {answers[0].model}" if len(answers) > 1 else ""
    matrices = [confusion_figure(each, of=f", by {each.model}" if compared else "") for each in answers]
    charts = (reliability_figure, risk_figure, recall_figure, precision_figure)
    drawn = [*matrices, *(draw(answers) for draw in charts)]
    if len(answers) == 1:
        drawn.append(yardstick_figure(answers[0], shown, reports[0].ferplus, truth=truth.name))
    slices = reports[0].slices
    return fill_page(
        "evaluation.html",
        title=" and ".join(report.model for report in reports),
        head=_head(reports, answers, truth, title),
        tiles=tiles(answers, reports),
        figures=join(drawn),
        slices=slices_section(slices, of=named) if slices is not None and slices.groups else Markup(""),
        robustness=Markup("") if robust is None else corrupted_section(robust),
        faces=join([mistakes_figure(answers[0], shown, of=compared), doubtful_figure(answers[0], shown, of=compared)]),
        table=figures_section(reports),
        foot=_foot(reports),
    )


def _head(reports: Sequence[Report], answers: Sequence[Answers], truth: Truth, title: str) -> Markup:
    names = " or ".join(report.model for report in reports)
    heading = f"How good is {names}?" if len(reports) == 1 else f"Which is better, {names}?"
    count = len(answers[0].labels)
    about = f"Measured on {count:,} {'face' if count == 1 else 'faces'} of {title}. {_TRUTHS[truth.name]}"
    parts = [element("h1", heading), element("p", about, class_="soft")]
    if len(answers) > 1:
        one, other = answers
        paired = compare_predictions(one.labels, one.predicted, other.predicted)
        parts += [legend(answers), element("p", _comparison(one.model, other.model, paired), class_="lead")]
    return element("header", parts)


def _comparison(one: str, other: str, paired: PairedComparison) -> str:
    low, high = (100 * end for end in paired.interval)
    points = 100 * paired.difference
    told = f"{points:+.1f} points, 95% interval {low:+.1f} to {high:+.1f}; exact McNemar p = {paired.p_value:.2g}"
    if paired.p_value >= 0.05:
        return f"These faces do not tell which of them is better ({told})."
    better, worse = (one, other) if points > 0 else (other, one)
    return f"{better} is better than {worse} on these faces ({one} minus {other}: {told})."


def _foot(reports: Sequence[Report]) -> Markup:
    hashes = [value for report in reports for value in report.model_hashes if value]
    told = f"mien {reports[0].version}. Faces {reports[0].faces_hash[:12]}"
    if hashes:
        told += f", model {', '.join(value[:12] for value in hashes)}"
    note = "This page holds pictures of faces: treat it as you treat the data."
    return element("footer", element("p", f"{told} (SHA-256). {note}"))
