"""Clips as jobs: their rows, their progress, and how long they stay."""

import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from clips import Actor, along, background, fast_start, write_clip, write_video
from mien.serve.app import create_app
from mien.serve.limits import Limits
from mien.types import Detections
from serving import Client, Doorkeeper, assert_refused, finish, limited, portrait
from support import run_mien

FACELESS = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of two seconds with a face that walks."""
    path = tmp_path_factory.mktemp("clips") / "walk.mp4"
    write_clip(path, [Actor(along((0, 80, 120), (2, 240, 120)))])
    return path


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of ten frames without a face."""
    path = tmp_path_factory.mktemp("clips") / "blank.mp4"
    write_video(path, [background(0)] * 10, [frame / 25 for frame in range(10)])
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the service makes its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def files_in(folder: Path) -> list[str]:
    """The names of what lies in the private folders, without their locks."""
    return sorted(path.name for path in folder.glob("*/*") if path.name != "lock")


def read(client: Client, **clip: Any) -> dict[str, Any]:
    """Send a clip, and return the answer of its job."""

    async def talk(http: httpx.AsyncClient) -> dict[str, Any]:
        sent = await http.post("/v1/video", **clip)
        assert sent.status_code == 202, sent.text
        return await finish(http, sent.json()["url"])

    return client.talk(talk)


def test_the_rows_are_those_of_the_command_line(film: Path) -> None:
    expected = json.loads(run_mien("predict", film, "-m", "swift-nano", "--json").out)
    client = Client(create_app("swift-nano", workers=2))
    sent = film.read_bytes()
    for more, name in (({"content": sent}, "clip"), ({"files": {"any": ("a.mov", sent)}}, "a.mov")):
        answer = read(client, **more)
        assert (answer["state"], answer["progress"], answer["expected"]) == ("done", 1, 50)
        assert answer["rows"] == [row | {"source": name} for row in expected]
        assert (answer["model"], answer["source"]) == ("swift-nano", name)
        assert (answer["frames"], answer["seconds"]) == (50, 1.96)
        assert answer["warning"] is answer["error"] is None
    assert {row["track"] for row in expected} == {1}


def test_a_job_says_how_far_it_is(blank: bytes) -> None:
    door = Doorkeeper()

    async def talk(http: httpx.AsyncClient) -> None:
        sent = [(await http.post("/v1/video", content=blank)) for _ in range(2)]
        first, second = (one.json() for one in sent)
        assert sent[0].headers["location"] == first["url"] == f"/v1/jobs/{first['id']}"
        assert len(first["id"]) >= 22
        assert await asyncio.to_thread(door.begun.wait, 30)
        waiting = [await http.get(one["url"]) for one in (first, second)]
        assert [one.json()["state"] for one in waiting] == ["running", "queued"]
        assert [waiting[0].json()[name] for name in ("progress", "frames", "expected", "rows")] == [0, 0, 10, None]
        assert waiting[0].headers["retry-after"] == "1"
        door.opened.set()
        ended = [await finish(http, one["url"]) for one in (first, second)]
        assert [(one["state"], one["frames"]) for one in ended] == [("done", 10)] * 2

    Client(create_app("swift-nano", detector=door, workers=2)).talk(talk)


def test_an_answer_is_given_once_and_nothing_stays(folder: Path, blank: bytes) -> None:
    async def talk(http: httpx.AsyncClient) -> list[int]:
        url = (await http.post("/v1/video", content=blank)).json()["url"]
        while files_in(folder) != [f"{url.rpartition('/')[2]}.json"]:  # of the clip itself nothing is left by then
            await asyncio.sleep(0.01)
        answers: list[httpx.Response] = []
        while len(answers) < 2:  # the file is there a moment before the job is said to have ended
            pair = await asyncio.gather(http.get(url), http.get(url))
            answers += [each for each in pair if each.json().get("state") != "running"]
        assert files_in(folder) == []
        (private,) = folder.iterdir()
        assert private.stat().st_mode & 0o777 == 0o700
        return sorted(answer.status_code for answer in answers[:2])

    assert limited().talk(talk) == [200, 404]
    assert list(folder.iterdir()) == []


def test_an_answer_that_nobody_fetches_goes(folder: Path, blank: bytes) -> None:
    async def talk(http: httpx.AsyncClient) -> httpx.Response:
        sent = await http.post("/v1/video", content=blank)
        async with asyncio.timeout(60):
            while "mien_jobs 0.0" not in (await http.get("/metrics")).text:
                await asyncio.sleep(0.01)
        assert files_in(folder) == []
        return await http.get(sent.json()["url"])

    assert_refused(limited(job_seconds=0.05).talk(talk), 404, "too old")


