"""Grad-CAM: a map of the areas of a face that speak for a class, from a net's gradients (Selvaraju et al., 2017)."""

from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mien.errors import ExtraError
from mien.train.inputs.augment import resize
from mien.train.nets import FaceNet
from mien.types import FACE_SIDE
from mien.visualize.figure import ignored_mplbackend

if find_spec("captum") is None:
    raise ExtraError("Grad-CAM", extra="train")

with ignored_mplbackend():  # captum imports pyplot
    from captum.attr import LayerGradCam

_SMALLEST_MAP = 3  # pixels: the maps of a later stage are too coarse to point at anything


def grad_cam(net: FaceNet, face: NDArray[np.uint8], target: int, *, side: int) -> NDArray[np.float64]:
    """Weigh the maps of a net's stage by their mean gradients of the class's logit, and add them up.

    The stage is the last one whose maps are 3x3 pixels or larger. The sum keeps its sign; the paper drops what is
    negative.

    Parameters
    ----------
    net
        In evaluation mode.
    face
        (48, 48) uint8.
    target
        The class, as a column of the net's answers.
    side
        The side in pixels that the net takes faces at.

    Returns
    -------
    NDArray[np.float64]
        (48, 48), interpolated from the maps' size.
    """
    device = next(net.parameters()).device
    shown = resize(torch.tensor(face[None]), side=side).to(device).requires_grad_(True)  # the weights may be frozen
    layer = net.backbone.stage(_stage_of(net, shown))
    coarse: Tensor = LayerGradCam(net, layer).attribute(shown, target)
    fine = functional.interpolate(coarse.detach(), size=(FACE_SIDE, FACE_SIDE), mode="bilinear", align_corners=False)
    found: NDArray[np.float64] = fine[0, 0].double().cpu().numpy()
    return found


@torch.no_grad()
def _stage_of(net: FaceNet, shown: Tensor) -> int:
    """Return the number of the last stage whose maps are large enough; 1 is the first."""
    maps = net.backbone(net.normalise(shown))
    large = [number for number, each in enumerate(maps, start=1) if min(each.shape[-2:]) >= _SMALLEST_MAP]
    return large[-1] if large else 1
