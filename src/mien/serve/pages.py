"""The pages for people: `/`, where the service reads the pictures, and `/local/`, where the browser does.

Both are built from the TypeScript in `web/`. The first ships in `static/`. The second holds ONNX Runtime and two
models, and is offered where it was built.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from mien.errors import MienError

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "json": "application/json",
    "wasm": "application/wasm",
    "onnx": "application/octet-stream",
}
_BUILT = Path(__file__).parents[3] / "web" / "dist"  # in a checkout
_UNBUILT = "This page was not built here. In a checkout of mien, run `make web`; then start `mien serve` again."

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_LOCAL_POLICY = _POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'")


def find_local_page(folder: Path | None = None) -> Path | None:
    """Return the folder of the built page that uploads nothing, or None where it was not built.

    folder: where it is; None: where a checkout has it. Raises MienError where a given folder holds no such page.
    """
    if folder is None:
        return _BUILT if (_BUILT / "index.html").is_file() else None
    if not (folder / "index.html").is_file():
        raise MienError(f"{folder} must hold the page that `make web` builds, but has no index.html")
    return folder


def add_pages(app: FastAPI, local: Path | None = None) -> None:
    """Add the pages to an application; local: the folder of the one that uploads nothing, where it was built."""
    static = files("mien.serve") / "static"
    for path, name in (("/", "index.html"), ("/page.js", "page.js"), ("/page.css", "page.css")):
        _add_file(app, path, (static / name).read_bytes(), name)

    @app.get("/local", include_in_schema=False)
    async def go_local() -> Response:
        return PlainTextResponse(_UNBUILT, 404) if local is None else RedirectResponse("local/")

    if local is not None:
        app.mount("/local/", _Folder(directory=local, html=True))


class _Folder(StaticFiles):
    """The files of a folder, with the headers that the page needs."""

    def file_response(self, full_path: Any, *arguments: Any, **more: Any) -> Response:
        """Answer with a file, or that it has not changed."""
        response = super().file_response(full_path, *arguments, **more)
        kind = _TYPES.get(Path(full_path).suffix[1:])
        if kind and response.status_code == 200:
            response.headers["Content-Type"] = kind  # the system may hold that .js is something else
        response.headers["Cache-Control"] = "no-cache"  # kept, but asked for each time whether it has changed
        response.headers["Content-Security-Policy"] = _LOCAL_POLICY
        return response


def _add_file(app: FastAPI, path: str, content: bytes, name: str) -> None:
    headers = {"Content-Security-Policy": _POLICY, "Content-Type": _TYPES[name.rpartition(".")[2]]}

    @app.get(path, include_in_schema=False)
    async def answer() -> Response:
        return Response(content, headers=headers)
