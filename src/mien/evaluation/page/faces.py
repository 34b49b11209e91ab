"""Faces on the page: the most confident mistakes, and those that the model is least sure of."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.evaluation.page.answers import Answers
from mien.io.html import Markup, element
from mien.labels import VOTES
from mien.types import FaceSet

_SHOWN = 24  # faces of each kind


def mistakes_figure(answers: Answers, faces: FaceSet, *, of: str = "") -> Markup:
    """Show the wrong answers of the highest confidence. `of` names the model, where there are two."""
    title = f"The most confident mistakes{of}"
    wrong = np.flatnonzero(~answers.right)
    chosen = wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:_SHOWN]
    if not len(chosen):
        return _figure(title, [], "It made none on these faces.")
    sure = int((answers.confidence[wrong] >= 0.9).sum())
    said = f"{sure:,} of {len(wrong):,} mistakes were made with a confidence of 90% or more."
    hint = "Look at them before you blame the model: some pictures show no face, and some labels are wrong."
    return _figure(title, [_thumbnail(answers, faces, row) for row in chosen], said, hint)


def doubtful_figure(answers: Answers, faces: FaceSet, *, of: str = "") -> Markup:
    """Show the answers of the lowest confidence. `of` names the model, where there are two."""
    chosen = np.argsort(answers.confidence, kind="stable")[:_SHOWN]
    said = "These are the answers that it would leave out first, if it only answered when it is sure."
    shown = [_thumbnail(answers, faces, row) for row in chosen]
    return _figure(f"The least certain answers{of}", shown, said)


def _figure(title: str, shown: list[Markup], *sentences: str) -> Markup:
    caption = element("p", " ".join(sentences), class_="told")
    return element("section", element("h2", title), element("div", shown, class_="faces"), caption, class_="wide card")


def _thumbnail(answers: Answers, faces: FaceSet, row: int) -> Markup:
    called, own = (answers.class_names[code] for code in (answers.predicted[row], answers.labels[row]))
    sure = f"{answers.confidence[row]:.0%}"
    told = f"Face called {called} with {sure} confidence; it is {own}"
    votes = _votes(faces, row)
    picture = element("img", src=_png(faces.images[row]), alt=told, title=str(faces.ids[row]), width=96, height=96)
    words = [element("b", f"{called} {sure}"), element("span", f"is {own}" if called != own else "right")]
    if votes:
        words.append(element("span", votes, class_="soft"))
    return element("figure", picture, element("figcaption", words), class_="face")


def _votes(faces: FaceSet, row: int) -> str:
    """Return the three kinds of votes that a face has most of."""
    if faces.votes is None:
        return ""
    order = np.argsort(-faces.votes[row], kind="stable")[:3].tolist()
    return ", ".join(f"{faces.votes[row, vote]:g} {VOTES[vote]}" for vote in order if faces.votes[row, vote] > 0)


def _png(image: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
