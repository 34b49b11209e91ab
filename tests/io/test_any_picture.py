"""Whatever array is given, it becomes a picture or is refused in a line; what it shows stays."""

import io
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from mien.errors import DataError
from mien.io.any_picture import AnyPicture, as_picture

ANY = st.one_of(
    *(
        arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=4, max_side=6))
        for kind in (np.uint8, np.float32, np.float64, np.bool_, np.int64, np.uint16, np.complex64, "U3")
    )
)


@given(ANY, st.booleans())
def test_any_array_is_read_or_refused_in_a_line(array: NDArray[np.generic], bgr: bool) -> None:
    refusal = ""
    try:
        picture = as_picture(array, bgr=bgr)
    except DataError as error:
        refusal = str(error)
    if refusal:
        assert "\n" not in refusal
        assert len(refusal) < 300
    else:
        assert picture.dtype == np.uint8
        assert picture.shape == (*array.shape[:2], 3)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))))
def test_rgb_stays_and_bgr_is_turned_round(array: NDArray[np.uint8]) -> None:
    assert as_picture(array) is array
    assert (as_picture(array, bgr=True) == array[..., ::-1]).all()
    assert (as_picture(array / 255) == array).all()
    assert (as_picture((array / 255).astype(np.float32), bgr=True) == array[..., ::-1]).all()


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_grey_becomes_three_alike(array: NDArray[np.uint8]) -> None:
    for form in (array, array[:, :, None], array / 255, Image.fromarray(array)):
        assert (as_picture(form) == array[:, :, None]).all()


class Tensor:
    """What stands in for a tensor of another library; one on a GPU makes no array."""

    def __init__(self, values: NDArray[np.uint8] | None) -> None:
        self.values = values

    def __array__(self, dtype: object = None, copy: object = None) -> NDArray[np.uint8]:
        if self.values is None:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self.values


def test_what_makes_an_array_is_taken_as_one() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert (as_picture(cast("AnyPicture", Tensor(values))) == values).all()
    with pytest.raises(DataError, match="got Tensor, which makes no array: can't convert cuda"):
        as_picture(cast("AnyPicture", Tensor(None)))


def test_bytes_files_and_images_show_the_same() -> None:
    file = io.BytesIO()
    Image.fromarray(FACE).save(file, "PNG")
    for form in (file, file.getvalue(), bytearray(file.getvalue()), memoryview(file.getvalue())):
        assert (as_picture(cast("AnyPicture", form)) == FACE).all()


def test_an_image_of_pillow_that_is_cut_short_is_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, "JPEG")
    image = Image.open(io.BytesIO(file.getvalue()[:1000]))
    with pytest.raises(DataError, match="the picture cannot be read, it is broken or cut short"):
        as_picture(image)


FACE = np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8)


@pytest.mark.parametrize("source", [[FACE], iter([FACE]), {"a": 1}, None, 3, "data:" * 900])
def test_what_is_no_picture_is_refused_in_a_line(source: object) -> None:
    with pytest.raises(DataError, match="a picture must be a path, bytes, a binary file") as error:
        as_picture(cast("AnyPicture", source))
    assert len(str(error.value)) < 400


def test_an_address_is_sent_to_the_stream() -> None:
    with pytest.raises(DataError, match=r"must not be an address; read those by Predictor\.stream, got http://a/b"):
        as_picture("http://a/b.jpg")
