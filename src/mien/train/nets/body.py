"""What the body of a net is."""

from torch import Tensor, nn


class Body(nn.Module):
    """(N, 1, S, S) float32, normalised -> the maps of each stage, (N, C, H, W) float32.

    widths: the channels C of each stage.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = widths

    def forward(self, faces: Tensor) -> list[Tensor]:
        raise NotImplementedError
