"""Training, the one part of mien that needs torch (the extra `train`). A public name is loaded when it is asked for."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mien.errors import ExtraError

if find_spec("torch") is None or find_spec("lightning_fabric") is None:
    raise ExtraError("mien.train", extra="train")

if TYPE_CHECKING:
    from mien.train.net_classifier import NetClassifier
    from mien.train.onnx_export.ensemble import join
    from mien.train.onnx_export.export import export
    from mien.train.onnx_export.int8 import export_int8
    from mien.train.onnx_export.recalibrate import recalibrate
    from mien.train.recipe import Recipe
    from mien.train.recipe_toml import load_recipe
    from mien.train.run.bench import TrainingPace, bench
    from mien.train.run.checkpoint import Epoch
    from mien.train.run.hardware import Hardware
    from mien.train.run.trainer import Run, train
    from mien.train.studies.cross_validation import fold_runs, held_out_scores
    from mien.train.studies.study import Candidate, load_candidate, study
    from mien.train.studies.trials import Trial

# Where each public name lives. What needs torch takes seconds to import, and reading a recipe does not need it.
_HOME: dict[str, str] = {
    "Candidate": "studies.study",
    "Epoch": "run.checkpoint",
    "Hardware": "run.hardware",
    "NetClassifier": "net_classifier",
    "Recipe": "recipe",
    "Run": "run.trainer",
    "TrainingPace": "run.bench",
    "Trial": "studies.trials",
    "bench": "run.bench",
    "export": "onnx_export.export",
    "export_int8": "onnx_export.int8",
    "fold_runs": "studies.cross_validation",
    "held_out_scores": "studies.cross_validation",
    "join": "onnx_export.ensemble",
    "load_candidate": "studies.study",
    "load_recipe": "recipe_toml",
    "recalibrate": "onnx_export.recalibrate",
    "study": "studies.study",
    "train": "run.trainer",
}

__all__ = [
    "Candidate",
    "Epoch",
    "Hardware",
    "NetClassifier",
    "Recipe",
    "Run",
    "TrainingPace",
    "Trial",
    "bench",
    "export",
    "export_int8",
    "fold_runs",
    "held_out_scores",
    "join",
    "load_candidate",
    "load_recipe",
    "recalibrate",
    "study",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mien.train' has no attribute {name!r}")
    return getattr(import_module(f"mien.train.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
