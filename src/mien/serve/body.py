"""The body of a request: received under the limits, held in memory alone, and taken apart into files."""

import asyncio
from collections.abc import Callable

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import File, FormParser, parse_options_header
from starlette.requests import ClientDisconnect

from mien.errors import plain
from mien.serve.limits import Admission, refusal

_LONGEST_NAME = 255  # characters of the name of a file
_MOST_DIGITS = 18  # of a number of bytes that makes sense
_IN_MEMORY = {"MAX_MEMORY_FILE_SIZE": float("inf")}  # the parser would write larger files to disk


async def receive_body(request: Request, admission: Admission, *, seconds: float) -> bytes:
    """Return the body. Raises a refusal where it is too large, takes longer than these seconds, or breaks off."""
    claimed = request.headers.get("content-length", "")
    if claimed.isdecimal():
        admission.require_bytes(int(claimed[:_MOST_DIGITS]))
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                admission.add_bytes(len(chunk))
                body += chunk
    except TimeoutError as error:
        raise refusal(408, f"a request's body must come within {seconds:g} seconds") from error
    except ClientDisconnect as error:
        raise refusal(400, "the request broke off") from error
    return bytes(body)


def split_body(content_type: str, body: bytes, *, most: int, what: str = "picture") -> list[tuple[str, bytes]]:
    """Return the files of a body, each with its name: those of a form, or else the body itself.

    Parameters
    ----------
    content_type
        The header of that name.
    body
        All bytes.
    most
        Files; more of them are refused when they are met.
    what
        The word for a file in refusals, and the name of one that has none.

    Raises
    ------
    HTTPException
        Where the body is empty, or a form that is damaged or holds no file or too many.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        if not body:
            raise refusal(400, f"the body must be a {what}, or a form with one as a file; got nothing")
        return [(what, body)]
    boundary = options.get(b"boundary")
    if not boundary:
        raise refusal(400, "a form must name its boundary in the header Content-Type")
    files: list[tuple[str, bytes]] = []

    def add(file: File) -> None:
        if len(files) == most:
            raise refusal(413, f"a request must have at most {most} {what}{'' if most == 1 else 's'}")
        file.file_object.seek(0)
        files.append((_readable(file.file_name) or what, file.file_object.read()))

    _parse(body, boundary, add)
    if not files:
        raise refusal(400, f"the form must hold a {what} as a file, such as curl -F {what}=@FILE; got none")
    return files


def _parse(body: bytes, boundary: bytes, on_file: Callable[[File], None]) -> None:
    """Parse a form and hand over its files; its other fields are passed over."""
    ended: list[bool] = []
    try:
        parser = FormParser(
            "multipart/form-data",
            lambda _field: None,
            on_file,
            lambda: ended.append(True),
            boundary=boundary,
            config=_IN_MEMORY,
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise refusal(400, "the form is damaged") from error
    if not ended:
        raise refusal(400, "the form is cut short")


def _readable(name: bytes | None) -> str:
    """Return the name of a file as text that is safe to show. It names rows, and no file is ever opened by it."""
    text = plain((name or b"").decode("utf-8", "replace"))[:_LONGEST_NAME]
    return " ".join(text.split())
