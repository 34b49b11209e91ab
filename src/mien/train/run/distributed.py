"""One training in several processes and on several machines, by Lightning Fabric: the same numbers as in one process.

Each process takes its slice of every batch. What depends on a whole batch is computed on the whole batch: the
statistics of batch normalisation, and the loss.
"""

import atexit
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, distributed, nn

from mien.errors import MienError, RunError
from mien.train.run.hardware import Accelerator, Hardware
from mien.visualize.figure import ignored_mplbackend

with ignored_mplbackend():  # Fabric imports torchmetrics, where it is installed, and that Matplotlib
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.utilities.exceptions import MisconfigurationException
    from lightning_fabric.utilities.rank_zero import rank_zero_only

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its import lets it log each process that starts

T = TypeVar("T")


def make_fabric(hardware: Hardware, *, precision: str) -> Fabric:
    """Make the Fabric of all devices of the hardware, and start the other processes where nobody else has.

    Fabric starts them by the command that started this process; each of them runs it from its beginning.
    Raises RunError where there are not as many devices, or they cannot do the precision.
    """
    several = hardware.processes > 1
    strategy = DDPStrategy(gradient_as_bucket_view=True) if several else "auto"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*AMP with fp16")  # said below, as an error
            fabric = Fabric(
                accelerator=hardware.accelerator,
                devices=hardware.devices,
                num_nodes=hardware.nodes,
                strategy=strategy,
                precision=cast("Any", precision),
            )
        if fabric.device.type == "cpu" and precision == "16-mixed":
            raise RunError('optim.precision = "16-mixed" needs a GPU; processors do "bf16-mixed"')
        if several:
            fabric.launch()
            atexit.register(_leave_process_group)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        what = f"{hardware.devices} {hardware.accelerator} devices on each of {hardware.nodes} machines"
        raise RunError(f"cannot train on {what}: {' '.join(str(error).split())}") from error
    return fabric


def fast_precision(accelerator: Accelerator) -> Literal["bf16-mixed", "32-true"]:
    """Return the faster precision: bfloat16 where the device itself computes with it, else float32."""
    if accelerator in ("auto", "cuda") and torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator == "mps" or (accelerator == "auto" and torch.backends.mps.is_available()):
        fast = False  # nobody has measured it
    else:
        can: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older torch cannot say
        fast = bool(can.get("avx512_bf16") or can.get("amx_bf16"))
    return "bf16-mixed" if fast else "32-true"


def _leave_process_group() -> None:
    """Leave the process group at exit: gloo's threads would abort a process that ends while they run."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


class LostProcessError(RunError):
    """Another process of the run has ended and said nothing."""


@contextmanager
def detect_lost_process(fabric: Fabric) -> Iterator[None]:
    """Raise LostProcessError where torch fails in the block because another process has gone."""
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, distributed.DistError) or "gloo" in str(error) or "Connection" in str(error)
        if fabric.world_size == 1 or not lost:
            raise
        raise LostProcessError("another process of this run has gone: go on with --resume") from error


def is_rank_zero() -> bool:
    """Return whether this process is the one that writes files and prints."""
    return not getattr(rank_zero_only, "rank", None)


def on_rank_zero(fabric: Fabric, job: Callable[..., T], *arguments: object) -> T:
    """Run `job` on rank 0 and broadcast the result. If it raises MienError, every rank raises it."""
    if fabric.world_size == 1:
        return job(*arguments)
    outcome: tuple[T | None, MienError | None] = None, None
    if fabric.is_global_zero:
        try:
            outcome = job(*arguments), None
        except MienError as error:
            outcome = None, error
    result, failure = fabric.broadcast(outcome)
    if failure is not None:
        raise failure
    return cast("T", result)


def all_equal(fabric: Fabric, value: object) -> bool:
    """Return whether all processes hold an equal value."""
    if fabric.world_size == 1:
        return True
    values: list[object] = [None] * fabric.world_size
    distributed.all_gather_object(values, value)
    return all(other == value for other in values)


def rank_slice(fabric: Fabric, count: int) -> slice:
    """Return which of `count` rows are this process's; the shares of two processes differ by one row at most."""
    return _slice(fabric.global_rank, count, fabric.world_size)


def _slice(rank: int, count: int, processes: int) -> slice:
    return slice(rank * count // processes, (rank + 1) * count // processes)


def all_gather(fabric: Fabric, own: Tensor, count: int) -> Tensor:
    """Gather the rows that each process has of its `rank_slice` -> (count, ...), in order.

    Gradients flow back to the process's own rows alone.
    """
    processes = fabric.world_size
    if processes == 1:
        return own
    most = -(-count // processes)
    padded = torch.cat([own.detach(), own.new_zeros(most - len(own), *own.shape[1:])])  # all gather the same shape
    gathered = [torch.empty_like(padded) for _ in range(processes)]
    distributed.all_gather(gathered, padded)
    slices = [_slice(rank, count, processes) for rank in range(processes)]
    parts = [part[: each.stop - each.start] for part, each in zip(gathered, slices, strict=True)]
    parts[fabric.global_rank] = own
    return torch.cat(parts)


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the faces of all processes, on any device (torch's own needs GPUs)."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        if not self.training:
            return super().forward(input)
        maps = input.float()
        places = maps.new_tensor([maps.numel() // maps.shape[1]])  # a process may have a face more than another
        total = _all_reduce(torch.cat([maps.sum(dim=(0, 2, 3)), places]))
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = maps - mean[:, None, None]
        variance = _all_reduce(centred.square().sum(dim=(0, 2, 3))) / count
        self._update_running(mean.detach(), variance.detach(), count)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normed: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normed.to(input.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        momentum = self.momentum if self.momentum is not None else 1.0
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), momentum)
        self.num_batches_tracked.add_(1)


class _AllReduce(torch.autograd.Function):
    """The sum over all processes; the gradient is the sum of their gradients."""

    @staticmethod
    def forward(_context: Any, own: Tensor) -> Tensor:
        total = own.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return _AllReduce.forward(None, gradient)


def _all_reduce(own: Tensor) -> Tensor:
    """Sum a tensor over all processes; gradients flow back to each."""
    total: Tensor = _AllReduce.apply(own)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return total


def convert_sync_batchnorm(net: nn.Module) -> None:
    """Replace every batch norm of a net by one over all processes, with the same parameters and names."""
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                synced = SyncBatchNorm(child.num_features, eps=child.eps, momentum=child.momentum)
                synced.weight, synced.bias = child.weight, child.bias
                for buffer in ("running_mean", "running_var", "num_batches_tracked"):
                    setattr(synced, buffer, getattr(child, buffer))
                setattr(module, name, synced)