def test_a_job_may_be_deleted_at_any_time(folder: Path, blank: bytes) -> None:
    door = Doorkeeper()

    async def talk(http: httpx.AsyncClient) -> None:
        running, queued = [(await http.post("/v1/video", content=blank)).json()["url"] for _ in range(2)]
        assert await asyncio.to_thread(door.begun.wait, 30)
        for url in (queued, running):
            assert (await http.delete(url)).status_code == 204
            assert_refused(await http.get(url), 404, "no such job")
            assert_refused(await http.delete(url), 404, "no such job")
        door.opened.set()
        after = (await http.post("/v1/video", content=blank)).json()["url"]
        assert (await finish(http, after))["state"] == "done"
        assert files_in(folder) == []

    Client(create_app("swift-nano", detector=door, workers=1)).talk(talk)


def test_the_end_of_the_service_ends_its_jobs(folder: Path, blank: bytes) -> None:
    door = Doorkeeper()

    async def talk(http: httpx.AsyncClient) -> None:
        for _ in range(2):
            await http.post("/v1/video", content=blank)
        assert await asyncio.to_thread(door.begun.wait, 30)
        assert len(files_in(folder)) == 2
        asyncio.get_running_loop().call_later(0.1, door.opened.set)

    Client(create_app("swift-nano", detector=door, workers=1)).talk(talk)
    assert list(folder.iterdir()) == []


