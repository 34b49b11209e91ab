"""The service as a process of its own: `mien serve`, slow clients, and how it ends."""

import importlib.util
import io
import json
import signal
import socket
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from serving import assert_refused, png, portrait, serving
from support import run_mien

_IMPATIENT = """
import sys
import numpy as np
from mien.serve.app import create_app
from mien.serve.limits import Limits
from mien.serve.server import listen, run
from mien.types import Detections

more = dict(zip(sys.argv[2::2], map(int, sys.argv[3::2])))
limits = Limits(receive_seconds=float(sys.argv[1]), send_seconds=0.3, **more)
faceless = lambda picture: Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
app = create_app("swift-nano", detector=faceless, limits=limits, workers=1)
with listen("127.0.0.1", 0) as listener:
    print(f"http://127.0.0.1:{listener.getsockname()[1]};", file=sys.stderr, flush=True)
    run(app, listener, limits)
"""


def test_the_command_serves_until_it_is_told_to_end() -> None:
    with serving("-m", "mien", "serve", "--port", "0", "-m", "swift-nano", "--token", "sesame") as (
        process,
        address,
        _,
    ):
        with httpx.Client(base_url=address, headers={"Authorization": "Bearer sesame"}) as client:
            answer = client.post("/v1/predict", files={"a": ("photo.jpg", portrait())})
            black = client.post("/v1/predict", files={"a": ("dark.png", png(np.zeros((64, 64, 3), np.uint8)))})
            broken = client.post("/v1/predict", content=portrait()[:999])
            form = {"Content-Type": "multipart/form-data; boundary=x"}
            damaged = client.post("/v1/predict", content=b"damaged", headers=form)
        assert answer.json()["pictures"][0]["rows"][0]["expression"] == "happy"
        assert "server" not in answer.headers
        assert [each.status_code for each in (black, broken, damaged)] == [200, 422, 400]
        assert httpx.get(f"{address}/v1/models").status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert process.stderr is not None
        assert process.stderr.read() == ""  # nothing of the pictures, nothing of the requests


@pytest.mark.linux
def test_clients_that_are_slow_are_cut_off() -> None:
    with serving("-c", _IMPATIENT, "0.3") as (process, address, port):
        for start in (b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: "):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
                slow.sendall(start)
                assert _rest(slow) == b""
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
            slow.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
            assert _rest(slow).startswith(b"HTTP/1.1 408 ")
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert process.poll() is None


@pytest.mark.linux
def test_a_client_that_does_not_read_is_cut_off() -> None:
    large = png(np.random.default_rng(0).integers(0, 256, (2200, 2200, 3), dtype=np.uint8))
    with serving("-c", _IMPATIENT, "30") as (process, address, port), socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(30)
        deaf.connect(("127.0.0.1", port))
        head = f"POST /v1/predict?draw=1 HTTP/1.1\r\nHost: a\r\nContent-Length: {len(large)}\r\n\r\n"
        deaf.sendall(head.encode() + large)
        assert deaf.recv(12) == b"HTTP/1.1 200"
        deadline = time.monotonic() + 30
        while _has_connection(process.pid, deaf):  # the system keeps what the service wrote, so the client sees no end
            assert time.monotonic() < deadline
            assert httpx.get(f"{address}/healthz").status_code == 200


def _has_connection(process: int, client: socket.socket) -> bool:
    """Tell whether a process holds the other end of a connection open."""
    ends = tuple(f":{port:04X}" for port in (client.getpeername()[1], client.getsockname()[1]))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{words[9]}]" for words in lines if (words[1][8:], words[2][8:]) == ends}
    held = set()
    for file in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            held.add(str(file.readlink()))
    return bool(inodes & held)


@pytest.mark.parametrize(
    ("limits", "status", "words"),
    [
        (("connections", "3"), 503, "busy with 3 connections"),
        (("client_connections", "3"), 429, "your address has its 3 connections open"),
    ],
)
def test_too_many_connections_are_told_so(limits: tuple[str, str], status: int, words: str) -> None:
    with serving("-c", _IMPATIENT, "30", *limits) as (_, address, port), ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(3)]
        for _ in range(2):
            answer = httpx.post(f"{address}/v1/predict", content=portrait())
            assert_refused(answer, status, words)
            assert (answer.headers["retry-after"], answer.headers["connection"]) == ("1", "close")
            assert answer.headers["x-content-type-options"] == "nosniff"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
            assert _rest(silent) == b""  # long before the 30 seconds that others have
        for one in idle:
            one.close()
        assert httpx.get(f"{address}/healthz").status_code == 200


def test_damaged_requests_leave_the_service_alive() -> None:
    with serving("-c", _IMPATIENT, "30") as (process, address, port):
        for wrong in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"GET /none HTTP/9.9\r\n\r\n",
            b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            b"POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
            b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
            b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as hostile:
                hostile.sendall(wrong)
                status = _rest(hostile)[9:12]
                assert status in (b"", b"400", b"404"), status
        assert json.loads(httpx.get(f"{address}/healthz").content)["status"] == "ok"
        assert process.poll() is None


def test_a_port_that_is_taken_is_said_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_mien("serve", "--port", taken.getsockname()[1], "-m", "swift-nano")
    assert (ended.code, ended.out) == (1, "")
    assert "cannot listen on 127.0.0.1:" in ended.err
    assert ended.err.endswith("choose another --port\n")


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])  # addresses that no machine has
def test_an_address_of_another_machine_is_said_in_a_line(host: str) -> None:
    ended = run_mien("serve", "--host", host, "-m", "swift-nano")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert ended.err.startswith(f"mien: cannot listen on {host}:8000: ")
    assert ended.err.endswith("; choose another --host\n")
    assert "while attempting" not in ended.err


def test_what_is_not_installed_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else object())
    for name in [name for name in sys.modules if name.startswith(("mien.serve", "mien.cli.serve"))]:
        monkeypatch.delitem(sys.modules, name)
    ended = run_mien("serve")
    assert (ended.code, ended.out) == (1, "")
    assert "mien serve needs more packages; install them with: " in ended.err


def _rest(connection: socket.socket) -> bytes:
    """Return what comes until the end; a reset is an end, too."""
    content = io.BytesIO()
    try:
        while part := connection.recv(1 << 16):
            content.write(part)
    except ConnectionResetError:
        pass
    return content.getvalue()
