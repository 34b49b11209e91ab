import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from mien.detect.align import MARGIN, crop_face
from mien.detect.whole_image import whole_image
from mien.detect.yunet import YuNet
from mien.errors import DataError, ModelError
from mien.io.pixels import to_face, to_grey
from mien.labels import EXPRESSIONS
from mien.pipeline.predictor import MIN_FACE, Predictor
from mien.types import Detections, Scores
from support import Brightness


def squares(picture: NDArray[np.uint8]) -> Detections:
    """A detector: every 60x60 tile of the picture with a red pixel in its middle is a face, as sure as that is red."""
    found = [
        (x, y, picture[y + 30, x + 30, 0] / 255)
        for y in range(0, picture.shape[0] - 59, 60)
        for x in range(0, picture.shape[1] - 59, 60)
        if picture[y + 30, x + 30, 0] > picture[y + 30, x + 30, 1]
    ]
    boxes = np.array([(x, y, x + 60, y + 60) for x, y, _ in found], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([sure for *_, sure in found], np.float32))


def scene(*faces: int, width: int = 5) -> NDArray[np.uint8]:
    """A picture with a row of tiles, of these brightnesses, that `squares` takes for faces."""
    picture = np.zeros((60, 60 * max(width, len(faces)), 3), np.uint8)
    for place, value in enumerate(faces):
        picture[:, place * 60 : place * 60 + 60] = value
        picture[30, place * 60 + 30] = (255, value, value)
    return picture


def folder_of(folder: Path, *pictures: NDArray[np.uint8]) -> Path:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:03}.png")
    return folder


def test_each_face_gets_the_scores_of_its_own_crop() -> None:
    prediction = Predictor(Brightness(), detector=squares)(scene(20, 200, 90), source="a")
    assert prediction.source == "a"
    assert prediction.faces.boxes[:, 0].tolist() == [0, 60, 120]
    assert prediction.scores.probs[:, 3] == pytest.approx(np.array([20, 200, 90]) / 255, abs=0.01)


def test_crops_are_the_square_around_the_box() -> None:
    seen: list[NDArray[np.uint8]] = []

    def classifier(images: NDArray[np.uint8]) -> Scores:
        seen.append(images)
        return Scores(np.eye(7, dtype=np.float32)[np.zeros(len(images), int)])

    picture = skimage.data.astronaut()
    box = np.array([[180.5, 60, 270, 175.25]], np.float32)
    Predictor(classifier, detector=lambda _: Detections(box, np.ones(1, np.float32)))(picture)
    assert (seen[0] == crop_face(picture, box[0], margin=MARGIN)[None]).all()


