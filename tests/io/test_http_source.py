"""Pictures from a server of our own: read as pictures, whatever their address looks like."""

import base64
import io
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from mien.errors import DataError
from mien.io.reader import read_frames
from mien.io.source import is_video

PICTURE = np.linspace(0, 255, 40 * 60 * 3).reshape(40, 60, 3).astype(np.uint8)
TURNS = {
    1: PICTURE,
    2: PICTURE[:, ::-1],
    4: PICTURE[::-1],
    5: PICTURE.swapaxes(0, 1),
    6: np.rot90(PICTURE),
    7: np.rot90(PICTURE, 2).swapaxes(0, 1),
}


class Pictures(BaseHTTPRequestHandler):
    """Serves PNG by their EXIF orientation, some only to a user who names himself."""

    asked: list[str] = []  # noqa: RUF012  # each test has a server of its own

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.asked.append(self.path)
        secret = "Basic " + base64.b64encode(b"ann:p@ss").decode()
        if "locked" in self.path and self.headers.get("Authorization") != secret:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
        elif "none" in self.path:
            self.send_error(404)
        else:
            exif, stream = Image.Exif(), io.BytesIO()
            exif[274] = int(self.path[-1])
            Image.fromarray(np.ascontiguousarray(TURNS[exif[274]])).save(stream, "PNG", exif=exif)
            content = stream.getvalue() if "broken" not in self.path else stream.getvalue()[:200]
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


@pytest.fixture
def server() -> Iterator[str]:
    Pictures.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as host:
        Thread(target=host.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{host.server_port}"
        host.shutdown()


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("path", ["snapshot?as=", "a.jpg?size=2&turn="])
def test_a_picture_is_read_upright(server: str, path: str, orientation: int) -> None:
    name = f"http://{server}/{path}{orientation}"
    assert not is_video(name)
    (frame,) = read_frames(name)
    assert (frame.source, frame.moving, frame.live) == (name, False, False)
    assert (frame.picture == PICTURE).all()


def test_a_password_goes_to_the_server_alone(server: str) -> None:
    name = f"http://ann:p%40ss@{server}/locked/1"
    assert not is_video(name)
    (frame,) = read_frames(name)
    assert frame.source == f"http://{server}/locked/1"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.jpg", "cannot be fetched: the server says 404 Not Found"),
        ("locked.png", "cannot be fetched: the server says 401 Unauthorized"),
        ("broken/1", "cannot be read"),
    ],
)
def test_what_cannot_be_fetched_is_refused_in_a_line(server: str, path: str, message: str) -> None:
    name = f"http://{server}/{path}"
    assert not is_video(name)
    with pytest.raises(DataError, match=message) as error:
        next(read_frames(name))
    assert str(error.value).startswith(name)


def test_a_server_that_is_not_there_is_told_by_its_name() -> None:
    assert is_video("http://127.0.0.1:9/stream")
    assert not is_video("http://127.0.0.1:9/a.jpg")
    with pytest.raises(DataError, match=r"^http://127\.0\.0\.1:9/a\.jpg cannot be fetched: .*refused"):
        next(read_frames("http://127.0.0.1:9/a.jpg"))


def test_no_server_is_asked_about_a_video(server: str) -> None:
    assert is_video(f"http://{server}/a.mp4")
    assert is_video(f"rtsp://{server}/1")
    assert Pictures.asked == []


def test_a_picture_needs_no_pyav(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (frame,) = read_frames(f"http://{server}/snapshot/1")
    assert frame.picture.shape == (40, 60, 3)