def test_too_many_jobs_are_refused(blank: bytes) -> None:
    door = Doorkeeper()

    was_read: list[bool] = []

    async def unread() -> AsyncIterator[bytes]:
        was_read.append(True)
        yield b"a"

    async def talk(http: httpx.AsyncClient) -> None:
        async def send(host: str, content: Any = blank) -> httpx.Response:
            transport = httpx.ASGITransport(app, client=(host, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://mien") as other:
                return await other.post("/v1/video", content=content)

        for host in ("10.0.0.1", "2001:db8::1"):
            assert [(await send(host)).status_code for _ in range(2)] == [202] * 2
        for host in ("10.0.0.1", "::ffff:10.0.0.1", "2001:db8::2"):
            answer = await send(host, unread())
            assert_refused(answer, 429, "your address has 2 of 2 jobs")
            assert answer.headers["retry-after"] == "5"
        answer = await send("2001:db8:0:1::1", unread())
        assert_refused(answer, 503, "busy with 4 of 4 jobs")
        assert answer.headers["retry-after"] == "5"
        assert (
            await http.post("/v1/predict", content=b"no picture")
        ).status_code == 422  # pictures have their own queue
        assert not was_read
        door.opened.set()

    app = create_app("swift-nano", detector=door, limits=Limits(jobs=4, client_jobs=2), workers=1)
    Client(app).talk(talk)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"clip_bytes": 1000}, "at most 1,000 bytes"),
        ({"clip_seconds": 1}, "must last at most 1 seconds, got 2.0"),
        ({"clip_frames": 49}, "at most 49 frames, got 50"),
        ({"clip_pixels": 320 * 239}, "at most 76,480 pixels, got 320 x 240"),
    ],
)
def test_a_clip_over_a_limit_is_refused(folder: Path, film: Path, limits: dict[str, Any], words: str) -> None:
    answer = limited(**limits).post("/v1/video", content=film.read_bytes())
    assert_refused(answer, 413, words)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"clip_seconds": 1}, "must last at most 1 seconds"),
        ({"clip_frames": 49}, "at most 49 frames"),
        ({"clip_rows": 10}, "at most 10 faces in all frames"),
        ({"clip_work_seconds": 0}, "takes longer than 0 seconds"),
    ],
)
def test_a_clip_that_hides_its_length_is_refused(
    folder: Path, film: Path, tmp_path: Path, limits: dict[str, Any], words: str
) -> None:
    path = tmp_path / "live.mkv"
    with av.open(str(film)) as old, av.open(str(path), "w", format="matroska", options={"live": "1"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    content = path.read_bytes()
    path.unlink()
    answer = read(limited(**limits), content=content)
    assert (answer["state"], answer["rows"], answer["expected"]) == ("failed", None, None)
    assert words in answer["error"]
    assert list(folder.iterdir()) == []


def test_a_slow_clip_is_refused() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    answer = limited(clip_receive_seconds=0.05).post("/v1/video", content=slow())
    assert_refused(answer, 408, "within 0.05 seconds")


def _lists(secret: Path, port: int) -> Iterator[bytes]:
    """Files that make FFmpeg open other files and addresses."""
    for target in (str(secret), secret.as_uri(), f"http://127.0.0.1:{port}/a.mp4"):
        yield f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n".encode()
        yield f"ffconcat version 1.0\nfile '{target}'\n".encode()
        yield f'<?xml version="1.0"?><MPD type="static"><Period><BaseURL>{target}</BaseURL></Period></MPD>'.encode()
    yield b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_clip_opens_no_other_file_and_no_address(film: Path) -> None:
    async def talk(http: httpx.AsyncClient) -> None:
        met: list[object] = []
        server = await asyncio.start_server(lambda *ends: met.append(ends), "127.0.0.1", 0)
        for content in _lists(film, server.sockets[0].getsockname()[1]):
            assert_refused(await http.post("/v1/video", content=content), 422, "clip cannot be read: it is no video")
        server.close()
        assert not met

    limited().talk(talk)


@pytest.mark.parametrize(
    "content", [portrait(), b"no video", bytes(5000), b"/etc/passwd"], ids=["photo", "text", "zeros", "path"]
)
def test_what_is_no_video_is_refused(folder: Path, content: bytes) -> None:
    answer = limited().post("/v1/video", files={"clip": ("../b.mp4", content)})
    assert_refused(answer, 422, "../b.mp4 cannot be read")
    assert str(folder) not in answer.text
    assert list(folder.iterdir()) == []


def test_two_clips_in_a_form_are_refused(blank: bytes) -> None:
    answer = limited().post("/v1/video", files=[("a", ("1", blank)), ("b", ("2", blank))])
    assert_refused(answer, 413, "at most 1 clip")


def test_of_a_damaged_clip_the_sound_part_is_read(film: Path, tmp_path: Path) -> None:
    whole = fast_start(film, tmp_path / "fast.mp4")
    (tmp_path / "fast.mp4").unlink()
    answer = read(limited(), content=whole[: len(whole) * 2 // 3])
    assert answer["state"] == "done"
    assert 10 < answer["frames"] < 50
    assert answer["warning"].startswith("clip was not read whole: ")


def test_without_pyav_clips_are_refused(blank: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert_refused(limited().post("/v1/video", content=blank), 503, "install them with: ")


def test_without_room_for_clips_pictures_are_read(
    blank: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))

    async def talk(http: httpx.AsyncClient) -> None:
        assert_refused(await http.post("/v1/video", content=blank), 503, "TMPDIR")
        assert (await http.post("/v1/predict", content=portrait())).status_code == 200

    limited().talk(talk)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 100 bytes."""
    import resource  # which Windows lacks

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.linux
def test_a_full_disk_is_told_and_leaves_nothing(folder: Path, blank: bytes) -> None:
    door = Doorkeeper()

    async def talk(http: httpx.AsyncClient) -> None:
        with full_disk():
            answer = await http.post("/v1/video", content=blank)
        assert_refused(answer, 503, "the service cannot keep a clip: File too large")
        assert answer.headers["retry-after"] == "5"
        assert files_in(folder) == []
        url = (await http.post("/v1/video", content=blank)).json()["url"]
        assert await asyncio.to_thread(door.begun.wait, 30)
        with full_disk():
            door.opened.set()
            job = await finish(http, url)
        assert (job["state"], job["rows"]) == ("failed", None)
        assert "File too large" in job["error"]
        assert files_in(folder) == []

    Client(create_app("swift-nano", detector=door, workers=1)).talk(talk)


def test_a_fault_at_one_clip_is_told_and_logged(blank: bytes, caplog: pytest.LogCaptureFixture) -> None:
    broken = iter([True])

    def detector(_picture: NDArray[np.uint8], /) -> Detections:
        if next(broken, False):
            raise RuntimeError("a fault")
        return Detections(*FACELESS)

    async def talk(http: httpx.AsyncClient) -> None:
        urls = [(await http.post("/v1/video", content=blank)).json()["url"] for _ in range(2)]
        first, second = [await finish(http, url) for url in urls]
        assert (first["state"], first["error"]) == ("failed", "the service failed at this clip")
        assert second["state"] == "done"

    Client(create_app("swift-nano", detector=detector, workers=1)).talk(talk)
    assert [record.levelno for record in caplog.records if record.name.startswith("mien.serve")] == [logging.ERROR]


def test_jobs_ask_for_the_token(blank: bytes) -> None:
    client = Client(create_app("swift-nano", token="sesame", workers=1))  # noqa: S106  # of this test alone
    assert_refused(client.post("/v1/video", content=blank), 401, "token")
    assert_refused(client.get("/v1/jobs/abc"), 401, "token")


def test_all_clips_of_a_busy_time_are_read(blank: bytes) -> None:
    async def talk(http: httpx.AsyncClient) -> list[str]:
        sent = await asyncio.gather(*(http.post("/v1/video", content=blank) for _ in range(4)))
        pictures = [http.post("/v1/predict", content=portrait()) for _ in range(8)]
        assert {answer.status_code for answer in await asyncio.gather(*pictures)} == {200}
        return [(await finish(http, one.json()["url"]))["state"] for one in sent]

    assert Client(create_app("swift-nano", workers=2)).talk(talk) == ["done"] * 4
