"""The hardware of a training: threads, devices and machines."""

from dataclasses import dataclass
from typing import Literal

from mien.errors import RunError

Accelerator = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Hardware:
    """The hardware that a training computes on. Raises RunError where a number is out of range.

    Parameters
    ----------
    threads
        Processor threads of each process; 0: torch's choice.
    devices
        Devices of each machine; each gets a process.
    nodes
        Machines.
    accelerator
        The kind of device; "auto" takes the fastest there is.
    cuda_graph
        Replay each step as a CUDA graph, on one GPU: faster for small nets. Nobody has tried it on one yet.
    """

    threads: int = 0
    devices: int = 1
    nodes: int = 1
    accelerator: Accelerator = "auto"
    cuda_graph: bool = False

    def __post_init__(self) -> None:
        for name, least in (("threads", 0), ("devices", 1), ("nodes", 1)):
            if getattr(self, name) < least:
                raise RunError(f"{name} must be {least} or more, got {getattr(self, name)}")

    @property
    def processes(self) -> int:
        """The processes of all machines together."""
        return self.devices * self.nodes


DEFAULT_HARDWARE = Hardware()
