"""Five hundred hostile requests: damaged pictures and forms, odd headers and queries. None may cause a fault."""

import asyncio
import gc
import io
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from PIL import Image

from fuzz import mutations
from mien.serve.app import create_app
from mien.serve.limits import Limits
from serving import Client, png

_REQUESTS = 500
_DAMAGE: list[Callable[[bytes, np.random.Generator], bytes]] = [
    mutations.flip_bits,
    mutations.set_number,
    mutations.cut,
    mutations.repeat,
]
_BOUNDARY = "frontier"
_KINDS = [
    f"multipart/form-data; boundary={_BOUNDARY}",
    f'multipart/form-data; boundary="{_BOUNDARY}"; charset=utf-7',
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=\xe9",
    "multipart/mixed; boundary=frontier",
    "application/json",
    "image/jpeg",
    ";;;=",
    "",
]
_QUERIES = [
    "",
    "?draw=1",
    "?draw=0",
    "?draw=",
    "?draw=1&draw=x",
    "?url=http://127.0.0.1/",
    "?draw=%00",
    "?path=/etc/passwd",
]


def _pictures() -> list[bytes]:
    """Small pictures of several formats."""
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = [png(picture), b"GIF89a" + bytes(30), b""]
    for kind in ("JPEG", "WEBP", "TIFF", "GIF", "BMP"):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind)
        found.append(file.getvalue())
    return found


def _form(picture: bytes, random: np.random.Generator) -> bytes:
    """A form of a few files, some with the names that attackers give."""
    name = str(random.choice(["a.jpg", "../../a", "C:\\a", "a\x00b", "\u202egnp.a", "", "a" * 3000]))
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="a"; filename="{name}"\r\n\r\n'.encode()
    return (head + picture + b"\r\n") * int(random.integers(0, 4)) + f"--{_BOUNDARY}--\r\n".encode()


def _request(pictures: list[bytes], random: np.random.Generator) -> tuple[str, bytes, bytes]:
    """A path with a query, a content type and a body."""
    body = pictures[random.integers(len(pictures))]
    if random.random() < 0.5:
        body = _DAMAGE[random.integers(len(_DAMAGE))](body, random)
    if random.random() < 0.6:
        body = _form(body, random)
        if random.random() < 0.5:
            body = _DAMAGE[random.integers(len(_DAMAGE))](body, random)
    kind = _KINDS[0] if random.random() < 0.5 else _KINDS[random.integers(len(_KINDS))]
    return "/v1/predict" + str(random.choice(_QUERIES)), kind.encode("latin-1"), body


def test_hostile_requests_cause_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    random, pictures = np.random.default_rng(7), _pictures()
    requests = [_request(pictures, random) for _ in range(_REQUESTS)]

    async def attack(http: httpx.AsyncClient) -> list[httpx.Response]:
        answers: list[httpx.Response] = []
        for start in range(0, _REQUESTS, 20):
            some = requests[start : start + 20]
            answers += await asyncio.gather(
                *(http.post(path, content=body, headers={b"Content-Type": kind}) for path, kind, body in some)
            )
        return [*answers, await http.get("/healthz")]

    app = create_app("swift-nano", limits=Limits(pixels=1_000_000), workers=2)
    *answers, alive = Client(app).talk(attack)
    gc.collect()  # errors that nobody took would be logged now
    assert alive.status_code == 200
    for answer, request in zip(answers, requests, strict=True):
        assert answer.status_code in (200, 400, 413, 422, 503), request
        if answer.status_code != 200:
            detail = answer.json()["detail"]
            assert detail
            assert "\n" not in detail
            assert "Traceback" not in detail
    assert {200, 400, 422} <= {answer.status_code for answer in answers}
    assert not [record for record in caplog.records if record.name.startswith("asyncio")]
