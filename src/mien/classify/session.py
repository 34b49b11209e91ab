"""Sessions of ONNX Runtime: quiet, sending nothing, on the processors that are asked for."""

import logging
import os
import threading
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError

CPU = ("CPUExecutionProvider",)
CUDA = ("CUDAExecutionProvider", *CPU)  # what CUDA cannot compute goes to the CPU
DIRECTML = ("DmlExecutionProvider", *CPU)
COREML = ("CoreMLExecutionProvider", *CPU)
DEVICES = {"cpu": CPU, "cuda": CUDA, "directml": DIRECTML, "coreml": COREML}
_PACKAGES = {
    "cuda": "onnxruntime-gpu, in place of onnxruntime, and a driver that fits it",
    "directml": "onnxruntime-directml, in place of onnxruntime, and Windows",
    "coreml": "onnxruntime on macOS",
}

ADVICE = "a model file comes from: mien export RUN -o model.onnx; those that ship: mien models"
_TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"
_DIRECTML_TURN = threading.Lock()  # its sessions compute one call at a time

_log = logging.getLogger(__name__)


def import_onnxruntime() -> Any:
    """Import ONNX Runtime so that it sends nothing, writes nothing and starts no thread for it.

    From version 1.32 on it would otherwise keep a device id and a database in the home folder and look up a host, and
    forked processes would not end. It reads the variable that turns this off once, when it is loaded.
    """
    before = os.environ.get(_TELEMETRY_OFF)
    os.environ[_TELEMETRY_OFF] = "1"
    try:
        import onnxruntime  # 0.2 s, which commands without a model need not wait for; and see above
    finally:
        if before is None:
            del os.environ[_TELEMETRY_OFF]
        else:
            os.environ[_TELEMETRY_OFF] = before
    return onnxruntime


def providers_of(device: str) -> tuple[str, ...]:
    """Return ONNX Runtime's providers for a device: `cpu`, `cuda`, `directml`, `coreml` or `auto`.

    `auto` is CUDA where that starts, and else the CPU. Where another device does not start, it is the CPU, too, and a
    warning of one line says so. Raises ModelError for an unknown device.
    """
    if device != "auto" and device not in DEVICES:
        raise ModelError(f"device must be auto, {', '.join(DEVICES)}, got {device}")
    wanted = CUDA if device == "auto" else DEVICES[device]
    if wanted == CPU or (wanted[0] in import_onnxruntime().get_available_providers() and _starts(wanted)):
        return wanted
    if device != "auto":
        _log.warning("%s does not start here, so the CPU computes; it needs %s", device, _PACKAGES[device])
    return CPU


def _starts(providers: Sequence[str]) -> bool:
    """Tell whether a small model, the detector that ships, can be loaded on these providers."""
    try:
        make_session((files("mien") / "assets" / "yunet.onnx").read_bytes(), providers=providers)
    except ModelError:
        return False
    return True


def make_session(
    model: bytes,
    *,
    providers: Sequence[str] | None = None,
    threads: int = 0,
    varying_shapes: bool = False,
    name: str = "the model",
) -> Any:
    """Load an ONNX model into a session of ONNX Runtime.

    Parameters
    ----------
    model
        The content of the model's file.
    providers
        Of ONNX Runtime, best first; None: the CPU.
    threads
        CPU threads that compute one call; 0: as many as there are CPUs for this process.
    varying_shapes
        Whether calls come in many shapes; no memory pattern is kept for each then.
    name
        What errors call the model.

    Raises
    ------
    ModelError
        Where the model is damaged, or a provider is not installed or cannot start.
    """
    onnxruntime = import_onnxruntime()
    wanted = CPU if providers is None else tuple(providers)
    available = onnxruntime.get_available_providers()
    unknown = [provider for provider in wanted if provider not in available]
    if unknown or not wanted:
        hint = "; for CUDA, install onnxruntime-gpu in place of onnxruntime" if CUDA[0] in unknown else ""
        raise ModelError(f"providers must be among {', '.join(available)}, got {', '.join(unknown) or 'none'}{hint}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cpu_count()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = not varying_shapes and wanted[0] != DIRECTML[0]  # which allows none
    options.log_severity_level = 4  # what goes wrong is raised, and need not be printed as well
    try:
        # Without its fallback, which prints what went wrong and tries the same once more.
        listed = [_with_settings(provider, varying_shapes=varying_shapes) for provider in wanted]
        session = onnxruntime.InferenceSession(model, options, providers=listed, enable_fallback=0)
        for end in (*session.get_inputs(), *session.get_outputs()):
            _ = end.name, end.type, end.shape  # which a damaged model may have as bytes that are no text
    except Exception as error:  # the errors of ONNX Runtime have no base class of their own
        said = first_line(error)
        raise ModelError(f"{name} must be a model file, got a damaged or other one ({said}); {ADVICE}") from error
    if wanted[0] not in session.get_providers():
        raise ModelError(f"cannot start {wanted[0]} on this machine: its driver or libraries do not fit")
    return session


def _with_settings(provider: str, *, varying_shapes: bool) -> str | tuple[str, dict[str, str]]:
    """Return a provider, with the settings that it needs for calls in many shapes."""
    if provider == CUDA[0] and varying_shapes:  # its default tries all kernels for each new shape
        return provider, {"cudnn_conv_algo_search": "HEURISTIC"}
    return provider


def run_session(session: Any, name: str, values: NDArray[np.uint8] | NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Run a session on its one input; return its outputs, in order.

    On a GPU, input and outputs are bound: each is copied once, and what one node hands to the next stays there.
    """
    first = session.get_providers()[0]
    if first == CPU[0]:
        outputs: list[NDArray[np.float32]] = session.run(None, {name: values})
        return outputs
    binding = session.io_binding()
    binding.bind_cpu_input(name, values)
    for end in session.get_outputs():
        binding.bind_output(end.name)
    if first == DIRECTML[0]:
        with _DIRECTML_TURN:
            session.run_with_iobinding(binding)
    else:
        session.run_with_iobinding(binding)
    bound: list[NDArray[np.float32]] = binding.copy_outputs_to_cpu()
    return bound


def first_line(error: Exception) -> str:
    """Return what an error of ONNX Runtime says, in one line."""
    return str(error).strip().split("\n")[0].removeprefix("[ONNXRuntimeError] : ")


def cpu_count() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: a container may have fewer than the machine
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
