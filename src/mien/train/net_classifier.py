"""A run's net as a classifier: without a model file, and with the gradients that a model file does not have."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.labels import EXPRESSIONS
from mien.train.grad_cam import grad_cam
from mien.train.inputs.augment import resize
from mien.train.nets import FaceNet
from mien.train.run.trained_net import WhichEpoch, load_trained_net
from mien.types import FACE_SIDE, Scores, batches

_BATCH = 256


class NetClassifier:
    """A torch net as a classifier.

    Its confidence is the net's own: `mien export` may calibrate the model file of the same run.

    Parameters
    ----------
    net
        The net; it is put into evaluation mode.
    side
        The side in pixels that it takes faces at.
    class_names
        The classes, in the order of its outputs.
    name
        The name in reports.
    """

    def __init__(
        self, net: FaceNet, *, side: int = FACE_SIDE, class_names: Sequence[str] = EXPRESSIONS, name: str = "net"
    ) -> None:
        self.net, self.side, self.class_names, self.name = net.eval(), side, tuple(class_names), name

    def __repr__(self) -> str:
        return f"<NetClassifier {self.name}: {', '.join(self.class_names)}>"

    @classmethod
    def load(cls, run: Path | str, *, epoch: WhichEpoch = "best", threads: int = 0) -> "NetClassifier":
        """Load the net of a run's folder.

        threads: of torch, in this whole process; 0: as many as torch takes. Raises RunError where the folder holds no
        finished epoch, or a damaged one.
        """
        if threads:
            torch.set_num_threads(threads)
        folder = Path(run)
        trained = load_trained_net(folder, epoch=epoch)
        names = trained.saved.facts.class_names
        return cls(trained.net, side=trained.side, class_names=names, name=folder.resolve().name)

    @torch.no_grad()
    def __call__(self, images: NDArray[np.uint8]) -> Scores:
        """(N, 48, 48) uint8 -> Scores."""
        device = next(self.net.parameters()).device
        parts = [np.zeros((0, len(self.class_names)), np.float32)]
        for rows in batches(len(images), _BATCH):
            faces = resize(torch.tensor(images[rows]), side=self.side).to(device)
            parts.append(torch.softmax(self.net(faces), dim=1).cpu().numpy())
        return Scores(np.concatenate(parts), self.class_names)

    def grad_cam(self, face: NDArray[np.uint8], target: int) -> NDArray[np.float64]:
        """Map what speaks for a class on a face, (48, 48) uint8, by Grad-CAM: (48, 48) float64."""
        return grad_cam(self.net, face, target, side=self.side)
