"""The times of frames: whatever time stamps a container has, each frame gets its own."""

import io
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from clips import Actor, at, write_clip
from mien.errors import DataError
from mien.io.frame import FrameSelection
from mien.io.video_clock import with_arrivals
from mien.io.video_reader import read_video

Stamp = Callable[[int, Any], None]  # changes the time stamps of a packet, given its number


def seconds_of(path: Path | str, **options: Any) -> list[float]:
    return [frame.seconds for frame in read_video(str(path), selection=FrameSelection(**options))]


def numbered(path: Path, *, codec: str = "libx264", count: int = 60) -> Path:
    """A video whose frame n is 4 n bright, 25 frames a second, coded in another order than that of display."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=25, options={"bf": "3", "g": "20"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(count):
            picture = np.full((240, 320, 3), 4 * number, np.uint8)
            picture[:, 4 * number : 4 * number + 30] = 255 - 4 * number
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode(None))
    return path


def restamped(source: Path, target: Path, stamp: Stamp) -> Path:
    """The same video with other time stamps."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            if packet.dts is not None:
                stamp(number, packet)
                packet.stream = stream
                new.mux(packet)
    return target


def test_a_variable_frame_rate_is_told_as_it_is(tmp_path: Path) -> None:
    times = [0, 0.04, 0.05, 0.3, 0.31, 1.0, 1.5, 1.51]
    clip = write_clip(tmp_path / "a.mp4", [Actor(at(160, 120))], times=times)
    assert seconds_of(clip.path) == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "codec"),
    [(f"a{suffix}", "libx264") for suffix in (".avi", ".wmv", ".mp4", ".mkv", ".flv", ".ts", ".mov")]
    + [(f"a{suffix}", "mpeg4") for suffix in (".avi", ".wmv", ".mp4", ".mkv", ".ts")],
)
def test_frames_coded_out_of_order_have_their_own_times(tmp_path: Path, name: str, codec: str) -> None:
    frames = list(read_video(str(numbered(tmp_path / name, codec=codec))))
    assert [frame.seconds for frame in frames] == pytest.approx([n / 25 for n in range(60)], abs=2e-3)
    shown = [float(frame.picture[:, :2].mean()) for frame in frames[1:]]
    assert shown == pytest.approx([4 * n for n in range(1, 60)], abs=8)


@pytest.mark.parametrize("name", ["a.avi", "a.wmv", "a.mp4"])
def test_a_start_finds_its_frames_whatever_the_time_stamps(tmp_path: Path, name: str) -> None:
    frames = list(read_video(str(numbered(tmp_path / name)), selection=FrameSelection(start=1.0, end=1.4)))
    assert [frame.seconds for frame in frames] == pytest.approx([n / 25 for n in range(25, 35)], abs=2e-3)
    assert [float(frame.picture[:, :2].mean()) for frame in frames] == pytest.approx(range(100, 140, 4), abs=8)


def test_times_of_decoding_given_as_those_of_display(tmp_path: Path) -> None:
    def by_decoding(_: int, packet: Any) -> None:
        packet.pts = packet.dts

    path = restamped(numbered(tmp_path / "a.mp4"), tmp_path / "b.mp4", by_decoding)
    seconds = seconds_of(path)
    assert len(set(seconds)) > 50
    assert seconds == sorted(seconds)
    assert seconds[10:] == pytest.approx([n / 25 for n in range(10, len(seconds))], abs=0.13)


def test_two_frames_out_of_order_shift_nothing(tmp_path: Path) -> None:
    """The second of the two has the time of the first; what follows is in time."""
    clip = write_clip(tmp_path / "a.mp4", [Actor(at(160, 120))], duration=0.4)

    def swap(number: int, packet: Any) -> None:
        packet.pts += {3: 512, 4: -512}.get(number, 0)
        packet.dts -= 1024

    seconds = seconds_of(restamped(clip.path, tmp_path / "b.mp4", swap))
    truth = [n / 25 for n in range(10)]
    assert seconds[:3] + seconds[5:] == pytest.approx(truth[:3] + truth[5:], abs=1e-3)
    assert seconds[3] == seconds[4] == pytest.approx(truth[4], abs=1e-3)


