import numpy as np
import pytest

from mien.data.sheet import contact_sheet
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
