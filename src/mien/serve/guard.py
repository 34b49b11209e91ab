"""Middleware for every request: it keeps out strangers, adds headers that protect browsers, and counts responses."""

import hmac
from collections.abc import Callable, Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.errors import plain
from mien.serve.limits import RETRY_SECONDS

# Paths that need no token: the pages hold no secret, and ask for the token themselves.
OPEN = ("/healthz", "/", "/page.css", "/page.js", "/local")
_OPEN_FOLDER = "/local/"
REFUSAL = "mien.refusal"  # in a scope: the status and the line by which the server wants a request refused
_READING = ("GET", "HEAD", "OPTIONS")  # methods that change nothing
_FOREIGN = ("cross-site", "same-site")  # what a browser says of requests that pages of others make

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), display-capture=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware that keeps out strangers, adds the security headers, and counts the responses.

    Strangers are whoever lacks the token, and pages of other sites, which could let a visitor's browser send pictures
    and clips to a service on the visitor's own machine. Such a page could also give its own name the address of that
    machine (DNS rebinding), and then read the answers. Its requests still have that name in the header Host.

    Parameters
    ----------
    app
        What answers.
    token
        The shared secret, which a request gives as `Authorization: Bearer TOKEN`; empty: none is asked for.
    hosts
        The names that the header Host may have, without a port, such as `localhost`; none: any.
    on_response
        Is called with the status of each response.
    """

    def __init__(
        self, app: ASGIApp, *, token: str, hosts: Collection[str] = (), on_response: Callable[[int], None]
    ) -> None:
        self._app, self._on_response = app, on_response
        self._hosts = [_host_of(host) for host in hosts]
        self._expected = f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                self._on_response(message["status"])
            await send(message)

        try:
            await self._answerer(scope)(scope, receive, send_guarded)
        except Exception:  # the server logs it
            if not begun:
                await _FAILED(scope, receive, send_guarded)
            raise

    def _answerer(self, scope: Scope) -> ASGIApp:
        """Return what answers a request: the application, or what refuses it."""
        if REFUSAL in scope:
            status, detail = scope[REFUSAL]
            return JSONResponse({"detail": detail}, status, {"Connection": "close", "Retry-After": str(RETRY_SECONDS)})
        host = _host_of(Headers(scope=scope).get("host", ""))
        if self._hosts and host not in self._hosts:
            return _wrong_host(host, self._hosts)
        if scope["method"] not in _READING and Headers(scope=scope).get("sec-fetch-site") in _FOREIGN:
            return _FOREIGN_PAGE
        return self._app if self._may_pass(scope) else _UNAUTHORISED

    def _may_pass(self, scope: Scope) -> bool:
        if not self._expected or scope["path"] in OPEN or scope["path"].startswith(_OPEN_FOLDER):
            return True
        given = Headers(scope=scope).get("authorization", "").encode("latin-1")
        return hmac.compare_digest(given, self._expected)


def _host_of(header: str) -> str:
    """Return the name in a header Host, without the port; an IPv6 address stays in its brackets."""
    name, bracket, _ = header.lower().partition("]")
    return name + bracket if bracket else name.partition(":")[0]


def _wrong_host(host: str, hosts: Collection[str]) -> JSONResponse:
    detail = f"the header Host must name {' or '.join(hosts)}, got {plain(host) or 'nothing'}; --allow-host adds a name"
    return JSONResponse({"detail": detail}, 403, {"Connection": "close"})


_FOREIGN_PAGE = JSONResponse({"detail": "pages of other sites may not use this service"}, 403, {"Connection": "close"})
_FAILED = JSONResponse({"detail": "the service failed at this request"}, 500)
_UNAUTHORISED = JSONResponse(
    {"detail": "the header Authorization must be: Bearer and the token of this service"},
    401,
    {"WWW-Authenticate": "Bearer", "Connection": "close"},
)
