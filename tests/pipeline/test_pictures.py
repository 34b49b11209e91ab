"""Whatever form a picture comes in, the answer is the same; anything else is refused in one short line."""

import base64
import concurrent.futures
import copy
import io
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.detect.whole_image import whole_image

PICTURE: NDArray[np.uint8] = skimage.data.astronaut()[:300, 60:400]


@pytest.fixture(scope="module")
def predictor() -> mien.Predictor:
    return mien.Predictor("swift-nano")


def encoded(picture: NDArray[np.uint8] = PICTURE) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def test_every_form_of_a_picture_gives_the_same_rows(predictor: mien.Predictor, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded())
    expected = predictor(PICTURE, source="a").rows()
    assert len(expected) == 1
    transparent = np.dstack([PICTURE, np.full(PICTURE.shape[:2], 255, np.uint8)])
    forms: list[Any] = [
        path,
        str(path),
        encoded(),
        bytearray(encoded()),
        io.BytesIO(encoded()),
        Image.fromarray(PICTURE),
        transparent,
        PICTURE.astype(np.float32) / 255,
        PICTURE.astype(np.float64) / 255,
    ]
    for form in forms:
        assert predictor(form, source="a").rows() == expected, type(form)
    assert predictor(PICTURE[..., ::-1], source="a", bgr=True).rows() == expected
    assert predictor(np.where(PICTURE == 255, 1.03, PICTURE / 255), source="a").rows() == expected
    assert predictor(transparent[..., [2, 1, 0, 3]], source="a", bgr=True).rows() == expected


def test_grey_pictures_are_taken(predictor: mien.Predictor) -> None:
    grey = np.asarray(Image.fromarray(PICTURE).convert("L"))
    expected = predictor(Image.fromarray(grey)).rows()
    assert len(expected) == 1
    for form in (grey, grey[:, :, None], grey.astype(np.float32) / 255):
        assert predictor(form).rows() == expected


def test_transparent_pictures_lie_on_white() -> None:
    pictures = np.zeros((2, 48, 48, 4), np.uint8)
    pictures[:, :24, :, 3] = 255  # the upper half is black, the lower one transparent
    pictures[1, 24:] = 255  # or white
    clear, white = mien.Predictor("swift-nano", detector=whole_image).predict_batch(pictures)
    np.testing.assert_array_equal(clear.scores.probs, white.scores.probs)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ([PICTURE], "got list; of several pictures, take predict_batch"),
        (None, "got NoneType"),
        (7, "got int"),
        (iter([PICTURE]), "got list_iterator; of several pictures, take predict_batch"),
        ("data:image/png;base64," + base64.b64encode(encoded()).decode(), "got a text of .*decode base64"),
        (base64.b64encode(encoded()).decode(), "got a text of .*decode base64"),
        (PICTURE[None], r"got an array \(1, 300, 340, 3\); of several pictures"),
        (np.moveaxis(PICTURE, 2, 0), r"got an array \(3, 300, 340\); channels come last: numpy.moveaxis"),
        (PICTURE.astype(np.int64), r"got an array \(300, 340, 3\) of int64"),
        (PICTURE.astype(np.float32), "got floats from 0 to 255"),
        (np.full((9, 9), np.nan), "got floats from nan to nan"),
        (np.zeros((0, 9, 3), np.uint8), r"got an array \(0, 9, 3\)"),
        (np.zeros(9, np.uint8), r"got an array \(9,\)"),
    ],
    ids=range(13),
)
def test_what_is_no_picture_is_refused_in_a_line(predictor: mien.Predictor, form: Any, said: str) -> None:
    with pytest.raises(mien.DataError, match=f"^a picture must be a path, bytes, .*{said}") as caught:
        predictor(form)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_broken_bytes_are_refused_in_a_line(predictor: mien.Predictor) -> None:
    for content in (b"", b"nonsense" * 10_000, encoded()[:200]):
        with pytest.raises(mien.DataError) as caught:
            predictor(content)
        assert len(str(caught.value)) < 300


def test_mien_predict_reads_a_picture() -> None:
    seen = mien.predict(PICTURE)
    assert seen.rows() == mien.Predictor()(PICTURE).rows()
    assert repr(seen) == f"<Prediction: 1 face, {seen.scores.describe_tops()}>"


# Batches


