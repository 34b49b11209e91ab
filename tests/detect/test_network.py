"""YuNet's network in two parts and in bands: what it finds is what the whole network finds at once."""

from importlib.resources import files

import numpy as np
import onnxruntime
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from mien.classify.session import CPU
from mien.detect.network import run_network

Picture = NDArray[np.uint8]


def whole_network(views: Picture) -> list[NDArray[np.float32]]:
    """The scores, boxes and landmarks of all cells, by the file of the whole network."""
    model = files("mien").joinpath("assets", "yunet.onnx").read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=list(CPU))
    beyond = [(0, -side % 32) for side in views.shape[1:3]]
    outputs: list[NDArray[np.float32]] = session.run(None, {"pictures": np.pad(views, ((0, 0), *beyond, (0, 0)))})
    return outputs


def heads(height: int, width: int, *, seed: int = 0) -> Picture:
    """Heads of the astronaut, 40 to 300 pixels wide, all over a picture with noise, edges of bands among the places."""
    rng = np.random.default_rng(seed)
    scene = rng.integers(90, 150, (height, width, 3), dtype=np.uint8)
    head = Image.fromarray(skimage.data.astronaut()).crop((130, 20, 320, 210))
    for _ in range(30):
        side = int(rng.integers(40, min(300, height, width)))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        scene[top : top + side, left : left + side] = np.asarray(head.resize((side, side)))
    return scene


@pytest.mark.parametrize("most", [30, 200])
@pytest.mark.parametrize("size", [(720, 1280), (700, 1111), (1301, 640), (2048, 320), (320, 2048), (480, 640)])
def test_bands_and_parts_give_what_the_whole_gives(size: tuple[int, int], most: int) -> None:
    views = heads(*size)[None]
    scores, boxes, landmarks = (output[0] for output in whole_network(views))
    ranked = np.sort(scores)[::-1]
    count = most - 20 + int((ranked[most - 20 : most] - ranked[most - 19 : most + 1]).argmax())
    least = float(ranked[count : count + 2].mean())  # in the widest gap, so that no rounding decides what is found
    ((found, its_boxes, its_landmarks),) = run_network(views, least=least, threads=1, providers=CPU)
    sure = scores >= least
    assert np.allclose(found, scores[sure], atol=1e-5)
    assert np.allclose(its_boxes, boxes[sure], atol=2e-3)
    assert np.allclose(its_landmarks, landmarks[sure], atol=2e-3)
    assert {each.dtype for each in (found, its_boxes, its_landmarks)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("threads", [1, 2])
def test_each_of_several_views_gets_its_own_faces(threads: int) -> None:
    astronaut = skimage.data.astronaut()
    views = np.stack([astronaut[:256, 90:346], np.zeros((256, 256, 3), np.uint8), astronaut[:256, 60:316]])
    together = run_network(views, least=0.5, threads=threads, providers=CPU)
    assert [len(scores) > 0 for scores, _, _ in together] == [True, False, True]
    for view, found in zip(views, together, strict=True):
        (alone,) = run_network(view[None], least=0.5, threads=threads, providers=CPU)
        assert all(np.allclose(one, other, atol=1e-3) for one, other in zip(found, alone, strict=True))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 720, 1280, 3), (2, 33, 31, 3)])
def test_where_nothing_is_sure_enough_all_is_empty(shape: tuple[int, ...], threads: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for scores, boxes, landmarks in run_network(noise, least=1.0, threads=threads, providers=CPU):
        assert (scores.shape, boxes.shape, landmarks.shape) == ((0,), (0, 4), (0, 5, 2))
