"""mien: facial expression recognition. The public names; importing this does nothing else, and loads nothing heavy."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.data.audit import audit as audit
    from mien.data.clean import clean as clean
    from mien.data.csvs import read_fer2013 as read_fer2013
    from mien.data.export import write_fer2013 as write_fer2013
    from mien.data.export import write_flat as write_flat
    from mien.data.export import write_folder as write_folder
    from mien.data.findings import Audit as Audit
    from mien.data.findings import Finding as Finding
    from mien.data.folders import read_flat as read_flat
    from mien.data.folders import read_folder as read_folder
    from mien.data.parquet import write_parquet as write_parquet
    from mien.data.split import split_random as split_random
    from mien.data.store import load_faces as load_faces
    from mien.data.store import save_faces as save_faces
    from mien.data.tables import read_parquet as read_parquet
    from mien.data.votes import add_votes as add_votes
    from mien.errors import DataError as DataError
    from mien.errors import ExtraError as ExtraError
    from mien.errors import MienError as MienError
    from mien.errors import ModelError as ModelError
    from mien.errors import OutputError as OutputError
    from mien.errors import RecipeError as RecipeError
    from mien.errors import RunError as RunError
    from mien.evaluation.bench import Speed as Speed
    from mien.evaluation.bench import bench as bench
    from mien.evaluation.report import Report as Report
    from mien.evaluation.report import evaluate as evaluate
    from mien.infer.classifier import OnnxClassifier as OnnxClassifier
    from mien.infer.classifier import load as load
    from mien.infer.classifier import models as models
    from mien.infer.compose import Ensemble as Ensemble
    from mien.infer.compose import FiveCrop as FiveCrop
    from mien.infer.compose import Mirrored as Mirrored
    from mien.infer.draw import draw as draw
    from mien.infer.predictor import Predictor as Predictor
    from mien.infer.summary import Summary as Summary
    from mien.infer.timeline import Timeline as Timeline
    from mien.labels import EXPRESSIONS as EXPRESSIONS
    from mien.pixels import read_picture as read_picture
    from mien.types import Classifier as Classifier
    from mien.types import Detections as Detections
    from mien.types import Detector as Detector
    from mien.types import FaceSet as FaceSet
    from mien.types import ModelCard as ModelCard
    from mien.types import Prediction as Prediction
    from mien.types import Scores as Scores

# Where each public name lives; it is loaded when it is first asked for.
_HOME: dict[str, str] = {
    "audit": "data.audit",
    "clean": "data.clean",
    "read_fer2013": "data.csvs",
    "write_fer2013": "data.export",
    "write_flat": "data.export",
    "write_folder": "data.export",
    "read_flat": "data.folders",
    "read_folder": "data.folders",
    "write_parquet": "data.parquet",
    "split_random": "data.split",
    "Audit": "data.findings",
    "Finding": "data.findings",
    "load_faces": "data.store",
    "save_faces": "data.store",
    "read_parquet": "data.tables",
    "add_votes": "data.votes",
    "EXPRESSIONS": "labels",
    "DataError": "errors",
    "ExtraError": "errors",
    "MienError": "errors",
    "ModelError": "errors",
    "OutputError": "errors",
    "RecipeError": "errors",
    "RunError": "errors",
    "Speed": "evaluation.bench",
    "bench": "evaluation.bench",
    "Report": "evaluation.report",
    "evaluate": "evaluation.report",
    "OnnxClassifier": "infer.classifier",
    "load": "infer.classifier",
    "models": "infer.classifier",
    "Ensemble": "infer.compose",
    "FiveCrop": "infer.compose",
    "Mirrored": "infer.compose",
    "draw": "infer.draw",
    "Predictor": "infer.predictor",
    "Summary": "infer.summary",
    "Timeline": "infer.timeline",
    "read_picture": "pixels",
    "Classifier": "types",
    "Detections": "types",
    "Detector": "types",
    "FaceSet": "types",
    "ModelCard": "types",
    "Prediction": "types",
    "Scores": "types",
}

__version__ = "0.1.0"
__all__ = sorted([*_HOME, "__version__"])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(import_module(f"mien.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
