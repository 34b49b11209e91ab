"""The base classes of all backbones and of their settings."""

from typing import Annotated

from torch import Tensor, nn

from mien.train.settings import Interval, Settings

Widths = Annotated[tuple[Annotated[int, Interval("[1, 4096]")], ...], Interval("[1, 8]")]
Dropout = Annotated[float, Interval("[0, 1)")]


class NetSettings(Settings, section="net"):
    """The settings that a backbone is built from."""

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of each stage."""
        raise NotImplementedError

    @property
    def min_side(self) -> int:
        """The smallest side of a face, in pixels, that leaves the last stage's maps a pixel."""
        return 1


class Backbone(nn.Module):
    """(N, 1, S, S) float32, normalised -> the maps of each stage, (N, C, H, W) float32.

    widths: the channels C of each stage.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = widths

    def forward(self, faces: Tensor) -> list[Tensor]:
        raise NotImplementedError

    def stage(self, number: int) -> nn.Module:
        """Return the module whose outputs are the maps of a stage; the first stage is 1."""
        return self.get_submodule(f"stages.{number - 1}")
