import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from clips import Actor, Clip, along, at, write_clip
from mien.detect.boxes import box_iou
from mien.detect.yunet import YuNet
from mien.errors import DataError, ModelError
from mien.io.frame import Frame
from mien.pipeline import streaming as module
from mien.pipeline.predictor import Predictor
from mien.track.video_detector import STRIDE
from mien.types import Detections, Scores
from support import Brightness

WAIT = 10  # seconds, at the most


def one_face(_: NDArray[np.uint8]) -> Detections:
    """A detector: the same box in every picture."""
    return Detections(np.array([[10, 10, 60, 60]], np.float32), np.ones(1, np.float32))


def footage(
    count: int, *, side: int = 80, pause: float = 0, live: bool = False, error: str = ""
) -> Callable[..., Iterator[Frame]]:
    """What reads a source of any name: so many frames, 30 a second, as slowly as is said, and then an error or none."""

    def read(name: str, **_: object) -> Iterator[Frame]:
        for number in range(count):
            time.sleep(pause)
            picture = np.full((side, side, 3), number % 200, np.uint8)
            yield Frame(name, number / 30, picture, moving=True, live=live, arrived=time.monotonic())
        if error:
            raise DataError(error)

    return read


def no_threads() -> bool:
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        if not any(thread.name == "mien-prefetch" for thread in threading.enumerate()):
            return True
        time.sleep(0.005)
    return False


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Two people, one who stays and one who crosses the picture below him."""
    actors = [Actor(at(80, 70), look=0), Actor(along((0, 60, 170), (2, 260, 170)), look=2)]
    return write_clip(tmp_path_factory.mktemp("clips") / "two.mp4", actors)


def test_each_face_keeps_its_track_and_is_where_it_is(two: Clip) -> None:
    predictions = list(Predictor(Brightness()).stream(two.path))
    assert [prediction.seconds for prediction in predictions] == pytest.approx(two.seconds, abs=1e-4)
    whose: dict[int, set[int]] = {}
    for prediction, boxes in zip(predictions, two.boxes, strict=True):
        assert prediction.source == str(two.path)
        assert len(prediction.faces) == 2
        assert prediction.tracks is not None
        for box, track in zip(prediction.faces.boxes, prediction.tracks, strict=True):
            near = max(boxes, key=lambda actor: box_iou(box, boxes[actor][None].astype(np.float32))[0])
            assert box_iou(box, boxes[near][None].astype(np.float32))[0] > 0.6
            whose.setdefault(int(track), set()).add(near)
    assert sorted(map(sorted, whose.values())) == [[0], [1]]
    row = predictions[5].rows()[0]
    assert list(row)[:4] == ["source", "seconds", "track", "face"]
    assert row["quality"] == "good"


def test_people_who_cross_come_and_leave_and_a_cut(tmp_path: Path) -> None:
    actors = [
        Actor(at(70, 70), look=0),
        Actor(along((0, 40, 180), (2.4, 280, 180)), look=2),
        Actor(along((0.6, 250, 70), (1.4, 210, 70)), look=3),
    ]
    clip = write_clip(tmp_path / "a.mp4", actors, duration=2.4, cuts=[1.8])
    seen: dict[int, list[float]] = {}
    counts = []
    for prediction in Predictor(Brightness()).stream(clip.path):
        counts.append(len(prediction.faces))
        assert prediction.tracks is not None
        for track in prediction.tracks.tolist():
            seen.setdefault(track, []).append(prediction.seconds)
    assert sorted(seen) == [1, 2, 3, 4, 5]
    late = (STRIDE - 1) / 25 + 1e-3  # seconds: by which a coming or a going may be told of too late
    for track, (first, last) in {1: (0, 1.76), 2: (0, 1.76), 3: (0.6, 1.4), 4: (1.8, 2.36), 5: (1.8, 2.36)}.items():
        assert first <= seen[track][0] + 1e-3 <= first + late + 2e-3
        assert last - 1e-3 <= seen[track][-1] <= last + late
    truth = [len(boxes) for boxes in clip.boxes]
    assert np.mean(np.array(counts) == truth) > 0.85


def test_a_face_that_holds_still_gives_steady_probabilities(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", [Actor(at(160, 120), side=90)], duration=1.6)
    probs = np.array([prediction.scores.probs[0] for prediction in Predictor("swift").stream(clip.path)])
    assert np.ptp(probs, axis=0).max() < 0.03
    assert np.abs(np.diff(probs, axis=0)).max() < 0.01


def test_raw_scores_are_those_of_single_pictures(two: Clip) -> None:
    predictor = Predictor(Brightness(), smooth=0, stride=1)
    for frame, streamed in predictor.stream_with_frames(two.path, end=0.4):
        single = predictor(frame.picture, source=frame.source)
        assert (streamed.faces.boxes == single.faces.boxes).all()
        assert (streamed.scores.probs == single.scores.probs).all()
        assert streamed.quality == single.quality


def test_smoothing_takes_the_flicker_away() -> None:
    flicker = iter(range(10**6))

    def classifier(images: NDArray[np.uint8]) -> Scores:
        rows = [[0, 0, 0, 0.9, 0, 0, 0.1] if next(flicker) % 2 else [0, 0, 0, 0.2, 0, 0, 0.8] for _ in images]
        return Scores(np.array(rows, np.float32))

    def happy(**options: Any) -> NDArray[np.float32]:
        predictor = Predictor(classifier, detector=one_face, **options)
        return np.array([prediction.scores.probs[0, 3] for prediction in predictor.stream("webcam:0")])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "read_frames", footage(60))
        assert np.abs(np.diff(happy(smooth=0))).min() > 0.69
        assert np.abs(np.diff(happy()[20:])).max() < 0.12


def test_faces_of_many_frames_are_classified_together(two: Clip) -> None:
    classifier = Brightness()
    list(Predictor(classifier).stream(two.path))
    assert classifier.calls[0] == 32
    assert sum(classifier.calls) == 100


def test_pictures_and_videos_take_turns(two: Clip, tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    Image.fromarray(skimage.data.astronaut()).save(photo)
    classifier = Brightness()
    seen = list(Predictor(classifier).stream([photo, two.path, photo], every=0.5))
    assert [Path(prediction.source).name for prediction in seen] == ["a.png", *["two.mp4"] * 4, "a.png"]
    assert [prediction.tracks is None for prediction in seen] == [True, *[False] * 4, True]
    assert seen[0].rows() == seen[-1].rows()


def test_max_side_holds_for_pictures_too(two: Clip, tmp_path: Path) -> None:
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "a.png")
    for frame, prediction in Predictor(Brightness()).stream_with_frames(
        [tmp_path / "a.png", two.path], max_side=256, end=0.1
    ):
        assert max(frame.picture.shape) == 256
        assert len(prediction.faces) >= 1


def test_what_was_read_of_a_damaged_video_comes_before_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "read_frames", footage(5, error="it broke"))
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    told: list[str] = []
    stream = Predictor(Brightness(), detector=one_face).stream(
        [tmp_path / "a.mp4", tmp_path / "b.mp4"], on_error=lambda name, error: told.append(f"{name}: {error}")
    )
    names = [(Path(prediction.source).name, len(told)) for prediction in stream]
    assert names == [("a.mp4", 0)] * 5 + [("b.mp4", 1)] * 5
    assert len(told) == 2
    assert no_threads()


@pytest.mark.parametrize("which", ["detector", "classifier"])
def test_errors_of_what_looks_are_raised_and_end_the_threads(two: Clip, which: str) -> None:
    def fail(_: NDArray[np.uint8]) -> Scores:
        raise ModelError("no more")

    parts: dict[str, Any] = {"detector": one_face, "classifier": Brightness()} | {which: fail}
    with pytest.raises(ModelError, match="no more"):
        list(Predictor(parts["classifier"], detector=parts["detector"]).stream(two.path))
    assert no_threads()


@pytest.mark.parametrize("taken", [0, 1, 20])
def test_a_stream_that_is_left_early_lets_go_of_all(two: Clip, taken: int) -> None:
    stream = Predictor(Brightness(), detector=one_face).stream(two.path)
    for _ in range(taken):
        next(stream)
    stream.close()
    assert no_threads()


def test_memory_stays_flat_over_a_long_video(monkeypatch: pytest.MonkeyPatch) -> None:
    count, size = 1000, 300 * 300 * 3
    monkeypatch.setattr(module, "read_frames", footage(count, side=300))
    for call, most in ((Predictor.stream, 15), (Predictor.stream_with_frames, 90)):
        tracemalloc.start()
        try:
            seen = sum(1 for _ in call(Predictor(Brightness(), detector=one_face), "webcam:0"))
            assert (seen, tracemalloc.get_traced_memory()[1] < most * size) == (count, True)
        finally:
            tracemalloc.stop()


def test_a_live_source_drops_frames_rather_than_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = 0.02

    def detector(picture: NDArray[np.uint8]) -> Detections:
        time.sleep(slow)
        return one_face(picture)

    monkeypatch.setattr(module, "read_frames", footage(100, pause=slow / 10, live=True))
    ages, numbers = [], []
    for frame, prediction in Predictor(Brightness(), detector=detector, stride=1).stream_with_frames("webcam:0"):
        ages.append(time.monotonic() - frame.arrived)
        numbers.append(round(prediction.seconds * 30))
    assert len(numbers) < 60
    assert numbers == sorted(numbers)
    assert numbers[-1] == 99
    assert np.median(ages) < 4 * slow


def test_quality_and_doubtful_detections() -> None:
    def detector(_: NDArray[np.uint8]) -> Detections:
        boxes = [[0, 0, 10, 30], [0, 0, 50, 50], [60, 60, 120, 120]]
        return Detections(np.array(boxes, np.float32), np.array([0.9, 0.5, 0.8], np.float32))

    picture = np.zeros((200, 200, 3), np.uint8)  # too flat to tell more
    prediction = Predictor(Brightness(), detector=detector, min_face=5)(picture)
    assert prediction.quality == ("good", "unsure", "small")
    prediction = Predictor(Brightness(), detector=detector, min_detection=0.6)(picture)
    assert (prediction.quality, prediction.faces.boxes[0].tolist()) == (("good",), [60, 60, 120, 120])
    assert Predictor(Brightness(), min_detection=0.9).detector == YuNet(threshold=0.9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_detection": 2}, "min_detection must be 0 to 1, got 2"),
        ({"smooth": -1}, "smooth must be 0 or more, got -1"),
        ({"stride": 0}, "stride must be 1 or more, got 0"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Predictor(Brightness(), **options)


def test_a_span_out_of_range_is_refused_before_anything_is_read() -> None:
    with pytest.raises(DataError, match="every must be"):
        Predictor(Brightness()).stream("none.mp4", every=-1)
