"""The application: its addresses, and what each of them answers."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mien._version import __version__
from mien.classify.session import cpu_count
from mien.detect.yunet import YuNet
from mien.errors import DataError, ExtraError, OutputError, plain
from mien.pipeline.predictor import Predictor
from mien.serve.batching import Answer
from mien.serve.docs_page import CONTENT_SECURITY_POLICY, docs_page
from mien.serve.guard import Guard
from mien.serve.limits import LargestFaces, Limits, refusal
from mien.serve.openapi import FILE, file_body, refusals
from mien.serve.pages import add_pages
from mien.serve.schemas import Health, Models, PictureAnswer, PredictAnswer
from mien.serve.service import Service
from mien.serve.video.jobs import RETRY_SECONDS
from mien.serve.video_routes import video_routes
from mien.types import Classifier, Detector

_DESCRIPTION = (
    "Reads the expressions of the faces in pictures and short clips. Pictures stay in memory until they are answered. "
    "A clip lies in a private folder until it is read."
)
_BODY = file_body(
    "picture",
    media="image/*",
    many=True,
    description="One picture as it is, or one or many as the files of a form, under any names.",
)
_LONGEST_WORD = 100  # characters of a word of a query that an answer repeats
_ANYWHERE = refusals(401, 403, 422, 429, 503)
_ANNOTATED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": FILE}}, "description": "The rows; or the drawn picture."}
}


def create_app(
    classifier: Classifier | str | Path | None = None,
    *,
    detector: Detector | None = None,
    limits: Limits | None = None,
    token: str = "",
    hosts: Collection[str] = (),
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
    hosts
        The names that the header Host of a request may have, such as `localhost`; none: any.
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
        async with service.running():
            yield

    app = FastAPI(
        title="mien",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        dependencies=[Depends(_require_known_query)],
        docs_url=None,  # FastAPI's pages load scripts from elsewhere; ours does not
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},  # nothing is sent
    )
    app.add_middleware(Guard, token=token, hosts=hosts, on_response=service.count_response)
    app.add_exception_handler(DataError, _unreadable)
    app.add_exception_handler(OutputError, _without_room)
    app.add_exception_handler(ExtraError, _not_installed)
    app.add_exception_handler(RequestValidationError, _wrong_query)
    _add_predict(app, service)
    app.include_router(video_routes(service))
    _add_the_rest(app, service)
    add_pages(app, web)
    return app


def _add_predict(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        response_model=PredictAnswer,
        responses={**refusals(400, 401, 403, 408, 413, 422, 429, 503), **_ANNOTATED},
        openapi_extra=_BODY,
        summary="Read the expressions of the faces in pictures",
    )
    async def predict(
        request: Request,
        draw: Annotated[
            bool, Query(description="Answer with the picture, as JPEG, with what was seen drawn in.")
        ] = False,
    ) -> Response | PredictAnswer:
        outcomes = await service.predict(request, annotate=draw)
        drawn = [outcome.annotated for _, outcome in outcomes if isinstance(outcome, Answer)]
        if draw:
            return Response(drawn[0], media_type="image/jpeg")
        return PredictAnswer(model=service.model.name, pictures=[PictureAnswer.of(*each) for each in outcomes])


def _add_the_rest(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", responses=_ANYWHERE, summary="Say which model answers")
    async def models() -> Models:
        return Models(models=[service.model])

    @app.get("/v1/limits", responses=_ANYWHERE, summary="Say what is refused")
    async def limits() -> Limits:
        return service.limits

    @app.get("/healthz", responses=refusals(403), summary="Say that the service answers")
    async def healthz() -> Health:
        return Health(version=__version__)

    @app.get(
        "/metrics",
        responses=refusals(401, 403, 429, 503),
        response_class=Response,
        summary="Give the counts of the service to Prometheus",
    )
    async def metrics() -> Response:
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()), headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})


async def _require_known_query(request: Request) -> None:
    """Refuse a word in the query that an address of the service does not know: it would change nothing, in silence."""
    if not request.url.path.startswith("/v1/"):
        return
    known = [each.alias for each in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            shown = " ".join(plain(name).split())[:_LONGEST_WORD]
            raise refusal(422, f"{shown}: is unknown; {_known(known)}")


def _known(names: list[str]) -> str:
    return f"the query may have: {', '.join(names)}" if names else "this address takes no query"


async def _without_room(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": str(RETRY_SECONDS)})


async def _not_installed(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)  # to try again is of no use


async def _unreadable(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 422)


async def _wrong_query(_request: Request, error: Exception) -> JSONResponse:
    wrong = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    name = wrong.get("loc", ("?",))[-1]
    return JSONResponse({"detail": f"{name}: {wrong.get('msg', 'wrong')}"}, 422)
