"""YuNet's network, run on views of a picture. On one CPU thread it goes in two parts, which save time and memory.

The early layers go over a view band by band. Their maps of a view of 1280x720 have 15 MB each, more than most caches
hold beside those of another thread; those of a band fit. The bands overlap by all that these layers see, and each cell
is computed by the same kernels from the same numbers, so the maps are the same to the last bit. What the late layers
give is decoded here, and only where it may be a face, which is at a few of many thousand cells.
"""

import os
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.classify.session import CPU, make_session, run_session

_STEP = 32  # pixels: the network takes sides that are multiples of this
_STRIDES = 8, 16, 32  # pixels that a cell of each of its heads stands for
_STRIDE, _CHANNELS = 8, 64  # pixels that a cell of the early layers' maps stands for, and the number of these maps
_NEARLY_ONE = 0.9999
_REACH = 24  # pixels: a cell sees 19 beyond its own; a multiple of the stride, so that the cells of bands lie alike
_BAND, _LEAST_ROWS = 320_000, 192  # pixels of a band, about; and its rows at least, or too many would be seen twice


Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]  # scores (M,), boxes, landmarks


def run_network(views: NDArray[np.uint8], *, least: float, threads: int, providers: tuple[str, ...]) -> list[Found]:
    """Run the network on views (N, H, W, 3).

    Parameters
    ----------
    views
        (N, H, W, 3) uint8 RGB.
    least
        The score, in [0, 1], from which on something is returned.
    threads
        CPU threads; 0: as many as there are CPUs for this process.
    providers
        Of ONNX Runtime, best first.

    Returns
    -------
    list of tuples
        For each view the scores (M,), boxes (M, 4) and landmarks (M, 5, 2) of what may be faces, in its pixels.

    Raises
    ------
    ModelError
        Where a provider cannot start.
    """
    height, width = (side + -side % _STEP for side in views.shape[1:3])
    if threads != 1 or providers != CPU:  # the threads of two parts would wait for one another; a GPU has no such cache
        whole = _session("yunet", threads, providers, os.getpid())
        outputs = zip(*run_session(whole, "pictures", _padded(views, height, width)), strict=True)
        return [_from_score(least, *output) for output in outputs]
    early, late = (_session(name, threads, providers, os.getpid()) for name in ("yunet-early", "yunet-late"))
    heads = run_session(late, "maps", _early_maps(early, views, height, width))
    return _decoded(heads, len(views), least)


def _early_maps(session: Any, views: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Return the maps of the early layers, (N, 64, height / 8, width / 8), of views that are padded to that size."""
    count = max(1, min(round(height * width / _BAND), height // _LEAST_ROWS))
    if count == 1 or len(views) > 1:
        (maps,) = run_session(session, "pictures", _padded(views, height, width))
        return maps
    rows = -(-height // (count * _STRIDE)) * _STRIDE
    maps = np.empty((1, _CHANNELS, height // _STRIDE, width // _STRIDE), np.float32)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        start, end = max(top - _REACH, 0), min(bottom + _REACH, height)
        (band,) = run_session(session, "pictures", _padded(views[:, start:end], end - start, width))
        own = slice((top - start) // _STRIDE, (bottom - start) // _STRIDE)
        maps[:, :, top // _STRIDE : bottom // _STRIDE] = band[:, :, own]
    return maps


def _padded(views: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return views with black below and to the right up to that size, as the network takes them: in one piece."""
    if views.shape[1:3] == (height, width):
        return np.ascontiguousarray(views)
    padded = np.zeros((len(views), height, width, 3), np.uint8)
    padded[:, : views.shape[1], : views.shape[2]] = views
    return padded


def _decoded(heads: list[NDArray[np.float32]], count: int, least: float) -> list[Found]:
    """Return what may be faces in each of `count` views, of the heads, (N, 16, H / stride, W / stride) each."""
    levels = [_decoded_level(head, stride, least) for head, stride in zip(heads, _STRIDES, strict=True)]
    view, scores, boxes, landmarks = (np.concatenate(parts) for parts in zip(*levels, strict=True))
    return [_from_score(least, scores[own], boxes[own], landmarks[own]) for own in (view == n for n in range(count))]


def _decoded_level(
    head: NDArray[np.float32], stride: int, least: float
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the view, score, box and landmarks of each cell of one stride that may have the score."""
    flat = head.reshape(*head.shape[:2], -1)
    chance = min(least**2, _NEARLY_ONE)  # a score is the root of two chances' product, so neither may be less
    view, cell = np.nonzero(np.minimum(flat[:, 0], flat[:, 1]) >= np.float32(np.log(chance / (1 - chance))))
    values = flat[view, :, cell]  # (M, 16): two chances, the box's width and height, its centre, five landmarks
    scores = np.sqrt((1 / (1 + np.exp(-values[:, :2]))).prod(axis=1))
    half = np.exp(values[:, 2:4]) * (stride / 2)
    rows, columns = np.divmod(cell, head.shape[3])
    corners = np.stack([columns, rows], axis=1).astype(np.float32)
    points = (values[:, 4:].reshape(-1, 6, 2) + corners[:, None]) * stride
    boxes = np.concatenate([points[:, 0] - half, points[:, 0] + half], axis=1)
    return view, scores, boxes, points[:, 1:]


def _from_score(
    least: float, scores: NDArray[np.float32], boxes: NDArray[np.float32], landmarks: NDArray[np.float32]
) -> Found:
    chosen = scores >= least
    return scores[chosen], boxes[chosen], landmarks[chosen]


@cache
def _session(file: str, threads: int, providers: tuple[str, ...], process: int) -> Any:  # noqa: ARG001 (part of the key)
    """Return a part of the network, loaded once for these settings in each process: a fork takes no threads along."""
    model = files("mien").joinpath("assets", f"{file}.onnx").read_bytes()
    return make_session(model, providers=providers, threads=threads, varying_shapes=True, name="the face detector")
