"""mien: facial expression recognition. The public names; importing this does nothing else, and loads nothing heavy."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mien._version import __version__ as __version__

if TYPE_CHECKING:
    from mien.classify.card import ModelCard as ModelCard
    from mien.classify.ensemble import Ensemble as Ensemble
    from mien.classify.onnx import OnnxClassifier as OnnxClassifier
    from mien.classify.onnx import load as load
    from mien.classify.onnx import models as models
    from mien.classify.tta import FiveCrop as FiveCrop
    from mien.classify.tta import Mirrored as Mirrored
    from mien.classify.tta import TenCrop as TenCrop
    from mien.classify.tta import with_tta as with_tta
    from mien.data.audit.clean import clean as clean
    from mien.data.audit.findings import Audit as Audit
    from mien.data.audit.findings import Finding as Finding
    from mien.data.audit.run import audit as audit
    from mien.data.formats.fer2013_csv import read_fer2013 as read_fer2013
    from mien.data.formats.fer2013_csv import write_fer2013 as write_fer2013
    from mien.data.formats.ferplus import add_votes as add_votes
    from mien.data.formats.image_folder import read_flat as read_flat
    from mien.data.formats.image_folder import read_folder as read_folder
    from mien.data.formats.image_folder import write_flat as write_flat
    from mien.data.formats.image_folder import write_folder as write_folder
    from mien.data.formats.npz import load_faces as load_faces
    from mien.data.formats.npz import save_faces as save_faces
    from mien.data.formats.parquet import read_parquet as read_parquet
    from mien.data.formats.parquet import write_parquet as write_parquet
    from mien.data.splits import split_random as split_random
    from mien.errors import DataError as DataError
    from mien.errors import ExtraError as ExtraError
    from mien.errors import MienError as MienError
    from mien.errors import ModelError as ModelError
    from mien.errors import OutputError as OutputError
    from mien.errors import RecipeError as RecipeError
    from mien.errors import RunError as RunError
    from mien.evaluation.evaluate import evaluate as evaluate
    from mien.evaluation.latency import Speed as Speed
    from mien.evaluation.latency import bench as bench
    from mien.evaluation.report import Report as Report
    from mien.io.image import read_picture as read_picture
    from mien.labels import EXPRESSIONS as EXPRESSIONS
    from mien.pipeline.predictor import Predictor as Predictor
    from mien.pipeline.predictor import predict as predict
    from mien.types import Classifier as Classifier
    from mien.types import Detections as Detections
    from mien.types import Detector as Detector
    from mien.types import FaceSet as FaceSet
    from mien.types import Prediction as Prediction
    from mien.types import Scores as Scores
    from mien.types import columns as columns
    from mien.visualize.annotate import draw as draw
    from mien.visualize.summary import Summary as Summary
    from mien.visualize.timeline import Timeline as Timeline

# Where each public name lives; it is loaded when it is first asked for.
_HOME: dict[str, str] = {
    "audit": "data.audit.run",
    "clean": "data.audit.clean",
    "read_fer2013": "data.formats.fer2013_csv",
    "write_fer2013": "data.formats.fer2013_csv",
    "write_flat": "data.formats.image_folder",
    "write_folder": "data.formats.image_folder",
    "read_flat": "data.formats.image_folder",
    "read_folder": "data.formats.image_folder",
    "write_parquet": "data.formats.parquet",
    "split_random": "data.splits",
    "Audit": "data.audit.findings",
    "Finding": "data.audit.findings",
    "load_faces": "data.formats.npz",
    "save_faces": "data.formats.npz",
    "read_parquet": "data.formats.parquet",
    "add_votes": "data.formats.ferplus",
    "EXPRESSIONS": "labels",
    "DataError": "errors",
    "ExtraError": "errors",
    "MienError": "errors",
    "ModelError": "errors",
    "OutputError": "errors",
    "RecipeError": "errors",
    "RunError": "errors",
    "Speed": "evaluation.latency",
    "bench": "evaluation.latency",
    "Report": "evaluation.report",
    "evaluate": "evaluation.evaluate",
    "OnnxClassifier": "classify.onnx",
    "load": "classify.onnx",
    "models": "classify.onnx",
    "Ensemble": "classify.ensemble",
    "FiveCrop": "classify.tta",
    "Mirrored": "classify.tta",
    "TenCrop": "classify.tta",
    "with_tta": "classify.tta",
    "draw": "visualize.annotate",
    "Predictor": "pipeline.predictor",
    "predict": "pipeline.predictor",
    "Summary": "visualize.summary",
    "Timeline": "visualize.timeline",
    "read_picture": "io.image",
    "Classifier": "types",
    "Detections": "types",
    "Detector": "types",
    "FaceSet": "types",
    "ModelCard": "classify.card",
    "Prediction": "types",
    "Scores": "types",
    "columns": "types",
}

__all__ = sorted([*_HOME, "__version__"])  # noqa: PLE0605  # a list, but not a literal one


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(import_module(f"mien.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
