"""The application: its addresses, and what each of them answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mien._version import __version__
from mien.classify.session import cpu_count
from mien.detect.yunet import YuNet
from mien.errors import DataError
from mien.pipeline.predictor import Predictor
from mien.serve.batching import Answer, Batcher, Job
from mien.serve.body import receive_body, split_body
from mien.serve.docs_page import CONTENT_SECURITY_POLICY, docs_page
from mien.serve.guard import Guard
from mien.serve.limits import Admission, Gate, LargestFaces, Limits, refusal
from mien.serve.metrics import Metrics
from mien.serve.pages import add_pages
from mien.serve.schemas import Health, Model, Models, PictureAnswer, PredictAnswer, Refusal
from mien.types import Classifier, Detector

_DESCRIPTION = "Reads the expressions of the faces in pictures. Nothing that is sent here is kept or written to disk."
_PICTURE = {"type": "string", "format": "binary"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One picture as it is, or one or many as the files of a form, under any names.",
        "content": {
            "application/octet-stream": {"schema": _PICTURE},
            "image/*": {"schema": _PICTURE},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"picture": {"type": "array", "items": _PICTURE}}}
            },
        },
    }
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "The body is empty, or a damaged form."},
    401: {"model": Refusal, "description": "The token is missing or wrong."},
    408: {"model": Refusal, "description": "The body came too slowly."},
    413: {"model": Refusal, "description": "Too many bytes or pictures."},
    422: {"model": Refusal, "description": "A picture cannot be read, or the query is wrong."},
    503: {"model": Refusal, "description": "The service is busy; try again after the seconds of Retry-After."},
}
_ANNOTATED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": _PICTURE}}, "description": "The rows; or the drawn picture."}
}


class Service:
    """The parts that the addresses of one application share."""

    def __init__(self, predictor: Predictor, limits: Limits, workers: int) -> None:
        self.limits = limits
        self.gate = Gate(limits)
        self.metrics = Metrics(self.gate)
        self.model = Model.of(predictor)
        self.batcher = Batcher(predictor, limits, workers=workers, on_batch=self.metrics.batch.observe)

    async def predict(self, request: Request, *, annotate: bool) -> list[Answer]:
        """Read the pictures of a request. Raises HTTPException and MienError."""
        with self.metrics.seconds.time(), self.gate.enter() as admission:
            files = await self._receive(request, admission)
            if annotate and len(files) != 1:
                raise refusal(422, f"draw=1 takes one picture a request, got {len(files)}")
            admission.add_pictures(len(files))
            answers = await self.batcher.read([Job(content, source, annotate) for source, content in files])
        self.metrics.pictures.inc(len(answers))
        self.metrics.faces.inc(sum(len(answer.prediction.faces) for answer in answers))
        return answers

    async def _receive(self, request: Request, admission: Admission) -> list[tuple[str, bytes]]:
        """Return the names and contents of the pictures; the body as a whole is not kept."""
        body = await receive_body(request, admission, self.limits)
        content_type = request.headers.get("content-type", "")
        return await asyncio.to_thread(split_body, content_type, body, most=self.limits.pictures)

    def count_response(self, status: int) -> None:
        """Count a response."""
        self.metrics.responses.labels(str(status)).inc()


def create_app(
    classifier: Classifier | str | Path | None = None,
    *,
    detector: Detector | None = None,
    limits: Limits | None = None,
    token: str = "",
    workers: int = 0,
    web: Path | None = None,
) -> FastAPI:
    """Make the application, which any ASGI server runs.

    Parameters
    ----------
    classifier, detector
        As those of `Predictor`; None: the model and the detector that ship.
    limits
        What is refused; None: as `Limits` says.
    token
        The shared secret that requests must give; empty: none.
    workers
        Threads that read pictures; 0: as many as there are CPUs for this process.
    web
        The folder of the page that uploads nothing, as `make web` builds it; None: it is not offered.
    """
    limits = limits or Limits()
    predictor = Predictor(classifier, detector=LargestFaces(detector or YuNet(), limits.faces))
    service = Service(predictor, limits, workers or cpu_count())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with service.batcher:
            yield

    app = FastAPI(
        title="mien",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere; ours does not
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},  # nothing is sent
    )
    app.add_middleware(Guard, token=token, on_response=service.count_response)
    app.add_exception_handler(DataError, _unreadable)
    app.add_exception_handler(RequestValidationError, _wrong_query)
    _add_predict(app, service)
    _add_the_rest(app, service)
    add_pages(app, web)
    return app


def _add_predict(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        response_model=PredictAnswer,
        responses={**_REFUSALS, **_ANNOTATED},
        openapi_extra=_BODY,
        summary="Read the expressions of the faces in pictures",
    )
    async def predict(
        request: Request,
        draw: Annotated[
            bool, Query(description="Answer with the picture, as JPEG, with what was seen drawn in.")
        ] = False,
    ) -> Response | PredictAnswer:
        answers = await service.predict(request, annotate=draw)
        if draw:
            return Response(answers[0].annotated, media_type="image/jpeg")
        return PredictAnswer(model=service.model.name, pictures=[PictureAnswer.of(answer) for answer in answers])


def _add_the_rest(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", summary="Say which model answers")
    async def models() -> Models:
        return Models(models=[service.model])

    @app.get("/v1/limits", summary="Say what is refused")
    async def limits() -> Limits:
        return service.limits

    @app.get("/healthz", summary="Say that the service answers")
    async def healthz() -> Health:
        return Health(version=__version__)

    @app.get("/metrics", response_class=Response, summary="Give the counts of the service to Prometheus")
    async def metrics() -> Response:
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()), headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})


async def _unreadable(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 422)


async def _wrong_query(_request: Request, error: Exception) -> JSONResponse:
    wrong = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    name = wrong.get("loc", ("?",))[-1]
    return JSONResponse({"detail": f"{name}: {wrong.get('msg', 'wrong')}"}, 422)
