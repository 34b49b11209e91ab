import numpy as np
import pytest

from mien.data.contact_sheet import captioned_sheet, contact_sheet
from support import random_faces


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(0, 1, 1), (1, 1, 1), (2, 1, 2), (4, 2, 2), (5, 2, 3), (100, 10, 10), (101, 10, 11)]
)
def test_all_faces_are_on_it_in_order(count: int, rows: int, columns: int) -> None:
    faces = random_faces(count)
    sheet = contact_sheet(faces)
    assert sheet.shape == (rows * 50 + 2, columns * 50 + 2)
    cells = sheet[2:, 2:].reshape(rows, 50, columns, 50).swapaxes(1, 2).reshape(-1, 50, 50)
    assert np.array_equal(cells[:count, :48, :48], faces.images)
    assert np.all(cells[count:] == 255)
    assert np.all(cells[:, 48:] == 255)
    assert np.all(cells[:, :, 48:] == 255)


def test_captioned_faces_stand_in_their_cells_pixel_by_pixel() -> None:
    faces, small = random_faces(2).images, random_faces(1, seed=1).images[0, :32, :32]
    rows = [[(faces[0], "happy"), (small, "0.70 happy\n0.30 sad")], [(faces[1], ""), (faces[0], "")]]
    sheet = captioned_sheet(rows, heads=["one", "two"])
    height = (sheet.shape[0] - 20) // 2
    assert sheet.shape == (20 + 2 * height, 2 * 104)
    assert np.array_equal(sheet[24:120, 4:100], faces[0].repeat(2, 0).repeat(2, 1))
    assert np.array_equal(sheet[20 + 20 : 20 + 84, 104 + 20 : 104 + 84], small.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(sheet[24 + height : 120 + height, 4:100], faces[1].repeat(2, 0).repeat(2, 1))
    captions = [sheet[124 : 20 + height, left : left + 104] for left in (0, 104)]
    ink = [[(half < 128).any() for half in np.array_split(caption, 2)] for caption in captions]
    assert ink == [[True, False], [True, True]]  # one line, and two
    assert np.all(sheet[124 + height :] == 255)
    assert (sheet[:20, :104] < 128).any()


def test_a_large_face_has_no_more_room_than_others() -> None:
    large = np.arange(96 * 96, dtype=np.uint32).reshape(96, 96).astype(np.uint8)
    sheet = captioned_sheet([[(large, "")]], heads=[""])
    assert np.array_equal(sheet[24:120, 4:100], large)
