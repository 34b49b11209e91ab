"""Search for faces that are the same picture: identical ones by their bytes, near-identical ones by their detail.

Two pictures are near-identical when the detail of one correlates with that of the other, or of its mirror image, by
`NEAR` or more. The detail of a picture is the picture minus its Gaussian blur of 3 pixels, so brightness, contrast and
lighting hardly count. The correlation is the cosine between both details where the pictures overlap, the best over all
shifts of up to 2 pixels across and down.

All pairs are compared. A first pass compares 100 low cosine frequencies of each picture, shifted by a pixel each way.
It takes matrix products of blocks, because a mirror image only changes the sign of the odd frequencies. Only pairs that
pass it are measured.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mien.types import FACE_SIDE, Progress, batches

NEAR = 0.70  # docs/audit.md says how it was chosen
LOOSEST = 0.60  # below it, pairs are too unlike to pass the first pass, and most would be missed

_BLUR = 3.0  # pixels, the standard deviation of the blur that is subtracted
_REACH = 2  # pixels, the largest shift across and down
_FLAT = 0.5  # grey levels: a picture whose detail deviates less is near to no other
_FREQUENCIES = 10  # across and down, in the first pass
_PASSES = 0.80  # cosine between the frequencies of two pictures, from which they are measured
_BLOCK = 1024
_WIDTH = FACE_SIDE + _REACH  # of a row of pixels with zeros behind it
_SHIFTS = (2 * _REACH + 1, 2 * _REACH + 1)

Floats = NDArray[np.float32]


def first_identical_row(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return for each face the first row with the very same pixels: (N,) int64. A new picture has its own row."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(image.tobytes(), row) for row, image in enumerate(images)], np.int64)


def near_pairs(
    images: NDArray[np.uint8], *, near: float = NEAR, progress: Progress | None = None
) -> tuple[NDArray[np.int64], Floats]:
    """Find near-identical pairs of different pictures.

    Parameters
    ----------
    images
        (N, 48, 48) uint8. Of rows with the very same pixels only the first is compared.
    near
        The least correlation. Below `LOOSEST` not all pairs are found.
    progress
        Called with the blocks of pairs compared and how many there are.

    Returns
    -------
    (M, 2) int64 and (M,) float32
        The rows of each pair, in rising order, and their correlations.
    """
    rows = np.unique(first_identical_row(images))
    candidates = _candidates(images[rows], list(_blocks(len(rows))), progress)
    correlation = _detail_correlation(images[rows], candidates)
    kept = correlation >= near
    return rows[candidates[kept]], correlation[kept]


def has_near_duplicate(
    images: NDArray[np.uint8], others: NDArray[np.uint8], *, near: float = NEAR, progress: Progress | None = None
) -> NDArray[np.bool_]:
    """Find the pictures that have a near-identical one among others: (N, 48, 48) and (M, 48, 48) -> (N,) bool."""
    both = np.concatenate([images, others])
    later = [slice(rows.start + len(images), rows.stop + len(images)) for rows in batches(len(others), _BLOCK)]
    blocks = [(one, other) for one in batches(len(images), _BLOCK) for other in later]
    candidates = _candidates(both, blocks, progress)
    kept = candidates[_detail_correlation(both, candidates) >= near]
    found = np.zeros(len(images), np.bool_)
    found[kept[:, 0]] = True
    return found


def connected_components(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each of `count` rows the smallest row that a chain of pairs (M, 2) joins it to: (count,) int64."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, other in pairs.tolist():
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(row) for row in range(count)], np.int64)


def list_groups(component: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of each group of two or more, in order, from the component (N,) of each row."""
    order = np.argsort(component, kind="stable")
    starts = np.flatnonzero(np.diff(component[order], prepend=-1))
    return [rows for rows in np.split(order, starts[1:]) if len(rows) > 1]


def _candidates(
    images: NDArray[np.uint8], blocks: Sequence[tuple[slice, slice]], progress: Progress | None
) -> NDArray[np.int64]:
    """Return the pairs (M, 2) in pairs of row blocks whose low frequencies are alike enough to measure."""
    even, odd = _low_frequencies(images)
    shifts = [(down, right) for down in (-1, 1) for right in (-1, 1)]
    shifted = [_low_frequencies(_shifted(images, *shift)) for shift in shifts]
    shifted_even, shifted_odd = (np.stack(each) for each in zip(*shifted, strict=True))  # (4, N, D)
    found = [np.zeros((0, 2), np.int64)]
    for done, (one, other) in enumerate(blocks, 1):
        alike = _alike(shifted_even[:, one], shifted_odd[:, one], even[other], odd[other])
        rows, columns = np.divmod(np.flatnonzero(alike >= _PASSES), alike.shape[1])
        pairs = np.stack([rows + one.start, columns + other.start], axis=1)
        found.append(pairs[pairs[:, 0] < pairs[:, 1]])
        if progress:
            progress(done, len(blocks))
    return np.concatenate(found)


def _blocks(count: int) -> Iterator[tuple[slice, slice]]:
    """Yield pairs of row blocks that hold every pair of rows once."""
    for one in batches(count, _BLOCK):
        for other in batches(count - one.start, _BLOCK):
            yield one, slice(other.start + one.start, other.stop + one.start)


