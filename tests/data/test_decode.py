import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mien.data.decode import encode_png, read_face, read_faces
from mien.errors import DataError
from mien.io.image import read_picture
from mien.io.pixels import to_face
from support import random_faces

FACE = random_faces(1).images[0]


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_a_grey_face_comes_through_bit_for_bit(tmp_path: Path, form: str) -> None:
    content = encoded(Image.fromarray(FACE), form)
    (tmp_path / "face").write_bytes(content)
    assert np.array_equal(read_face(content), FACE)
    assert np.array_equal(read_face(tmp_path / "face"), FACE)


def test_png_keeps_every_pixel() -> None:
    with Image.open(io.BytesIO(encode_png(FACE))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (48, 48))
        assert np.array_equal(np.asarray(image), FACE)
    assert np.array_equal(read_face(encode_png(FACE)), FACE)


def test_a_face_that_is_turned_is_not_taken_as_it_lies() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    assert np.array_equal(read_face(encoded(Image.fromarray(FACE), "PNG", exif=exif)), FACE[::-1, ::-1])


def test_transparency_is_not_forgotten() -> None:
    content = encoded(Image.fromarray(FACE), "PNG", transparency=int(FACE[0, 0]))
    assert np.array_equal(read_face(content), np.where(FACE[0, 0] == FACE, 255, FACE))


def test_remarks_in_a_file_change_nothing() -> None:
    remarks = PngImagePlugin.PngInfo()
    remarks.add_text("Comment", "a face")
    assert np.array_equal(read_face(encoded(Image.fromarray(FACE), "PNG", pnginfo=remarks)), FACE)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1", "LA", "I;16"])
@pytest.mark.parametrize("size", [(48, 48), (100, 60)])
def test_other_pictures_are_read_as_everywhere_else(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(colours[..., 0].astype(np.uint16) * 256) if mode == "I;16" else Image.fromarray(colours)
    (tmp_path / "a.png").write_bytes(encoded(image if mode == "I;16" else image.convert(mode), "PNG"))
    assert np.array_equal(read_face(tmp_path / "a.png"), to_face(read_picture(tmp_path / "a.png")))


@pytest.mark.parametrize("kept", [0, 7, 26, 29, 60, 500])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, kept: int) -> None:
    (tmp_path / "cut.png").write_bytes(encode_png(FACE)[:kept])
    with pytest.raises(DataError, match=r"cut\.png"):
        read_face(tmp_path / "cut.png")
    with pytest.raises(DataError):
        read_face(encode_png(FACE)[:kept])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png"):
        read_face(tmp_path / "none.png")


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 500])
def test_many_keep_their_order(count: int) -> None:
    calls: list[tuple[int, int]] = []
    decoded = read_faces(
        count,
        lambda number: np.full((48, 48), number % 251, np.uint8),
        on_bad=None,
        progress=lambda *call: calls.append(call),
    )
    assert decoded.images.shape == (count, 48, 48)
    assert decoded.images[:, 7, 7].tolist() == [number % 251 for number in range(count)]
    assert decoded.numbers == list(range(count))
    assert calls == [(min(done, count), count) for done in range(64, count + 64, 64)]


def odd_are_bad(number: int) -> np.ndarray:
    if number % 2:
        raise DataError(f"number {number}")
    return np.full((48, 48), number, np.uint8)


def test_bad_ones_are_told_of_and_left_out() -> None:
    bad: list[DataError] = []
    decoded = read_faces(200, odd_are_bad, on_bad=bad.append)
    assert decoded.numbers == list(range(0, 200, 2))
    assert decoded.images[:, 0, 0].tolist() == decoded.numbers
    assert [str(error) for error in bad] == [f"number {number}" for number in range(1, 200, 2)]


def test_the_first_bad_one_ends_it() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def read(number: int) -> np.ndarray:
        with lock:
            begun.append(number)
        return odd_are_bad(number)

    with pytest.raises(DataError, match=r"number 1$"):
        read_faces(100_000, read, on_bad=None)
    assert len(begun) < 90_000
