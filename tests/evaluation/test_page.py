"""The page of an evaluation: what it says of planted classifiers, and how a browser shows it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from selenium import webdriver

from browser import browsing, console_errors
from mien.errors import DataError
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from mien.evaluation.evaluate import make_report
from mien.evaluation.page.page import evaluation_page
from mien.evaluation.robustness import CorruptionError, Robustness
from mien.evaluation.slice_columns import face_slices
from mien.evaluation.slices import Slice
from mien.evaluation.truth import Truth, find_truth
from mien.evaluation.twins import Twins, find_twins
from mien.types import FaceSet
from support import drawn_faces

HOSTILE = "<script>alert(1)</script>"

# The least contrast of any text with what is behind it, by the formula of WCAG 2.1, and the text.
CONTRAST = """
const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
  brush.clearRect(0, 0, 1, 1); brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1);
  return [...brush.getImageData(0, 0, 1, 1).data];
};
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
const behind = (node) => {
  for (let each = node; each; each = each.parentElement) {
    const colour = rgba(getComputedStyle(each).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
};
let least = [99, ""];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  if (!own || node.tagName === "title") continue;
  const style = getComputedStyle(node), text = node.namespaceURI.endsWith("svg") ? style.fill : style.color;
  const [one, other] = [light(rgba(text)), light(behind(node))].sort((a, b) => b - a);
  const contrast = (one + 0.05) / (other + 0.05);
  if (contrast < least[0]) least = [contrast, node.textContent.slice(0, 60)];
}
return least;
"""


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """280 soft pictures with labels, and votes that agree with them on all but each tenth."""
    drawn = drawn_faces(280, split="valid")
    votes = np.zeros((280, 10), np.float32)
    votes[np.arange(280), drawn.labels] = np.where(np.arange(280) % 10, 8, 5)
    votes[:, 9] = np.where(np.arange(280) % 10, 2, 5)
    return replace(drawn, votes=votes)


def answers(faces: FaceSet, right: NDArray[np.bool_], confidence: float) -> NDArray[np.float32]:
    """Probabilities of one confidence that are right where they shall be."""
    named = np.where(right, faces.labels, (faces.labels + 1) % 7)
    probs = np.full((len(faces), 7), (1 - confidence) / 6, np.float32)
    probs[np.arange(len(faces)), named] = confidence
    return probs


def page_of(
    faces: FaceSet,
    *probs: NDArray[np.float32],
    slices: tuple[Slice, ...] = (),
    twins: Twins | None = None,
    robust: Robustness | CorruptionError | None = None,
) -> str:
    """Make the page of models `first` and `second`, judged by the labels."""
    truth = Truth("labels", faces.labels)
    made = (*face_slices(faces, twins=twins), *slices)
    measured = [
        (replace(make_report(each, faces, twins=twins, slices=made, truth=truth), model=name), each)
        for name, each in zip(("first", "second"), probs, strict=False)
    ]
    return evaluation_page(measured, faces, truth, title="faces.npz (valid)", robust=robust)


def weak_at(name: str, model: str, count: int = 200) -> Robustness:
    """The robustness of a model that is right on nine of ten faces, but never where one thing was done to them."""
    right = np.tile(np.arange(count) % 10 > 0, (len(CORRUPTIONS), SEVERITIES, 1))
    right[list(CORRUPTIONS).index(name)] = False
    return Robustness(model, "labels", "h", np.arange(count) % 10 > 0, right)


def words_of(page: str) -> str:
    """The text of a page without its markup and its style."""
    body = page[page.index("<body>") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)).replace("&#x27;", "'")


def test_a_perfect_model_is_said_to_be_one(faces: FaceSet) -> None:
    words = words_of(page_of(faces, answers(faces, np.ones(280, np.bool_), 1.0)))
    assert "How good is first?" in words
    assert "right 100.0% of 280; 95% interval 98.6% to 100.0%" in words
    assert "The model says 100.0% on average and is right on 100.0%: about as sure as it should be." in words
    assert "There is no mistake here." in words
    assert "It made none on these faces." in words


def test_always_happy_is_no_better_than_its_yardstick(faces: FaceSet) -> None:
    always = np.zeros((280, 7), np.float32)
    always[:, 3] = 1
    words = words_of(page_of(faces, always))
    assert "right 14.3% of 280; " in words
    assert "mean recall 14.3%" in words
    assert "Who always says angry is right on 14%" in words  # each expression has as many faces
    assert "Most often found: happy (100%). Least often: angry (0%)." in words
    assert "240 of 240 mistakes were made with a confidence of 90% or more" in words


def test_an_overconfident_model_is_said_to_be_too_sure(faces: FaceSet) -> None:
    words = words_of(page_of(faces, answers(faces, np.arange(280) % 2 == 0, 0.95)))
    assert "The model says 95.0% on average and is right on 50.0%: too sure. Calibration error: 0.450." in words
    timid = words_of(page_of(faces, answers(faces, np.ones(280, np.bool_), 0.6)))
    assert "says 60.0% on average and is right on 100.0%: too modest. Calibration error: 0.400." in timid


def test_a_model_that_knows_its_train_faces_alone_is_seen(faces: FaceSet) -> None:
    train = drawn_faces(200, seed=1)
    images = train.images.copy()
    images[:140] = faces.images[:140]
    twins = find_twins(faces, replace(train, images=images))
    words = words_of(page_of(faces, answers(faces, np.arange(280) < 140, 0.9), twins=twins))
    assert "right 50.0%" in words
    assert "right on new faces 0.0% on the 140 faces that have no twin in training" in words
    assert "Worse than the rest: twin in training, none (-100 points)." in words


def test_the_worst_group_is_named_first(faces: FaceSet) -> None:
    group = np.arange(280) % 4 == 0
    right = np.where(group, np.arange(280) % 8 == 0, np.arange(280) % 10 != 1)
    place = Slice("place", ("indoors", HOSTILE), np.where(group, 1, 0))
    page = page_of(faces, answers(faces, right, 0.9), slices=(place,))
    assert "Worse than the rest: place, &lt;script&gt;alert(1)&lt;/script&gt; (-3" in page
    assert "<script" not in page


def test_votes_judge_a_model_of_what_people_name(faces: FaceSet) -> None:
    probs = answers(faces, np.ones(280, np.bool_), 0.9)
    truth = find_truth(faces, against="votes")
    report = make_report(probs, faces, slices=face_slices(faces), truth=truth)
    words = words_of(evaluation_page([(report, probs)], faces, truth, title="faces"))
    assert (
        "Measured on 252 faces of faces. A right answer is the expression that most of the face's annotators" in words
    )
    assert "One of a face's own ten annotators says what most of them say on 80%" in words
    assert report.slices is not None
    assert report.slices.truth == "votes"
    assert sum(each.accuracy.count for each in report.slices.groups if each.slice == "brightness") == 252


def test_what_the_page_cannot_show_is_refused(faces: FaceSet) -> None:
    probs = answers(faces, np.ones(280, np.bool_), 0.9)
    report, truth = make_report(probs, faces), Truth("labels", faces.labels)
    with pytest.raises(DataError, match="a page shows one model or two, got 3"):
        evaluation_page([(report, probs)] * 3, faces, truth, title="")
    with pytest.raises(DataError, match=r"probs must be \(280, 7\), a row a face, got \[\(10, 7\)\]"):
        evaluation_page([(report, probs[:10])], faces, truth, title="")
    with pytest.raises(DataError, match="no clear FER\\+ votes"):
        find_truth(replace(faces, votes=None), against="votes")


def test_two_models_stand_side_by_side(faces: FaceSet) -> None:
    words = words_of(
        page_of(faces, answers(faces, np.arange(280) % 10 > 0, 0.9), answers(faces, np.arange(280) > 139, 0.9))
    )
    assert "Which is better, first or second?" in words
    assert "first is better than second on these faces (first minus second: +40.0 points, 95% interval" in words
    assert "right 90.0% 50.0% of 280" in words
    assert "What is taken for what, by first" in words
    assert "second says 90.0% on average and is right on 50.0%: too sure." in words
    assert "second: of all answers 50.0% are wrong" in words
    assert "For whom is first worse?" in words
    same = words_of(page_of(faces, *[answers(faces, np.arange(280) % 2 == 0, 0.9)] * 2))
    assert "These faces do not tell which of them is better (+0.0 points" in same


def test_the_page_says_what_harms_a_model(faces: FaceSet) -> None:
    probs = answers(faces, np.arange(280) % 10 > 0, 0.9)
    assert "How robust is it?" not in page_of(faces, probs)
    words = words_of(page_of(faces, probs, robust=weak_at("mask", "first")))
    assert "On 200 faces first is right on 90.0% as they are, and on 84.7%" in words
    assert "judged by the labels. What harms it most: mask (-90 points), " in words
    assert "severity 1 2 3 4 5 mean mask 0 0 0 0 0 0 gaussian blur 90 90 90 90 90 90 " in words
    both = CorruptionError(weak_at("mask", "first"), weak_at("hand", "second"))
    words = words_of(page_of(faces, probs, probs, robust=both))
    assert "mean CE mask 0 0 0 0 0 0 10.00 gaussian blur 90 90 90 90 90 90 1.00 " in words
    assert f"its mean is {both.mean:.2f} (" in words


def see(browser: webdriver.Chrome, page: Path, width: int, scheme: str) -> None:
    """Open a page in a window of that width, light or dark."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())


@pytest.mark.browser
def test_a_browser_shows_it_narrow_wide_light_and_dark(faces: FaceSet, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(7), 280).astype(np.float32), answers(faces, rng.random(280) < 0.7, 0.8)
    page = tmp_path / "page.html"
    long = Slice("a name that somebody gave", ("a group with quite a long name", HOSTILE), np.arange(280) % 2)
    both = CorruptionError(weak_at("mask", "first"), weak_at("hand", HOSTILE))
    text = page_of(faces, *probs, slices=(long,), twins=find_twins(faces, faces[:20]), robust=both)
    page.write_text(text, encoding="utf-8")
    with browsing(tmp_path) as browser:

        def ask(script: str) -> Any:
            return browser.execute_script(script)

        for width, scheme in ((400, "light"), (1400, "dark"), (400, "dark"), (1400, "light")):
            see(browser, page, width, scheme)
            assert ask("return document.documentElement.scrollWidth <= innerWidth"), (width, scheme)
            least, text = ask(CONTRAST)
            assert least >= 4.5, (width, scheme, text)
        assert ask("return [...document.images].every((each) => each.naturalWidth === 48 && each.alt)")
        assert ask("return document.images.length") == 48
        assert ask("return [...document.querySelectorAll('svg[role=img]')].every((each) => each.ariaLabel)")
        assert ask("return document.querySelectorAll('h1').length") == 1
        assert ask("return document.querySelectorAll('h2').length") >= 10
        assert ask("return document.scripts.length") == 0
        assert (
            ask("return performance.getEntriesByType('resource').filter((each) => !each.name.startsWith('data:'))")
            == []
        )
        assert ask("return document.querySelectorAll('.matrix table').length") == 3
        assert console_errors(browser) == []