def _alike(shifted_even: Floats, shifted_odd: Floats, even: Floats, odd: Floats) -> Floats:
    """Return the best cosine (A, B) of any shift of A pictures (4, A, D) with B others (B, D) or their mirror images.

    A mirror image has the same even frequencies, and the odd ones with the other sign.
    """
    size = shifted_even.shape[-1]
    mirrored = shifted_odd.reshape(-1, size) @ odd.T  # one large product each, as threads wait for each other
    cosine = shifted_even.reshape(-1, size) @ even.T
    cosine += np.abs(mirrored, out=mirrored)
    best: Floats = cosine.reshape(len(shifted_even), -1, len(even)).max(axis=0)
    return best


def _low_frequencies(images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Return the low cosine frequencies of pictures: those that are even, and those that are odd, from left to right.

    The mean is left out. High frequencies, which are weak in natural pictures, get more weight. The two halves together
    have length 1.
    """
    number = np.arange(_FREQUENCIES)
    place = (np.arange(FACE_SIDE) + 0.5) * np.pi / FACE_SIDE
    waves = np.cos(number[:, None] * place).astype(np.float32)
    waves[0] /= np.sqrt(2)
    radius = np.hypot(number[:, None], number)
    weights = (radius**1.5 * np.exp(-((radius / 6) ** 2) / 2)).astype(np.float32)
    found = np.empty((len(images), _FREQUENCIES, _FREQUENCIES), np.float32)
    for rows in batches(len(images), 4096):
        found[rows] = waves @ images[rows].astype(np.float32) @ waves.T
    found *= weights
    found /= np.maximum(np.linalg.norm(found, axis=(1, 2), keepdims=True), 1e-3)
    even, odd = found[:, :, ::2], found[:, :, 1::2]
    half = (len(found), even[0].size if len(found) else 1)
    return np.ascontiguousarray(even).reshape(half), np.ascontiguousarray(odd).reshape(half)


def _shifted(images: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    rows, columns = ((np.arange(FACE_SIDE) - shift).clip(0, FACE_SIDE - 1) for shift in (down, right))
    return images[:, rows[:, None], columns]


def _detail_correlation(images: NDArray[np.uint8], pairs: NDArray[np.int64]) -> Floats:
    """Return the correlation, in [-1, 1], of the details of each pair of rows (M, 2): (M,) float32."""
    rows, places = np.unique(pairs, return_inverse=True)
    details = _details(images[rows])
    energies = _energies(details)
    correlation = np.full(len(pairs), -1, np.float32)
    for part in batches(len(pairs), 1024):
        one, other = places.reshape(-1, 2)[part].T
        sides = _products(details[one], details[other]), _products(details[one], details[other][:, :, ::-1])
        weights = energies[other][:, ::-1, ::-1], energies[other][:, ::-1, :]  # of the window under the shifted picture
        for products, weight in zip(sides, weights, strict=True):
            best = (products / np.sqrt(energies[one] * weight)).max(axis=(1, 2))
            np.maximum(correlation[part], best, out=correlation[part])
    return correlation


def _details(images: NDArray[np.uint8]) -> Floats:
    """Return pictures minus their blur: (N, 48, 48) float32. Beyond an edge, its pixels are repeated."""
    reach = int(4 * _BLUR)
    weights = np.exp(-((np.arange(-reach, reach + 1) / _BLUR) ** 2) / 2)
    blur = np.zeros((FACE_SIDE, FACE_SIDE), np.float32)
    for pixel in range(FACE_SIDE):
        sources = np.arange(pixel - reach, pixel + reach + 1).clip(0, FACE_SIDE - 1)
        np.add.at(blur[pixel], sources, weights / weights.sum())
    details = images.astype(np.float32)
    for part in batches(len(images), 4096):
        details[part] -= blur @ details[part] @ blur.T
    return details


def _energies(details: Floats) -> Floats:
    """Return for each shift the sum of squares in the part of each picture under the shifted one: (N, 5, 5)."""
    floor = _FLAT**2 * FACE_SIDE**2
    energies = np.empty((len(details), *_SHIFTS), np.float32)
    for part in batches(len(details), 1024):
        squares = details[part] ** 2
        for down, right in np.ndindex(_SHIFTS):
            window = squares[:, _over(down - _REACH), _over(right - _REACH)].sum(axis=(1, 2))
            energies[part, down, right] = np.where(window < floor, np.inf, window)
    return energies


def _over(shift: int) -> slice:
    """Return the part of a row of pixels that lies over another row, shifted so far to the right."""
    return slice(max(0, shift), FACE_SIDE + min(0, shift))


def _products(one: Floats, other: Floats) -> Floats:
    """Return the sums of products of M pairs of details, the other one shifted down and right: (M, 5, 5) float32.

    A picture is laid out as one row with zeros between and around, so a shift in both directions is a shift of the row.
    """
    guard = _REACH * _WIDTH + _REACH
    rows = np.zeros((2, len(one), guard + FACE_SIDE * _WIDTH + guard), np.float32)
    for plane, details in zip(rows, (one, other), strict=True):
        plane[:, guard:-guard].reshape(-1, FACE_SIDE, _WIDTH)[:, :, :FACE_SIDE] = details
    inner = rows[1][:, guard:-guard]
    products = np.empty((len(one), *_SHIFTS), np.float32)
    for down, right in np.ndindex(_SHIFTS):
        start = down * _WIDTH + right
        products[:, down, right] = np.einsum("np,np->n", rows[0][:, start : start + inner.shape[1]], inner)
    return products
