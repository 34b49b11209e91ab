"""The addresses for clips: one takes a clip in, and one tells how its job stands."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from mien.serve.openapi import file_body, refusals
from mien.serve.schemas import JobAnswer
from mien.serve.service import Service

_POLL_SECONDS = 1  # what a client is asked to wait before it asks for a job again
_BODY = file_body("clip", media="video/*", many=False, description="One clip as it is, or as the file of a form.")
_WAIT = {"Retry-After": str(_POLL_SECONDS), "Content-Type": "application/json"}

_Identifier = Annotated[str, Path(description="The `id` of the job.")]


def video_routes(service: Service) -> APIRouter:
    """Return the addresses for clips."""
    routes = APIRouter()

    @routes.post(
        "/v1/video",
        status_code=202,
        response_model=JobAnswer,
        responses=refusals(400, 401, 403, 408, 413, 422, 429, 503),
        openapi_extra=_BODY,
        summary="Take a clip in, to read the faces of all its frames",
    )
    async def video(request: Request) -> Response:
        job = await service.add_clip(request)
        answer = job.answer()
        return JSONResponse(answer.model_dump(), 202, {"Location": answer.url, "Retry-After": str(_POLL_SECONDS)})

    @routes.get(
        "/v1/jobs/{identifier}",
        response_model=JobAnswer,
        responses=refusals(401, 403, 404, 422, 429, 503),
        summary="Say how a job stands; fetch its answer once it has ended, and delete it with that",
    )
    async def job(identifier: _Identifier) -> Response:
        found = service.jobs.find(identifier)
        if found.ended:
            return Response(await service.jobs.take(found), media_type="application/json")
        return Response(found.answer().model_dump_json(), headers=_WAIT)

    @routes.delete(
        "/v1/jobs/{identifier}",
        status_code=204,
        responses=refusals(401, 403, 404, 422, 429, 503),
        summary="Cancel a job, and delete what there is of it",
    )
    async def cancel(identifier: _Identifier) -> None:
        service.jobs.cancel(service.jobs.find(identifier))

    return routes
