"""How speed is counted; how fast anything is, is no matter for a test."""

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.latency import Speed, bench, machine
from mien.types import Scores


def test_figures_of_known_times() -> None:
    speed = Speed(64, tuple(second / 1000 for second in range(1, 12)))
    assert speed.milliseconds == pytest.approx(6 / 64)
    assert speed.p90_milliseconds == pytest.approx(np.percentile(np.arange(1, 12), 90) / 64)
    assert speed.faces_per_second == pytest.approx(64 / 0.006)


def test_it_gives_the_batch_that_was_asked_for_often_enough() -> None:
    sizes = []

    def classifier(images: NDArray[np.uint8]) -> Scores:
        sizes.append(images.shape)
        return Scores(np.full((len(images), 7), 1 / 7, np.float32))

    speed = bench(classifier, batch=5, seconds=0)
    assert speed.batch == 5
    assert len(speed.seconds) == 10
    assert sizes == [(5, 48, 48)] * 13  # three to warm up
    assert sum(bench(classifier, seconds=0.05).seconds) >= 0.05


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(DataError, match="batch must be 1 face or more, got 0"):
        bench(lambda images: Scores(np.zeros((len(images), 7), np.float32)), batch=0)


def test_the_machine_is_one_line() -> None:
    assert f"ONNX Runtime {onnxruntime.__version__}" in machine()
    assert "\n" not in machine()
