"""What the service refuses: each limit, hostile bodies, and requests without the token; in one line, and at once."""

import asyncio
import re
import struct
import tempfile
import threading
import zlib
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.serve.app import create_app
from mien.serve.limits import Limits, client_of
from mien.types import Detections
from serving import Client, Doorkeeper, assert_refused, limited, png, portrait


@pytest.fixture(scope="module")
def client() -> Client:
    """A service with the limits that it has by itself."""
    return Client(create_app("swift-nano", workers=1))


def bomb() -> bytes:
    """A PNG file of a few bytes that claims 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (bomb(), "at most 50,000,000 pixels"),
        (portrait()[:2000], "cut short"),
        (b"no picture", "must be a picture"),
        (b"http://127.0.0.1/photo.jpg", "must be a picture"),
        (b"/etc/passwd", "must be a picture"),
        (b'{"url": "file:///etc/passwd"}', "must be a picture"),
        (b"\x00" * 5000, "must be a picture"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 500, "cannot be read"),
    ],
    ids=["bomb", "truncated", "text", "url", "path", "json", "zeros", "broken"],
)
def test_what_is_no_sound_picture_is_refused(client: Client, body: bytes, words: str) -> None:
    assert_refused(client.post(content=body), 422, words)


def test_a_broken_picture_refuses_no_other(client: Client) -> None:
    bad = ("a", ("bad.jpg", portrait()[:900]))
    answer = client.post(files=[bad, ("a", ("good.jpg", portrait())), ("b", ("text.png", b"no picture"))])
    assert answer.status_code == 200
    broken, good, text = answer.json()["pictures"]
    assert broken == {"source": "bad.jpg", "width": None, "height": None, "rows": [], "error": broken["error"]}
    assert "bad.jpg" in broken["error"]
    assert "cut short" in broken["error"]
    assert "text.png must be a picture" in text["error"]
    alone = client.post(files={"a": ("good.jpg", portrait())}).json()["pictures"]
    assert [good] == alone
    assert (good["error"], len(good["rows"])) == (None, 1)


def test_a_form_of_broken_pictures_is_refused(client: Client) -> None:
    sent = [("a", ("first.jpg", portrait()[:900])), ("a", ("second.png", b"no picture"))]
    assert_refused(client.post(files=sent), 422, "first.jpg")


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("", b"", "got nothing"),
        ("multipart/form-data", b"abc", "boundary"),
        ("multipart/form-data; boundary=x", b"", "cut short"),
        ("multipart/form-data; boundary=x", b"abc", "damaged"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", "got none"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
            "none",
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nabc\r\n--x--\r\n", "form"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nabc',
            "cut short",
        ),
        ("multipart/form-data; boundary=" + "x" * 5000, b"abc", "damaged"),
    ],
)
def test_damaged_forms_are_refused(client: Client, kind: str, body: bytes, words: str) -> None:
    assert_refused(client.post(content=body, headers={"Content-Type": kind}), 400, words)


@pytest.mark.parametrize("query", ["tta=mirror", "drow=1", "draw=1&foo=1", "foo", "DRAW=1"])
def test_an_unknown_word_of_a_query_is_named(client: Client, query: str) -> None:
    word = query.removeprefix("draw=1&").partition("=")[0]
    answer = client.post(f"/v1/predict?{query}", content=portrait())
    assert_refused(answer, 422, f"{word}: is unknown; the query may have: draw")


def test_each_address_knows_its_query(client: Client) -> None:
    for path in ("/v1/models", "/v1/limits", "/v1/jobs/none"):
        assert_refused(client.get(f"{path}?draw=1"), 422, "draw: is unknown; this address takes no query")
    assert_refused(client.post("/v1/video?start=2", content=b"-"), 422, "start: is unknown")
    assert_refused(client.get(f"/v1/models?a%0a{'b' * 9000}=1"), 422, "a bbb")
    for path in ("/healthz", "/", "/metrics"):  # whose readers may add words of their own
        assert client.get(f"{path}?fresh=1").status_code == 200


def test_names_of_files_are_only_text(client: Client) -> None:
    name = "../../etc/pass\x1b[31mwd" + "x" * 400
    (picture,) = client.post(files={"a": (name, portrait())}).json()["pictures"]
    assert len(picture["source"]) <= 255
    assert picture["source"].isprintable()


def test_too_many_bytes_are_refused() -> None:
    small = limited(request_bytes=1000)
    assert_refused(small.post(content=portrait()), 413, "at most 1,000 bytes")

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100)

    assert_refused(small.post(content=endless()), 413, "at most 1,000 bytes")


def test_a_body_too_large_is_refused_before_it_is_read() -> None:
    async def unread() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()  # whoever reads it waits for the time limit
        yield b""

    answer = limited(request_bytes=1000).post(content=unread(), headers={"Content-Length": "1001"})
    assert_refused(answer, 413, "at most 1,000 bytes")
    assert answer.headers["connection"] == "close"


def test_too_many_pictures_are_refused() -> None:
    assert_refused(limited(pictures=2).post(files=[("a", ("a.jpg", portrait()))] * 3), 413, "at most 2 pictures")


def test_too_many_pixels_are_refused() -> None:
    assert_refused(limited(pixels=100).post(content=png(np.zeros((20, 20, 3), np.uint8))), 422, "at most 100 pixels")


def test_of_many_faces_the_largest_are_read() -> None:
    def crowd(_picture: NDArray[np.uint8], /) -> Detections:
        sides = np.arange(30, 50, dtype=np.float32)
        return Detections(np.stack([sides * 0, sides * 0, sides, sides], axis=1), np.ones(20, np.float32))

    app = create_app("swift-nano", detector=crowd, limits=Limits(faces=3), workers=1)
    (picture,) = Client(app).post(content=portrait()).json()["pictures"]
    assert [row["right"] for row in picture["rows"]] == [49, 48, 47]


def test_a_slow_body_is_refused() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    assert_refused(limited(receive_seconds=0.05).post(content=slow()), 408, "within 0.05 seconds")


def test_overload_is_refused_at_once_and_passes() -> None:
    busy = limited(queue=2)

    async def crowd(http: httpx.AsyncClient) -> tuple[list[httpx.Response], httpx.Response]:
        answers = await asyncio.gather(*(http.post("/v1/predict", content=portrait()) for _ in range(8)))
        return answers, await http.post("/v1/predict", content=portrait())

    answers, after = busy.talk(crowd)
    assert sorted(answer.status_code for answer in answers) == [200] * 2 + [503] * 6
    for answer in answers:
        if answer.status_code == 503:
            assert_refused(answer, 503, "busy with 2 of 2 pictures")
            assert answer.headers["retry-after"] == "1"
    assert after.status_code == 200


def test_slow_senders_take_no_place_in_the_queue() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async def crowd(http: httpx.AsyncClient) -> list[int]:
        loris = [asyncio.create_task(http.post("/v1/predict", content=slow())) for _ in range(5)]
        answer = await http.post("/v1/predict", content=portrait())
        return [answer.status_code, *[(await each).status_code for each in loris]]

    assert limited(queue=1, receive_seconds=2).talk(crowd) == [200] + [408] * 5


def test_a_full_queue_refuses_before_the_body_is_read() -> None:
    begun, may_end, read = threading.Event(), threading.Event(), threading.Event()

    def detector(_picture: NDArray[np.uint8], /) -> Detections:
        begun.set()
        assert may_end.wait(30)
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    async def body() -> AsyncIterator[bytes]:
        read.set()
        yield b"a"

    async def late(http: httpx.AsyncClient) -> list[httpx.Response]:
        first = asyncio.create_task(http.post("/v1/predict", content=portrait()))
        assert await asyncio.to_thread(begun.wait, 30)
        second = await http.post("/v1/predict", content=body())
        may_end.set()
        return [await first, second]

    first, second = Client(create_app("swift-nano", detector=detector, limits=Limits(queue=1), workers=1)).talk(late)
    assert first.status_code == 200
    assert_refused(second, 503, "busy with 1 of 1 pictures")
    assert not read.is_set()


def test_one_client_leaves_room_for_others() -> None:
    door = Doorkeeper()
    app = create_app(
        "swift-nano", detector=door, limits=Limits(queue=3, client_queue=2, client_bytes=150_000), workers=1
    )

    async def crowd(http: httpx.AsyncClient) -> None:
        def send(host: str, content: bytes = png(np.zeros((20, 20, 3), np.uint8))) -> asyncio.Task[httpx.Response]:
            other = httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(host, 1)), base_url="http://mien")
            return asyncio.create_task(other.post("/v1/predict", content=content))

        inside = [send("10.0.0.1"), send("10.0.0.1")]
        assert await asyncio.to_thread(door.begun.wait, 30)
        async with asyncio.timeout(30):
            while "mien_pictures_inside 2.0" not in (await http.get("/metrics")).text:
                await asyncio.sleep(0)
        third = await send("10.0.0.1")
        assert_refused(third, 429, "your address has 2 of its 2 pictures inside")
        assert third.headers["retry-after"] == "1"
        inside.append(send("10.0.0.2"))
        async with asyncio.timeout(30):
            while "mien_pictures_inside 3.0" not in (await http.get("/metrics")).text:
                await asyncio.sleep(0)
        assert_refused(await send("10.0.0.3"), 503, "busy with 3 of 3 pictures")
        door.opened.set()
        assert [(await one).status_code for one in inside] == [200] * 3
        assert_refused(await send("10.0.0.1", bytes(150_001)), 429, "your address has 0 of its 150,000 bytes inside")
        assert (await send("10.0.0.1")).status_code == 200

    Client(app).talk(crowd)


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:9:9:9:9", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        (None, ""),
        ("a name", "a name"),
    ],
)
def test_addresses_of_one_client_count_together(host: str | None, client: str) -> None:
    assert client_of(host) == client


def test_each_limit_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| [^|]* \| ([\d,]+) \|", page, flags=re.MULTILINE)
    assert {(name, float(number.replace(",", ""))) for name, number in told} == set(Limits().model_dump().items())


def test_pictures_beyond_the_queue_are_refused() -> None:
    assert_refused(limited(queue=2).post(files=[("a", ("a.jpg", portrait()))] * 3), 503, "busy")


def test_bytes_of_all_requests_are_bounded() -> None:
    answer = limited(held_bytes=1000).post(content=portrait())
    assert_refused(answer, 503, "busy with large requests")
    assert answer.headers["retry-after"] == "1"


def test_an_answer_that_takes_too_long_is_refused() -> None:
    answer = limited(answer_seconds=0.0).post(content=portrait())
    assert_refused(answer, 503, "no answer within 0 seconds")


def test_many_pictures_are_not_drawn(client: Client) -> None:
    answer = client.post("/v1/predict?draw=1", files=[("a", ("a.jpg", portrait()))] * 2)
    assert_refused(answer, 422, "one picture a request, got 2")


def test_a_wrong_query_is_refused(client: Client) -> None:
    assert_refused(client.post("/v1/predict?draw=maybe", content=portrait()), 422, "draw: ")


def test_nothing_is_written_to_disk(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was made")

    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    large = png(noise)
    assert len(large) > 2 << 20  # more than form parsers hold in memory unless they are told to
    assert client.post(files={"a": ("a.png", large)}).status_code == 200


def test_no_variable_turns_telemetry_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    app = create_app("swift-nano", workers=1)
    events, sent = iter(["lifespan.startup", "lifespan.shutdown"]), []

    async def receive() -> dict[str, str]:
        return {"type": next(events)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert "telemetry" not in caplog.text  # FastAPI would have tried to set it up


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_may_send_nothing(client: Client, site: str) -> None:
    foreign = {"Sec-Fetch-Site": site}
    for path in ("/v1/predict", "/v1/video"):
        assert_refused(client.post(path, content=portrait(), headers=foreign), 403, "pages of other sites")
    assert client.get("/docs", headers=foreign).status_code == 200  # a link may lead here
    for own in ("same-origin", "none"):
        assert client.post(content=portrait(), headers={"Sec-Fetch-Site": own}).status_code == 200


@pytest.mark.parametrize("identifier", ["..%2f..%2fetc%2fpasswd", "%00", "lock", "a" * 3000, "%F0%9F%98%80"])
def test_no_other_file_is_taken_for_a_job(client: Client, identifier: str) -> None:
    async def ask(http: httpx.AsyncClient) -> list[int]:
        return [(await http.request(method, f"/v1/jobs/{identifier}")).status_code for method in ("GET", "DELETE")]

    assert client.talk(ask) == [404, 404]


def test_the_token_is_asked_for() -> None:
    app = create_app("swift-nano", token="sesame", workers=1)  # noqa: S106  # of this test alone
    for headers in (
        {},
        {"Authorization": "Bearer open"},
        {"Authorization": "sesame"},
        {"Authorization": "Bearer \xe9"},
    ):
        stranger = Client(app, {name.encode(): value.encode("latin-1") for name, value in headers.items()})
        for path in ("/v1/models", "/metrics", "/openapi.json", "/nothing"):
            assert_refused(stranger.get(path), 401, "token")
        assert_refused(stranger.post(content=portrait()), 401, "token")
        assert stranger.get("/healthz").status_code == 200
    friend = Client(app, {"Authorization": "Bearer sesame"})
    assert friend.post(content=portrait()).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/nothing"])
def test_headers_protect_browsers(client: Client, path: str) -> None:
    headers = client.get(path, headers={"Origin": "https://elsewhere.example"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control-")]


def test_the_service_goes_on_after_a_fault_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    broken = iter([True])

    def detector(_picture: NDArray[np.uint8], /) -> Detections:
        if next(broken, False):
            raise RuntimeError("a fault")
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    async def twice(http: httpx.AsyncClient) -> list[httpx.Response]:
        return [await http.post("/v1/predict", content=portrait()) for _ in range(2)]

    failed, after = Client(create_app("swift-nano", detector=detector, workers=1)).talk(twice)
    assert_refused(failed, 500, "the service failed")
    assert failed.headers["x-content-type-options"] == "nosniff"
    assert after.status_code == 200
    assert "JFIF" not in caplog.text
