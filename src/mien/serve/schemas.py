"""The answers of the service, as its OpenAPI document describes them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from mien.classify.ensemble import classifier_name
from mien.classify.onnx import OnnxClassifier
from mien.errors import DataError
from mien.io.row_writers import round_row
from mien.pipeline.predictor import Predictor
from mien.serve.batching import Answer


class PictureAnswer(BaseModel):
    """A picture: its name, its size in pixels, and a row for each face, the largest first.

    A row has the columns of `mien predict`: source, face, left, top, right, bottom, detection, quality, expression,
    confidence, and a probability for each class. A picture that cannot be read has no size, no rows, and an error.
    """

    source: str = Field(examples=["photo.jpg"])
    width: int | None
    height: int | None
    rows: list[dict[str, str | int | float]]
    error: Annotated[str | None, Field(description="Why the picture cannot be read, in one line.")] = None

    @staticmethod
    def of(source: str, outcome: Answer | DataError) -> "PictureAnswer":
        """Return the answer for a picture, or why it cannot be read, in the form in which it is sent."""
        if isinstance(outcome, DataError):
            return PictureAnswer(source=source, width=None, height=None, rows=[], error=str(outcome))
        rows = [round_row(row) for row in outcome.prediction.rows()]
        return PictureAnswer(source=source, width=outcome.width, height=outcome.height, rows=rows)


class PredictAnswer(BaseModel):
    """The answers for the pictures of a request, in their order. At least one of them was read."""

    model: str = Field(examples=["swift"])
    pictures: list[PictureAnswer]


class JobAnswer(BaseModel):
    """A job: a clip that waits to be read (queued), is read (running), was read (done), or cannot be read (failed).

    A row has the columns of `mien predict` for videos: those of a picture's rows, and seconds and track, which is the
    number of a face over time. There is one for each face of each frame, in the order of time.
    """

    id: Annotated[str, Field(description="Whoever knows it may fetch or delete the job. Nobody can guess it.")]
    state: Literal["queued", "running", "done", "failed"]
    url: Annotated[str, Field(description="The address to ask for the job.", examples=["/v1/jobs/3q2-7w"])]
    model: Annotated[str, Field(examples=["swift"])]
    source: Annotated[str, Field(examples=["clip.mp4"])]
    progress: Annotated[float, Field(description="The share of the work that is done, 0 to 1; 0 where unknown.")] = 0.0
    frames: Annotated[int, Field(description="Frames that were read.")] = 0
    expected: Annotated[int | None, Field(description="About how many there are, where the clip says that.")] = None
    seconds: Annotated[float, Field(description="The time of the last frame that was read, from the start.")] = 0.0
    rows: Annotated[list[dict[str, str | int | float]] | None, Field(description="Once the job is done.")] = None
    warning: Annotated[str | None, Field(description="Once it is done: what of the clip could not be read.")] = None
    error: Annotated[str | None, Field(description="Why the job failed, in one line.")] = None


class Model(BaseModel):
    """A model that the service answers with; scores: what its card says it reached, by measure."""

    name: str
    class_names: list[str]
    parameters: int | None = None
    hash: str | None = None
    scores: dict[str, float] = {}

    @staticmethod
    def of(predictor: Predictor) -> "Model":
        """Return what is known of the predictor's classifier. Only a model file has a card and a hash."""
        classifier = predictor.classifier
        model = Model(name=classifier_name(classifier), class_names=list(predictor.class_names))
        if isinstance(classifier, OnnxClassifier):
            model.hash, model.parameters = classifier.hash, classifier.card.parameters
            model.scores = dict(classifier.card.scores)
        return model


class Models(BaseModel):
    """The models that the service answers with."""

    models: list[Model]


class Health(BaseModel):
    """Says that the service answers."""

    status: str = "ok"
    version: str


class Refusal(BaseModel):
    """Why a request was refused, in one line."""

    detail: str