def test_a_leaning_face_is_turned_upright() -> None:
    seen: list[NDArray[np.uint8]] = []

    def classifier(images: NDArray[np.uint8]) -> Scores:
        seen.append(images)
        return Scores(np.eye(7, dtype=np.float32)[np.zeros(len(images), int)])

    def detector(degrees: float) -> Detections:
        """Her face, and her eyes, had she leant her head."""
        turn = np.radians(degrees)
        eyes = np.array([[-20, -18], [20, -18], [0, 0], [-15, 20], [15, 20]]) @ np.array(
            [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        )
        box = np.array([[172.5, 72.5, 272.5, 172.5]], np.float32)
        return Detections(box, np.ones(1, np.float32), (eyes + (222.5, 122.5))[None])

    upright = Image.fromarray(skimage.data.astronaut())
    for degrees in (0.0, 25.0, -40.0):
        leaning = upright.rotate(-degrees, Image.Resampling.BICUBIC, center=(222.5, 122.5))
        Predictor(classifier, detector=lambda _, degrees=degrees: detector(degrees))(np.asarray(leaning))
    for crops in seen[1:]:
        assert np.abs(crops.astype(int) - seen[0]).mean() < 3


def test_a_picture_without_a_face_is_no_error_and_no_work() -> None:
    classifier = Brightness()
    prediction = Predictor(classifier, detector=squares)(scene())
    assert (len(prediction.faces), len(prediction.scores), prediction.rows()) == (0, 0, [])
    assert classifier.calls == []


def test_a_file_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "das größte Bild.png"
    Image.fromarray(scene(50)).save(path)
    predictor = Predictor(Brightness(), detector=squares)
    assert predictor(path).source == predictor(str(path)).source == str(path)
    with path.open("rb") as file:
        assert predictor(file, source="other").source == "other"
    with pytest.raises(DataError, match=r"none\.png"):
        predictor(tmp_path / "none.png")


def test_a_stream_says_what_single_calls_say_whatever_the_batch(tmp_path: Path) -> None:
    pictures = [scene(*range(start, start + 40 * (start % 5), 40)) for start in range(1, 24)]
    folder = folder_of(tmp_path / "photos", *pictures)
    single = Predictor(Brightness(), detector=squares)
    expected = [single(path) for path in sorted(folder.iterdir())]
    for batch in (1, 2, 7, 64, 1000):
        streamed = list(Predictor(Brightness(), detector=squares, batch=batch).stream(folder))
        assert [prediction.rows() for prediction in streamed] == [prediction.rows() for prediction in expected]
        assert [prediction.source for prediction in streamed] == [prediction.source for prediction in expected]


def test_faces_of_several_pictures_are_classified_together(tmp_path: Path) -> None:
    classifier = Brightness()
    folder = folder_of(tmp_path / "photos", *[scene(90, 100)] * 10)
    assert len(list(Predictor(classifier, detector=squares, batch=8).stream(folder))) == 10
    assert classifier.calls == [8, 8, 4]


def test_no_batch_is_larger_than_asked_for() -> None:
    classifier = Brightness()
    Predictor(classifier, detector=squares, batch=4)(scene(*range(10, 110, 10)))
    assert classifier.calls == [4, 4, 2]


def test_a_stream_is_lazy(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", *[scene(90)] * 6)
    seen: list[int] = []

    def detector(picture: NDArray[np.uint8]) -> Detections:
        seen.append(1)
        return squares(picture)

    stream = Predictor(Brightness(), detector=detector, batch=2).stream(folder)
    assert isinstance(stream, Iterator)
    assert seen == []
    next(stream)
    assert len(seen) == 2
    next(stream)
    assert len(seen) == 2


def test_memory_stays_flat_over_a_folder_without_faces(tmp_path: Path) -> None:
    empty = np.zeros((500, 500, 3), np.uint8)
    names = [folder_of(tmp_path / "photos", empty) / "000.png"] * 300
    predictor = Predictor(Brightness(), detector=squares, batch=16)
    tracemalloc.start()
    try:
        for _ in predictor.stream(names):
            assert tracemalloc.get_traced_memory()[1] < 5 * empty.size
    finally:
        tracemalloc.stop()


def test_a_broken_picture_does_not_stop_a_stream(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", scene(90), scene(90), scene(90))
    (folder / "001.png").write_bytes((folder / "001.png").read_bytes()[:50])
    told: list[str] = []
    predictor = Predictor(Brightness(), detector=squares)
    predictions = list(predictor.stream(folder, on_error=lambda name, error: told.append(f"{name}: {error}")))
    assert [Path(prediction.source).name for prediction in predictions] == ["000.png", "002.png"]
    assert len(told) == 1
    assert "001.png" in told[0]


def test_what_was_read_before_a_missing_source_comes_first(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", scene(90))
    stream = Predictor(Brightness(), detector=squares).stream([folder / "000.png", tmp_path / "none.png"])
    assert next(stream).source == str(folder / "000.png")
    with pytest.raises(DataError, match=r"none\.png: there is no such file"):
        next(stream)


def test_narrow_faces_are_left_out() -> None:
    def detector(_: NDArray[np.uint8]) -> Detections:
        boxes = [[0, 0, side, 2 * side] for side in (19.5, 20, 30)]
        return Detections(np.array(boxes, np.float32), np.ones(3, np.float32))

    def count(**options: Any) -> int:
        return len(Predictor(Brightness(), detector=detector, **options)(scene(9)).faces)

    assert (count(min_face=20), count(min_face=1), count(min_face=31)) == (2, 3, 0)


def test_uncertain_faces_are_left_out() -> None:
    predictor = Predictor(Brightness(), detector=squares, min_confidence=0.7)
    prediction = predictor(scene(20, 120, 200))
    assert prediction.faces.boxes[:, 0].tolist() == [0, 120]
    assert (prediction.scores.confidence >= 0.7).all()


def test_a_crop_is_one_face_and_comes_through_as_it_is(tmp_path: Path) -> None:
    seen: list[NDArray[np.uint8]] = []

    def classifier(images: NDArray[np.uint8]) -> Scores:
        seen.append(images)
        return Scores(np.eye(7, dtype=np.float32)[np.zeros(len(images), int)])

    face = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    Image.fromarray(face).save(tmp_path / "face.png")
    prediction = Predictor(classifier, detector=whole_image, min_face=100)(tmp_path / "face.png")
    assert (seen[0] == face).all()
    assert prediction.faces.boxes.tolist() == [[0, 0, 48, 48]]
    photo = skimage.data.astronaut()[50:180, 170:290]
    Predictor(classifier, detector=whole_image)(photo)
    assert (seen[1] == to_face(photo)).all()


def test_a_real_face_is_found_and_cropped_as_fer2013_shows_faces() -> None:
    seen: list[NDArray[np.uint8]] = []

    def classifier(images: NDArray[np.uint8]) -> Scores:
        seen.append(images)
        return Scores(np.full((len(images), 7), 1 / 7, np.float32))

    picture = skimage.data.astronaut()
    prediction = Predictor(classifier)(picture)
    assert len(prediction.faces) == 1
    left, top, right, bottom = prediction.faces.boxes[0]
    assert left < 203 < 243 < right  # her eyes
    assert top < 105 < 145 < bottom  # her eyes and mouth
    # The same region by another library's resampling looks the same.
    across, down, half = (left + right) / 2, (top + bottom) / 2, (bottom - top) / 2 * (1 + 2 * MARGIN)
    region = to_grey(picture)[round(down - half) : round(down + half), round(across - half) : round(across + half)]
    by_hand = skimage.transform.resize(region, (48, 48), anti_aliasing=True, order=3) * 255
    assert np.corrcoef(by_hand.ravel(), seen[0][0].ravel())[0, 1] > 0.98


def test_the_smallest_face_is_told_to_the_detector() -> None:
    assert YuNet().min_face == MIN_FACE
    assert Predictor(Brightness(), min_face=77).detector == YuNet(min_face=77)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"min_confidence": 1.5}, DataError, "min_confidence must be 0 to 1, got 1.5"),
        ({"min_confidence": float("nan")}, DataError, "min_confidence must be 0 to 1"),
        ({"batch": 0}, DataError, "batch must be 1 or more, got 0"),
        ({"min_face": 0}, ModelError, "min_face must be"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Predictor(Brightness(), **options)


def test_a_model_that_does_not_exist_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing"):
        Predictor(tmp_path / "nothing.onnx")


def test_a_classifier_that_miscounts_is_refused() -> None:
    def classifier(images: NDArray[np.uint8]) -> Scores:
        return Scores(np.full((len(images) + 1, 7), 1 / 7, np.float32))

    with pytest.raises(ModelError, match="a row for each face, got 2 for 1"):
        Predictor(classifier, detector=squares)(scene(50))


def test_classes_may_have_other_names() -> None:
    def classifier(images: NDArray[np.uint8]) -> Scores:
        return Scores(np.tile(np.array([0.25, 0.75], np.float32), (len(images), 1)), ("no", "yes"))

    (row,) = Predictor(classifier, detector=squares)(scene(50)).rows()
    assert (row["expression"], row["no"], row["yes"]) == ("yes", 0.25, 0.75)
    assert not set(EXPRESSIONS) & set(row)
