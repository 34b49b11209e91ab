"""The REST service: pictures in by HTTP, rows out. Needs the extra `serve`."""

from importlib.util import find_spec

from mien.errors import ExtraError

if not all(map(find_spec, ("fastapi", "prometheus_client", "python_multipart", "uvicorn"))):
    raise ExtraError("mien serve", extra="serve")
