"""The values that travel between mien's parts: frozen, and checked once, when they are made.

Arrays are held as read-only views of what was given, uncopied where they fit, so nothing changes a value through it;
whoever made the arrays should leave them alone, too.
"""

from mien.types.detections import Detections
from mien.types.face_set import FACE_SIDE, FaceSet, require_class_names, require_faces
from mien.types.prediction import COLUMNS, Prediction, Preview, columns
from mien.types.protocols import Classifier, Detector, Progress, batches
from mien.types.scores import Scores

__all__ = [
    "COLUMNS",
    "FACE_SIDE",
    "Classifier",
    "Detections",
    "Detector",
    "FaceSet",
    "Prediction",
    "Preview",
    "Progress",
    "Scores",
    "batches",
    "columns",
    "require_class_names",
    "require_faces",
]
