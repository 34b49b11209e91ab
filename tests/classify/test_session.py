"""Sessions of ONNX Runtime: the providers and threads that are asked for, or one line that says why not."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mien.classify import session as home
from mien.classify.session import COREML, CPU, CUDA, DEVICES, DIRECTML, make_session, providers_of, run_session
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
    with pytest.raises(ModelError, match="device must be auto, cpu, cuda, directml, coreml, got gpu"):
        providers_of("gpu")


def runtime_with(providers: tuple[str, ...], started: tuple[str, ...]) -> SimpleNamespace:
    """An ONNX Runtime that lists these providers, and whose sessions start with those."""
    return SimpleNamespace(
        get_available_providers=lambda: [*providers],
        SessionOptions=SimpleNamespace,
        InferenceSession=lambda *_, **__: SimpleNamespace(
            get_providers=lambda: [*started], get_inputs=list, get_outputs=list
        ),
    )


@pytest.mark.parametrize("driver", [True, False])
def test_auto_takes_cuda_where_it_starts(driver: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    started = CUDA if driver else CPU  # without a driver, ONNX Runtime goes back to the CPU in silence
    fake = runtime_with(CUDA, started)
    monkeypatch.setattr(home, "import_onnxruntime", lambda: fake)
    assert providers_of("auto") == started
    if not driver:
        with pytest.raises(ModelError, match="cannot start CUDAExecutionProvider on this machine"):
            make_session(b"", providers=CUDA)


@pytest.mark.parametrize("device", ["cuda", "directml", "coreml"])
@pytest.mark.parametrize("there", ["installed", "without a driver", "not installed"])
def test_a_device_that_does_not_start_is_the_cpu(
    device: str, there: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = DEVICES[device]
    started = wanted if there == "installed" else CPU
    fake = runtime_with(CPU if there == "not installed" else wanted, started)
    monkeypatch.setattr(home, "import_onnxruntime", lambda: fake)
    assert providers_of(device) == started
    lines = [f"{device} does not start here, so the CPU computes; it needs onnxruntime"]
    assert [message[: len(lines[0])] for message in caplog.messages] == ([] if there == "installed" else lines)


@pytest.mark.parametrize("providers", [CUDA, DIRECTML, COREML])
def test_bound_ends_give_the_same_numbers(model: bytes, providers: tuple[str, ...]) -> None:
    session = make_session(model)
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    elsewhere = SimpleNamespace(
        get_providers=lambda: [*providers],
        io_binding=session.io_binding,
        get_outputs=session.get_outputs,
        run_with_iobinding=session.run_with_iobinding,
    )
    (bound,) = run_session(elsewhere, "faces", faces)
    (plain,) = run_session(session, "faces", faces)
    np.testing.assert_allclose(bound, plain, atol=1e-6)


@pytest.mark.parametrize("providers", [CUDA, DIRECTML, COREML, CPU])
def test_what_providers_need_is_set(providers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[object, ...]] = []
    fake = runtime_with(providers, providers)
    start = fake.InferenceSession

    def starting(_model: bytes, options: object, *, providers: object, **_: object) -> object:
        given.append((options, providers))
        return start()

    fake.InferenceSession = starting
    monkeypatch.setattr(home, "import_onnxruntime", lambda: fake)
    make_session(b"", providers=providers, varying_shapes=True)
    make_session(b"", providers=providers)
    (varying, listed), (fixed, plain) = given
    assert plain == [*providers]
    settings = {"cudnn_conv_algo_search": "HEURISTIC"}
    assert listed == [(CUDA[0], settings) if each == CUDA[0] else each for each in providers]
    assert not varying.enable_mem_pattern  # type: ignore[attr-defined]
    assert fixed.enable_mem_pattern == (providers != DIRECTML)  # type: ignore[attr-defined]


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
