"""Identical and near-identical pictures, against planted copies and brute force."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array, csgraph
from skimage.data import astronaut

from mien.data.audit import duplicates
from mien.data.audit.duplicates import (
    NEAR,
    connected_components,
    first_identical_row,
    has_near_duplicate,
    list_groups,
    near_pairs,
)
from mien.detect.align import crop_face
from support import altered, drawn_faces


def _brute_force(images: np.ndarray) -> np.ndarray:
    """(N, N) the best cosine of details over shifts of 2 pixels and mirrors, by the definition, a pair at a time."""
    details = [each - gaussian_filter(each, 3, mode="nearest", truncate=4) for each in images.astype(float)]
    best = np.full((len(images), len(images)), -1.0)
    for i, one in enumerate(details):
        for j, other in enumerate(details):
            for flipped in (other, other[:, ::-1]):
                for down in range(-2, 3):
                    for right in range(-2, 3):
                        a = one[max(0, down) : 48 + min(0, down), max(0, right) : 48 + min(0, right)]
                        b = flipped[max(0, -down) : 48 + min(0, -down), max(0, -right) : 48 + min(0, -right)]
                        best[i, j] = max(best[i, j], (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
    return best


def test_identical_names_the_first_row_with_the_same_pixels() -> None:
    images = drawn_faces(5).images[[0, 1, 0, 2, 1, 0]]
    assert first_identical_row(images).tolist() == [0, 1, 0, 3, 1, 0]


def test_every_altered_copy_is_found_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    images = drawn_faces(300, seed=1).images
    copied = rng.choice(300, 80, replace=False)
    copies = np.stack([altered(images[row], rng) for row in copied])
    pairs, correlation = near_pairs(np.concatenate([images, copies]))
    assert {tuple(pair) for pair in pairs.tolist()} == {(row, 300 + n) for n, row in enumerate(copied.tolist())}
    assert correlation.min() >= NEAR


def test_the_measure_is_the_one_that_is_stated() -> None:
    rng = np.random.default_rng(0)
    images = drawn_faces(8, seed=2).images
    whole = np.concatenate([images, [altered(image, rng) for image in images]])
    expected = _brute_force(whole)
    pairs, correlation = near_pairs(whole, near=0.3)
    np.testing.assert_allclose(correlation, expected[tuple(pairs.T)], atol=2e-4)
    close = {tuple(pair) for pair in np.argwhere(np.triu(expected, 1) >= NEAR).tolist()}
    assert close == {tuple(pair) for pair in pairs[correlation >= NEAR].tolist()}
    assert len(close) >= 8


@pytest.mark.parametrize("change", ["mirror", "shift", "darker", "low contrast", "inverted"])
def test_changes_to_a_photo(change: str) -> None:
    face = crop_face(astronaut(), (180, 70, 270, 160))
    changed = {
        "mirror": face[:, ::-1],
        "shift": np.roll(face, (2, -1), (0, 1)),
        "darker": face // 2,
        "low contrast": (face / 5 + 100).astype(np.uint8),
        "inverted": 255 - face,
    }[change]
    pairs, _ = near_pairs(np.stack([face, changed]))
    assert len(pairs) == (change != "inverted")


def test_flat_pictures_are_near_to_nothing() -> None:
    flat = np.arange(4, dtype=np.uint8)[:, None, None] + np.zeros((4, 48, 48), np.uint8)
    flat[2:, 0, 0] = 9
    assert len(near_pairs(flat)[0]) == 0


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    images = drawn_faces(40, seed=4).images
    images = np.concatenate([images, images[:3], [altered(image, rng) for image in images]])
    whole = near_pairs(images)
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    told = []
    pairs, correlation = near_pairs(images, progress=lambda done, total: told.append((done, total)))
    order = np.lexsort(pairs.T[::-1])
    expected = np.lexsort(whole[0].T[::-1])
    assert pairs[order].tolist() == whole[0][expected].tolist()
    np.testing.assert_allclose(correlation[order], whole[1][expected], atol=1e-6)
    assert told[-1][0] == told[-1][1] == len(told)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_pair(count: int) -> None:
    pairs, correlation = near_pairs(drawn_faces(count).images)
    assert pairs.shape == (0, 2)
    assert correlation.shape == (0,)


def test_chains_are_groups_as_scipy_says() -> None:
    rng = np.random.default_rng(0)
    for count, edges in ((50, 20), (200, 150), (10, 0)):
        pairs = rng.integers(0, count, (edges, 2))
        graph = coo_array((np.ones(edges), pairs.T), shape=(count, count))
        _, component = csgraph.connected_components(graph, directed=False)
        smallest = np.array([np.flatnonzero(component == name)[0] for name in component])
        groups = connected_components(count, pairs)
        assert groups.tolist() == smallest.tolist()
        big = [np.flatnonzero(groups == root).tolist() for root in np.unique(groups) if (groups == root).sum() > 1]
        assert [rows.tolist() for rows in list_groups(groups)] == big


def test_near_duplicates_among_others_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(2)
    images, others = drawn_faces(30).images, drawn_faces(50, seed=1).images.copy()
    others[5:12] = [altered(image, rng) for image in images[20:27]]
    found = has_near_duplicate(images, others)
    pairs, _ = near_pairs(np.concatenate([images, others]))
    assert np.flatnonzero(found).tolist() == sorted({int(one) for one, other in pairs if one < 30 <= other})
    assert set(range(20, 27)) >= set(np.flatnonzero(found).tolist()) != set()
    assert not has_near_duplicate(images, others[:0]).any()
