"""Pictures that several threads read and search at a time: the same predictions, in the same order."""

import threading
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from mien.detect.whole_image import whole_image
from mien.errors import DataError
from mien.pipeline.ahead import Ahead
from mien.pipeline.predictor import Predictor
from mien.types import Detections, Prediction
from support import Brightness


def photos(folder: Path, count: int) -> Path:
    """Crops of the astronaut of many sizes, and two files that are no pictures."""
    folder.mkdir()
    for number in range(count):
        side = 64 + 17 * (number * 7 % count)
        Image.fromarray(skimage.data.astronaut()).crop((100, 0, 360, 260)).resize((side, side)).save(
            folder / f"{number:02}.png"
        )
    (folder / "03.png").write_bytes(b"no picture")
    (folder / "11.png").write_bytes(b"")
    return folder


def names_of_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("mien-ahead")]


def read(predictor: Predictor, folder: Path) -> tuple[list[Prediction], list[str]]:
    errors: list[str] = []
    found = list(predictor.stream(folder, on_error=lambda name, _: errors.append(Path(name).name)))
    return found, errors


def test_threads_change_no_row_and_no_order(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 16)
    (one, errors), (several, others) = (
        read(Predictor(Brightness(), threads=threads, batch=5), folder) for threads in (1, 4)
    )
    assert errors == others == ["03.png", "11.png"]
    assert [each.source for each in one] == [each.source for each in several]
    assert len(one) == 14
    for each, other in zip(one, several, strict=True):
        assert np.allclose(each.faces.boxes, other.faces.boxes, atol=1e-3)
        assert np.allclose(each.scores.probs, other.scores.probs, atol=1e-5)
    assert not names_of_threads()


def test_a_stream_that_is_left_early_ends_its_threads(tmp_path: Path) -> None:
    stream = Predictor(Brightness(), threads=3, batch=1).stream(photos(tmp_path / "photos", 12))
    next(stream)
    assert names_of_threads()
    stream.close()
    assert not names_of_threads()


def test_what_was_read_before_a_missing_source_comes_first(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 3)
    stream = Predictor(Brightness(), threads=3).stream([folder, tmp_path / "missing.jpg"])
    assert [Path(next(stream).source).name for _ in range(3)] == ["00.png", "01.png", "02.png"]
    with pytest.raises(DataError, match=r"missing\.jpg: there is no such file"):
        next(stream)


def test_your_own_detector_is_called_by_one_thread(tmp_path: Path) -> None:
    callers: set[int] = set()

    def detector(picture: NDArray[np.uint8]) -> Detections:
        callers.add(threading.get_ident())
        return whole_image(picture)

    assert len(read(Predictor(Brightness(), detector=detector), photos(tmp_path / "photos", 12))[0]) == 10
    assert callers == {threading.get_ident()}


def test_a_batch_in_memory_is_searched_by_threads_too() -> None:
    pictures = [skimage.data.astronaut()[:, shift:] for shift in range(0, 60, 10)]
    one, several = (Predictor(Brightness(), threads=threads).predict_batch(pictures) for threads in (1, 3))
    assert [each.faces.boxes.tolist() for each in one] == [each.faces.boxes.tolist() for each in several]


def test_threads_work_on_no_more_than_may_wait() -> None:
    started: list[int] = []

    def work(item: int) -> bytes:
        started.append(item)
        return bytes(1 << 25)

    with Ahead(work, threads=2, nbytes=len) as ahead:
        for item in range(100):
            ahead.put(item)
            while ahead.is_full:
                taken, result = ahead.take()
                assert len(result()) == 1 << 25
                assert len(started) <= taken + 9
        assert ahead
    assert not names_of_threads()
