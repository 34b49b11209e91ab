"""The parts of the OpenAPI document that several addresses share: bodies and refusals."""

from typing import Any

from mien.serve.schemas import Refusal

FILE = {"type": "string", "format": "binary"}

_REASONS = {
    400: "The body is empty, or a damaged form.",
    401: "The token is missing or wrong.",
    403: "A page of another site let a browser send this, or Host names no host of this service.",
    404: "There is no such job: it was fetched, deleted or too old, or never was.",
    408: "The body came too slowly.",
    413: "Too many bytes, pictures, frames or seconds.",
    422: "No picture, or not the clip, can be read, or the query is wrong.",
    429: "This address has its share inside; try again after the seconds of Retry-After.",
    503: "The service is busy; try again after the seconds of Retry-After.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of refusals by their statuses, as FastAPI takes it."""
    return {status: {"model": Refusal, "description": _REASONS[status]} for status in statuses}


def file_body(name: str, *, media: str, many: bool, description: str) -> dict[str, Any]:
    """Return the description of a body that is a file as it is, or the files of a form.

    Parameters
    ----------
    name
        A name for a field of the form.
    media
        The media type of files that are sent as they are, such as `image/*`.
    many
        Whether the form may have many files.
    description
        A sentence for people.
    """
    field = {"type": "array", "items": FILE, "minItems": 1} if many else FILE
    form = {"type": "object", "properties": {name: field}, "required": [name]}
    content = {
        "application/octet-stream": {"schema": FILE},
        media: {"schema": FILE},
        "multipart/form-data": {"schema": form},
    }
    return {"requestBody": {"required": True, "description": description, "content": content}}
