"""A step's forward pass, loss and gradients as one CUDA graph: a GPU is given one launch instead of hundreds."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mien.train.loss.losses import Targets

_WARM_UPS = 3  # steps before the capture, in which libraries choose their kernels


class GraphedStep:
    """Captures a step when faces of a new shape come, and replays it for all others.

    The optimizer's step is none of it, since its learning rate changes each time.

    Parameters
    ----------
    step
        Gives each weight its gradient for faces and targets, and returns the loss. It reads no number.
    net
        The net whose weights these are.
    """

    def __init__(self, step: Callable[[Tensor, Targets], Tensor], net: nn.Module) -> None:
        self._step, self._net = step, net
        self._shape: tuple[int, ...] = ()

    def __call__(self, faces: Tensor, targets: Targets) -> Tensor:
        """Give each weight its gradient for these faces and targets; return the loss."""
        if tuple(faces.shape) != self._shape:
            self._capture(faces, targets)
        self._faces.copy_(faces)
        for own, new in zip(self._targets.parts, targets.parts, strict=True):
            own.copy_(new)
        self._graph.replay()
        for weight, gradient in self._gradients:  # the optimizer has let go of them
            weight.grad = gradient
        return self._loss.clone()

    def _capture(self, faces: Tensor, targets: Targets) -> None:
        self._shape, self._faces, self._targets = tuple(faces.shape), faces.clone(), targets.map(torch.clone)
        before = [buffer.clone() for buffer in self._net.buffers()]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._net.zero_grad(set_to_none=True)
                self._step(self._faces, self._targets)
        torch.cuda.current_stream().wait_stream(stream)
        for buffer, was in zip(self._net.buffers(), before, strict=True):
            buffer.copy_(was)  # the moments that norms have seen
        self._net.zero_grad(set_to_none=True)  # the graph's gradients replace each other instead of adding up
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = self._step(self._faces, self._targets)
        self._gradients = [(weight, weight.grad) for weight in self._net.parameters() if weight.grad is not None]
