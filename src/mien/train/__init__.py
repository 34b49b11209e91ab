"""Training, the one part of mien that needs torch (the extra `train`)."""

from mien.errors import ExtraError

try:
    import lightning_fabric as _fabric  # noqa: F401
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ExtraError("mien.train", extra="train") from error

from mien.train.onnx_export.ensemble import join
from mien.train.onnx_export.export import export
from mien.train.recipe import Recipe
from mien.train.recipe_toml import load_recipe
from mien.train.run.checkpoint import Epoch
from mien.train.run.trainer import Run, train
from mien.train.studies.cross_validation import fold_runs, held_out_scores
from mien.train.studies.study import Candidate, load_candidate, study
from mien.train.studies.trials import Trial

__all__ = [
    "Candidate",
    "Epoch",
    "Recipe",
    "Run",
    "Trial",
    "export",
    "fold_runs",
    "held_out_scores",
    "join",
    "load_candidate",
    "load_recipe",
    "study",
    "train",
]
