"""What the body of a net is."""

from torch import Tensor, nn


class Body(nn.Module):
    """(N, 1, S, S) float32, normalised -> the maps of each stage, (N, C, H, W) float32.

    widths: the channels C of each stage. least_side: the smallest side S, in pixels, that leaves each map a pixel.
    """

    def __init__(self, widths: tuple[int, ...], *, least_side: int = 1) -> None:
        super().__init__()
        self.widths, self.least_side = widths, least_side

    def forward(self, faces: Tensor) -> list[Tensor]:
        raise NotImplementedError