def test_recordings_put_end_to_end_are_one(tmp_path: Path) -> None:
    """Their clocks begin anew in the middle; what is told goes on."""
    write_clip(tmp_path / "a.ts", [Actor(at(160, 120))], duration=0.8)
    write_clip(tmp_path / "b.ts", [Actor(at(100, 120))], duration=0.4)
    both = tmp_path / "both.ts"
    both.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    seconds = seconds_of(both)
    assert len(seconds) == 30
    assert seconds == pytest.approx([number / 25 for number in range(30)], abs=0.02)
    assert len(seconds_of(both, every=0.1)) == 12


def test_a_clock_that_jumps_by_years_was_set(tmp_path: Path) -> None:
    """As a camera that learns the time while it records."""
    clip = write_clip(tmp_path / "a.mkv", [Actor(at(160, 120))], duration=0.8)
    jump = round(55 * 365.25 * 86400 * 1000)

    def set_clock(number: int, packet: Any) -> None:
        packet.pts += jump * (number >= 10)
        packet.dts += jump * (number >= 10)

    path = restamped(clip.path, tmp_path / "b.mkv", set_clock)
    assert seconds_of(path, every=0.2) == pytest.approx([0, 0.2, 0.4, 0.6], abs=1e-3)
    assert seconds_of(path) == pytest.approx([number / 25 for number in range(20)], abs=2e-3)


@pytest.mark.parametrize("gap", [7.0, 900.0])
def test_a_gap_of_seconds_or_minutes_is_no_jump(tmp_path: Path, gap: float) -> None:
    times = [0, 0.1, 0.2, gap, gap + 0.1]
    clip = write_clip(tmp_path / "a.mkv", [Actor(at(160, 120))], times=times)
    assert seconds_of(clip.path) == pytest.approx(times, abs=2e-3)


class Camera(BaseHTTPRequestHandler):
    """Serves pictures one after the other, as cameras do, without a time stamp."""

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for shade in range(0, 200, 10):
            stream = io.BytesIO()
            Image.new("RGB", (320, 240), (shade, shade, shade)).save(stream, "JPEG")
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n")
            self.wfile.write(b"Content-Length: %d\r\n\r\n%b\r\n" % (stream.tell(), stream.getvalue()))


@pytest.fixture
def camera() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/stream"
        server.shutdown()


def test_packets_that_waited_for_a_stream_to_open_arrived_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg reads raw H.264 for five seconds until it knows what it is; then all of that comes at once."""
    now = 105.0
    monkeypatch.setattr("mien.io.video_clock.time", SimpleNamespace(monotonic=lambda: now))

    def packets() -> Iterator[int]:
        nonlocal now
        yield from range(49)
        for number in range(49, 60):
            now += 0.1
            yield number

    told = list(with_arrivals(packets(), opened=100.0))
    assert [packet for packet, _ in told] == list(range(60))
    evenly = [100 + 5.1 * (n + 1) / 50 for n in range(50)]
    assert [seconds for _, seconds in told] == pytest.approx([*evenly, *(105.2 + n / 10 for n in range(10))])


def test_a_stream_without_time_stamps_is_timed_by_arrival(camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(100, 1000) * 0.2)  # five frames a second
    monkeypatch.setattr("mien.io.video_clock.time", SimpleNamespace(monotonic=lambda: float(next(clock))))

    def read(**options: Any) -> list[float]:
        seconds = []
        try:
            for frame in read_video(camera, selection=FrameSelection(**options)):
                assert frame.live
                seconds.append(frame.seconds)
        except DataError as error:  # the camera is gone
            assert "was not read whole: it stopped after 3.8 seconds" in str(error)  # noqa: PT017
        return seconds

    assert read() == pytest.approx([n / 5 for n in range(20)], abs=1e-6)
    assert read(every=1) == pytest.approx([0, 1, 2, 3], abs=1e-6)
