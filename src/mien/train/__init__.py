"""Training, the one part of mien that needs torch (the extra `train`)."""

from mien.errors import ExtraError

try:
    import lightning_fabric as _fabric  # noqa: F401
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ExtraError("mien.train", extra="train") from error

from mien.train.cells import Cell
from mien.train.export import export
from mien.train.folds import fold_runs, held_out_scores
from mien.train.join import join
from mien.train.recipe import Recipe
from mien.train.run import Epoch
from mien.train.spelling import load_recipe
from mien.train.study import Candidate, load_candidate, study
from mien.train.trainer import Run, train

__all__ = [
    "Candidate",
    "Cell",
    "Epoch",
    "Recipe",
    "Run",
    "export",
    "fold_runs",
    "held_out_scores",
    "join",
    "load_candidate",
    "load_recipe",
    "study",
    "train",
]
