"""Hostile requests, five hundred each: damaged pictures, clips and forms, odd headers and queries. None may fault."""

import asyncio
import gc
import io
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from fuzz import mutations
from mien.serve.app import create_app
from mien.serve.limits import Limits
from serving import Client, finish, png, portrait

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


def _clips(folder: Path) -> list[bytes]:
    """Small clips of several formats, and lists that name other files."""
    found = [b"#EXTM3U\n#EXTINF:9,\n/etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n", portrait(), b""]
    for name, codec in (
        ("a.mp4", "libx264"),
        ("a.mkv", "libx264"),
        ("a.webm", "libvpx"),
        ("a.avi", "mpeg4"),
        ("a.ts", "mpeg2video"),
    ):
        with av.open(str(folder / name), "w") as file:
            stream: Any = file.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for shade in range(0, 250, 50):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), "rgb24")))
            file.mux(stream.encode(None))
        found.append((folder / name).read_bytes())
        (folder / name).unlink()
    return found


def _form(picture: bytes, random: np.random.Generator) -> bytes:
    """A form of a few files, some with the names that attackers give."""
    name = str(random.choice(["a.jpg", "../../a", "C:\\a", "a\x00b", "\u202egnp.a", "", "a" * 3000]))
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="a"; filename="{name}"\r\n\r\n'.encode()
    return (head + picture + b"\r\n") * int(random.integers(0, 4)) + f"--{_BOUNDARY}--\r\n".encode()


def _request(address: str, pictures: list[bytes], random: np.random.Generator) -> tuple[str, bytes, bytes]:
    """A path with a query, a content type and a body."""
    body = pictures[random.integers(len(pictures))]
    if random.random() < 0.5:
        body = _DAMAGE[random.integers(len(_DAMAGE))](body, random)
    if random.random() < 0.6:
        body = _form(body, random)
        if random.random() < 0.5:
            body = _DAMAGE[random.integers(len(_DAMAGE))](body, random)
    kind = _KINDS[0] if random.random() < 0.5 else _KINDS[random.integers(len(_KINDS))]
    unknown = address == "/v1/video" and random.random() < 0.9  # there all of these words are unknown, and refused
    query = "" if unknown else str(random.choice(_QUERIES))
    return address + query, kind.encode("latin-1"), body


async def _attack(http: httpx.AsyncClient, requests: list[tuple[str, bytes, bytes]]) -> list[httpx.Response]:
    """Send the requests, twenty at a time."""
    answers: list[httpx.Response] = []
    for start in range(0, len(requests), 20):
        some = requests[start : start + 20]
        answers += await asyncio.gather(
            *(http.post(path, content=body, headers={b"Content-Type": kind}) for path, kind, body in some)
        )
    return answers


def _assert_no_fault(answers: list[httpx.Response], requests: list[tuple[str, bytes, bytes]], *sound: int) -> None:
    """Require that each answer is sound, or refuses in one line."""
    for answer, request in zip(answers, requests, strict=True):
        assert answer.status_code in (*sound, 400, 413, 422, 429, 503), request
        if answer.status_code not in sound:
            _assert_line(answer.json()["detail"])
    assert {*sound, 400, 422} <= {answer.status_code for answer in answers}


def _assert_line(detail: str) -> None:
    assert detail
    assert "\n" not in detail
    assert "Traceback" not in detail
    assert tempfile.gettempdir() not in detail


def _faults(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged of faults; errors that nobody took are logged now."""
    gc.collect()
    return [record for record in caplog.records if record.name.startswith(("asyncio", "mien.serve"))]


def test_hostile_pictures_cause_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    random, pictures = np.random.default_rng(7), _pictures()
    requests = [_request("/v1/predict", pictures, random) for _ in range(_REQUESTS)]

    async def attack(http: httpx.AsyncClient) -> None:
        _assert_no_fault(await _attack(http, requests), requests, 200)
        assert (await http.get("/healthz")).status_code == 200

    Client(create_app("swift-nano", limits=Limits(pixels=1_000_000), workers=2)).talk(attack)
    assert not _faults(caplog)


def test_hostile_clips_cause_no_fault_and_leave_nothing(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, clips = np.random.default_rng(8), _clips(tmp_path)
    requests = [_request("/v1/video", clips, random) for _ in range(_REQUESTS)]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def attack(http: httpx.AsyncClient) -> None:
        answers = await _attack(http, requests)
        _assert_no_fault(answers, requests, 202)
        ended = [await finish(http, one.json()["url"]) for one in answers if one.status_code == 202]
        assert {"done", "failed"} == {job["state"] for job in ended}
        for job in ended:
            _assert_line(job["error"] or job["warning"] or "sound")
        assert [path.name for path in tmp_path.glob("*/*")] == ["lock"]
        assert (await http.get("/healthz")).status_code == 200

    limits = Limits(jobs=_REQUESTS, client_jobs=_REQUESTS - 1)
    Client(create_app("swift-nano", limits=limits, workers=2)).talk(attack)
    assert not _faults(caplog)
    assert list(tmp_path.iterdir()) == []
