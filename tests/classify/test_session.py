"""Sessions of ONNX Runtime: the providers and threads that are asked for, or one line that says why not."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mien.classify import session as home
from mien.classify.session import CPU, CUDA, make_session, providers_of
from mien.errors import ModelError
from support import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx").read_bytes()


def test_a_session_has_the_threads_that_are_asked_for(model: bytes) -> None:
    options = make_session(model, threads=3).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert make_session(model).get_session_options().intra_op_num_threads >= 1


def test_shapes_that_vary_leave_no_memory_pattern(model: bytes) -> None:
    assert not make_session(model, varying_shapes=True).get_session_options().enable_mem_pattern
    assert make_session(model).get_session_options().enable_mem_pattern


def test_the_cpu_computes_where_nothing_is_asked_for(model: bytes) -> None:
    session = make_session(model)
    assert session.get_providers() == [*CPU]
    assert session.run(None, {"faces": np.zeros((2, 48, 48), np.uint8)})[0].shape == (2, 7)


def test_a_damaged_model_is_named(model: bytes) -> None:
    with pytest.raises(ModelError, match=r"^the detector must be a model file, got a damaged or other one \("):
        make_session(model[:100], name="the detector")


def test_an_unknown_device_is_refused() -> None:
    assert providers_of("cpu") == CPU
    assert providers_of("cuda") == CUDA
    with pytest.raises(ModelError, match="device must be auto, cpu or cuda, got gpu"):
        providers_of("gpu")


@pytest.mark.parametrize("driver", [True, False])
def test_auto_takes_cuda_where_it_starts(driver: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    started = CUDA if driver else CPU  # without a driver, ONNX Runtime goes back to the CPU in silence
    fake = SimpleNamespace(
        get_available_providers=lambda: [*CUDA],
        SessionOptions=SimpleNamespace,
        InferenceSession=lambda *_, **__: SimpleNamespace(
            get_providers=lambda: [*started], get_inputs=list, get_outputs=list
        ),
    )
    monkeypatch.setattr(home, "import_onnxruntime", lambda: fake)
    assert providers_of("auto") == started
    if not driver:
        with pytest.raises(ModelError, match="cannot start CUDAExecutionProvider on this machine"):
            make_session(b"", providers=CUDA)


def test_auto_is_the_cpu_where_there_is_no_cuda() -> None:
    import onnxruntime

    if CUDA[0] not in onnxruntime.get_available_providers():
        assert providers_of("auto") == CPU


@pytest.mark.parametrize("made", ["classifier", "detector", "predictor"])
def test_providers_reach_model_and_detector(made: str, tmp_path: Path) -> None:
    from mien import Predictor, load
    from mien.detect.yunet import YuNet

    path = tiny_model(tmp_path / "a.onnx")
    picture = np.zeros((200, 200, 3), np.uint8)
    make: dict[str, Callable[[], object]] = {
        "classifier": lambda: load(path, providers=["Abacus"]),
        "detector": lambda: YuNet(providers=("Abacus",))(picture),
        "predictor": lambda: Predictor(path, providers=["Abacus"]),
    }
    with pytest.raises(ModelError, match=r"providers must be among .*, got Abacus"):
        make[made]()