def test_a_batch_says_what_single_calls_say(predictor: mien.Predictor) -> None:
    pictures: list[Any] = [PICTURE, np.zeros((50, 50, 3), np.uint8), PICTURE[:, ::-1], encoded()]
    batch = predictor.predict_batch(pictures, sources="abcd")
    assert [one.source for one in batch] == list("abcd")
    for one, picture, source in zip(batch, pictures, "abcd", strict=True):
        alone = predictor(picture, source=source).rows()
        assert [list(row) for row in one.rows()] == [list(row) for row in alone]
        for ours, theirs in zip(one.rows(), alone, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-6)
    assert [len(one.faces) for one in batch] == [1, 0, 1, 1]


def test_a_batch_classifies_all_faces_together() -> None:
    calls: list[int] = []

    def classifier(images: NDArray[np.uint8]) -> mien.Scores:
        calls.append(len(images))
        return mien.Scores(np.full((len(images), 7), 1 / 7, np.float32))

    mien.Predictor(classifier, detector=whole_image).predict_batch([PICTURE] * 10)
    assert calls == [10]


@pytest.mark.parametrize("one", ["photo.jpg", Path("photo.jpg"), b"content", PICTURE, PICTURE[:, :, 0]])
def test_one_picture_is_no_batch(predictor: mien.Predictor, one: Any) -> None:
    with pytest.raises(mien.DataError, match="pictures must be several, such as a list; of one picture, call"):
        predictor.predict_batch(one)


def test_an_array_of_pictures_is_a_batch(predictor: mien.Predictor) -> None:
    assert [len(one.faces) for one in predictor.predict_batch(np.stack([PICTURE] * 3))] == [1] * 3
    assert [len(one.faces) for one in predictor.predict_batch(np.stack([PICTURE[:, :, 1]] * 2))] == [1] * 2


def test_an_empty_batch_is_no_work(predictor: mien.Predictor) -> None:
    assert predictor.predict_batch([]) == []
    assert predictor.predict_batch(iter(())) == []


def test_a_batch_needs_a_source_for_each_picture(predictor: mien.Predictor) -> None:
    with pytest.raises(mien.DataError, match="sources must be 2, one a picture, got 1"):
        predictor.predict_batch([PICTURE, PICTURE], sources=["a"])


# In a notebook


def test_a_notebook_shows_a_file_again(predictor: mien.Predictor, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded())
    seen = predictor(path)
    assert "<svg" in seen._repr_html_()
    path.unlink()
    assert "<table" in seen._repr_html_()


def test_a_notebook_shows_an_array_while_it_is_held(predictor: mien.Predictor) -> None:
    picture = PICTURE.copy()
    seen = predictor(picture)
    assert "<svg" in seen._repr_html_()
    del picture
    assert "<table" in seen._repr_html_()
    assert "<table" in predictor(encoded())._repr_html_()


# In other processes


@pytest.mark.parametrize("made", ["predictor", "classifier", "mirrored"])
def test_it_may_be_pickled_and_copied(predictor: mien.Predictor, made: str) -> None:
    classifier = mien.load("swift-nano", threads=1, batch=3)
    things: dict[str, Any] = {"predictor": predictor, "classifier": classifier, "mirrored": mien.Mirrored(classifier)}
    thing = things[made]
    given = PICTURE if made == "predictor" else np.zeros((5, 48, 48), np.uint8)
    again = pickle.loads(pickle.dumps(thing))  # noqa: S301 (our own)
    for other in (again, copy.deepcopy(thing), copy.copy(thing)):
        np.testing.assert_array_equal(_probs(other(given)), _probs(thing(given)))
    if made == "classifier":
        assert (again.threads, again.batch, again.hash, again.card) == (1, 3, classifier.hash, classifier.card)


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_process_pool_predicts(predictor: mien.Predictor, method: str) -> None:
    expected = predictor(PICTURE).rows()  # so that the parent has sessions that a fork inherits
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert [one.rows() for one in pool.map(predictor, [PICTURE] * 3, timeout=120)] == [expected] * 3


def _inherited(_: int) -> list[dict[str, str | int | float]]:
    return INHERITED[0](PICTURE).rows()


INHERITED: list[mien.Predictor] = []


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_fork_uses_a_predictor_that_it_inherits() -> None:
    INHERITED[:] = [mien.Predictor(mien.load("swift-nano", threads=4))]  # whose threads a fork does not have
    expected = _inherited(0)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        assert list(pool.map(_inherited, range(2), timeout=120)) == [expected] * 2


def _probs(seen: mien.Prediction | mien.Scores) -> NDArray[np.float32]:
    return seen.scores.probs if isinstance(seen, mien.Prediction) else seen.probs
