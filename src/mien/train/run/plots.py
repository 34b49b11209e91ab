"""The epochs of a run, for people: metrics.csv, curve.png, and TensorBoard's scalars where it is installed."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.io.atomic_write import atomic_write, write_text
from mien.train.run.checkpoint import Epoch


class RunPlots:
    """What a run shows of itself in its folder; each `draw` says the same of the same epochs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._board: Any = None

    def draw(self, epochs: Sequence[Epoch]) -> None:
        """Write the files anew, and what is new to TensorBoard. Raises OutputError."""
        text = io.StringIO()
        rows = csv.DictWriter(text, [field.name for field in dataclasses.fields(Epoch)], lineterminator="\n")
        rows.writeheader()
        rows.writerows(dataclasses.asdict(epoch) for epoch in epochs)
        write_text(self.folder / "metrics.csv", text.getvalue())
        _draw_curve(self.folder / "curve.png", epochs)
        self._tell_board(epochs)

    def _tell_board(self, epochs: Sequence[Epoch]) -> None:
        new = epochs[-1:]
        if self._board is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self._board = SummaryWriter(str(self.folder), purge_step=1)
            new = epochs
        for epoch in new:
            for name, value in dataclasses.asdict(epoch).items():
                if name != "number":
                    self._board.add_scalar(name, value, epoch.number)
        self._board.flush()


def _draw_curve(path: Path, epochs: Sequence[Epoch]) -> None:
    from matplotlib.figure import Figure

    numbers = [epoch.number for epoch in epochs]
    figure = Figure(figsize=(8, 4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(numbers, [epoch.train_loss for epoch in epochs], label="train")
    loss.plot(numbers, [epoch.valid_loss for epoch in epochs], label="valid")
    loss.set(xlabel="epoch", ylabel="loss, nats")
    loss.legend(frameon=False)
    accuracy.plot(numbers, [epoch.valid_accuracy for epoch in epochs], color="tab:orange")
    accuracy.set(xlabel="epoch", ylabel="accuracy on valid")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=120)
