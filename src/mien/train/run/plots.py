"""The epochs of a run, for people: metrics.csv, curve.png, and TensorBoard's scalars where it is installed."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.io.atomic_write import atomic_write, write_text
from mien.io.row_writers import csv_text
from mien.train.run.checkpoint import Epoch
from mien.visualize.figure import figure_png, ignored_mplbackend, make_figure


class RunPlots:
    """The files of a run's folder that show its epochs. What `write` makes depends on the epochs alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tensorboard: Any = None

    def write(self, epochs: Sequence[Epoch]) -> None:
        """Write the table and the curve anew, and give TensorBoard what is new. Raises OutputError."""
        columns = [field.name for field in dataclasses.fields(Epoch)]
        write_text(self.path / "metrics.csv", csv_text(columns, map(dataclasses.asdict, epochs)))
        plot_curve(self.path / "curve.png", epochs)
        self._write_tensorboard(epochs)

    def _write_tensorboard(self, epochs: Sequence[Epoch]) -> None:
        new = epochs[-1:]
        if self._tensorboard is None:
            try:
                with ignored_mplbackend():
                    from torch.utils.tensorboard import SummaryWriter  # an optional package, which takes seconds
            except ImportError:
                return
            self._tensorboard = SummaryWriter(str(self.path), purge_step=1)
            new = epochs
        for epoch in new:
            for name, value in dataclasses.asdict(epoch).items():
                if name != "number":
                    self._tensorboard.add_scalar(name, value, epoch.number)
        self._tensorboard.flush()


def plot_curve(path: Path, epochs: Sequence[Epoch]) -> None:
    """Draw losses and accuracy by epoch into a PNG file. Raises OutputError."""
    numbers = [epoch.number for epoch in epochs]
    figure = make_figure(figsize=(8, 4), layout="constrained")
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
        file.write(figure_png(figure))
