"""The plan of a training's work on its device: what lies there, and how often the processor waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mien.errors import RunError
from mien.visualize.figure import ignored_mplbackend

with ignored_mplbackend():  # as distributed.py says
    from lightning_fabric.plugins.precision import MixedPrecision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_STEPS_AT_ONCE = 16  # a GPU augments the faces of so many steps by the same launches
_SAVE_SECONDS = 20.0  # a GPU may need less than a second for an epoch, and saving takes as long


@dataclass(frozen=True)
class DevicePlan:
    """The places and the pace of what belongs to a step.

    Parameters
    ----------
    inputs
        The device that faces, targets and random numbers are on.
    steps_at_once
        How many steps' faces are augmented in one call.
    check_steps
        Whether the loss of each step is looked at, which waits for the device; else the epoch's, once.
    save_seconds
        How many seconds pass, at least, between two checkpoints; 0: each epoch is saved.
    graph
        Whether a step is replayed as a CUDA graph.
    """

    inputs: torch.device
    steps_at_once: int = 1
    check_steps: bool = True
    save_seconds: float = 0.0
    graph: bool = False


def plan_for(fabric: "Fabric", *, cuda_graph: bool = False) -> DevicePlan:
    """Return the plan for a device: one GPU is never waited for; all else goes step by step, from the processor.

    Several processes draw the same random numbers on their processors, which different GPUs would not. Raises RunError
    where a CUDA graph is asked for and there is no single GPU, or its precision looks at the gradients.
    """
    if fabric.device.type == "cuda" and fabric.world_size == 1:
        if cuda_graph and isinstance(fabric.strategy.precision, MixedPrecision) and fabric.strategy.precision.scaler:
            raise RunError('a CUDA graph needs optim.precision = "bf16-mixed" or "32-true", got "16-mixed"')
        return DevicePlan(
            fabric.device, _STEPS_AT_ONCE, check_steps=False, save_seconds=_SAVE_SECONDS, graph=cuda_graph
        )
    if cuda_graph:
        raise RunError(f"a CUDA graph needs one GPU, got {fabric.world_size} x {fabric.device.type}")
    return DevicePlan(torch.device("cpu"))


@contextmanager
def fast_kernels(device: torch.device) -> Iterator[None]:
    """Let a GPU look for the fastest convolutions and multiply matrices in TF32 within the block; others stay exact."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before[0]
        torch.set_float32_matmul_precision(before[1])
