import gc
import os
import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import quote

import av
import numpy as np
import pytest

from clips import Actor, Clip, at, difference, fast_start, read_all, scene, write_clip
from mien.errors import DataError, ExtraError
from mien.io.frame import FrameSelection
from mien.io.video_reader import count_frames, read_video


def test_all_frames_come_with_their_times(clip: Clip) -> None:
    frames, error = read_all(clip.path)
    assert error == ""
    assert [frame.seconds for frame in frames] == pytest.approx(clip.seconds, abs=1e-4)
    assert {(frame.source, frame.moving) for frame in frames} == {(str(clip.path), True)}
    assert all(difference(frame.picture, truth) < 4 for frame, truth in zip(frames, clip.pictures, strict=True))
    assert count_frames(str(clip.path)) == len(frames)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_frames_are_turned_upright(tmp_path: Path, rotation: int) -> None:
    clip = write_clip(tmp_path / "a.mp4", [Actor(at(80, 90))], duration=0.2, rotation=rotation)
    frames, _ = read_all(clip.path)
    assert frames[0].picture.shape == (240, 320, 3)
    assert difference(frames[0].picture, clip.pictures[0]) < 4


def test_a_phone_held_upright_is_understood(tmp_path: Path) -> None:
    """The matrix that phones write: to be turned clockwise by a quarter, by the standard's own definition."""
    path = tmp_path / "a.mp4"
    clip = write_clip(path, [Actor(at(80, 90))], duration=0.2)
    content = bytearray(path.read_bytes())
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 240 << 16, 0, 1 << 30)  # (x, y) -> (240 - y, x)
    start = content.index(b"tkhd") + 4 + 40
    content[start : start + 36] = matrix
    path.write_bytes(content)
    frames, _ = read_all(path)
    assert difference(frames[0].picture, np.rot90(clip.pictures[0], -1)) < 4


@pytest.mark.parametrize("flip", ["hflip", "vflip"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_frames_are_mirrored_as_players_show_them(tmp_path: Path, rotation: int, flip: str) -> None:
    shown = scene([Actor(at(80, 90))], 0)
    undone = shown[:, ::-1] if flip == "hflip" else shown[::-1]
    stored = np.ascontiguousarray(np.rot90(undone, -rotation // 90))
    with av.open(str(tmp_path / "a.mov"), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.height, stream.width = stored.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(rotation, hflip=flip == "hflip", vflip=flip == "vflip")
        file.mux(stream.encode(av.VideoFrame.from_ndarray(stored, "rgb24")))
        file.mux(stream.encode())
    frames, _ = read_all(tmp_path / "a.mov")
    assert difference(frames[0].picture, shown) < 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"every": 0.2}, [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8]),
        ({"every": 0.5, "start": 0.3}, [0.32, 0.8, 1.32, 1.8]),
        ({"start": 1.9}, [1.92, 1.96]),
        ({"end": 0.12}, [0, 0.04, 0.08]),
        ({"every": 5}, [0]),
        ({"every": 0.001, "end": 0.1}, [0, 0.04, 0.08]),
    ],
)
def test_some_frames_are_taken_by_time(clip: Clip, options: dict[str, Any], expected: list[float]) -> None:
    frames, error = read_all(clip.path, **options)
    assert [frame.seconds for frame in frames] == pytest.approx(expected, abs=1e-3)
    assert error == ""
    for frame in frames:
        assert difference(frame.picture, clip.pictures[round(frame.seconds * 25)]) < 4
    if options != {"every": 0.001, "end": 0.1}:  # more often than there are frames
        assert count_frames(str(clip.path), selection=FrameSelection(**options)) == pytest.approx(len(expected), abs=1)


def test_frames_are_made_smaller_when_asked_for(clip: Clip) -> None:
    frames, _ = read_all(clip.path, max_side=160, end=0.2)
    by_hand = clip.pictures[0].reshape(120, 2, 160, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    assert difference(frames[0].picture, by_hand) < 4


def test_a_file_is_open_only_while_its_frames_are_read(clip: Clip) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs the list of open files")

    def is_open() -> bool:
        return clip.path in [each.resolve() for each in Path("/proc/self/fd").iterdir()]

    frames: Any = read_video(str(clip.path))
    assert not is_open()
    next(frames)
    assert is_open()
    frames.close()
    assert not is_open()


def test_memory_does_not_grow_with_the_frames_read(clip: Clip) -> None:
    gc.disable()  # so that circles of references, which hold whole frames, would stay
    try:
        for number, _ in enumerate(read_video(str(clip.path))):
            if number == 20:
                before = len(gc.get_objects())
        assert len(gc.get_objects()) < before + 10
    finally:
        gc.enable()


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 90, np.uint8), "rgb24")
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    frames, _ = read_all(tmp_path / "a.mp4")
    assert frames[0].picture.shape == (120, 320, 3)


def test_a_start_beyond_the_end(clip: Clip) -> None:
    assert read_all(clip.path, start=9) == ([], f"{clip.path} is over before 9 seconds, where it should start")


@pytest.mark.parametrize("start", [1e15, 1e300])
def test_a_start_beyond_all_time_is_over(clip: Clip, start: float) -> None:
    assert read_all(clip.path, start=start) == (
        [],
        f"{clip.path} is over before {start} seconds, where it should start",
    )
    assert count_frames(str(clip.path), selection=FrameSelection(start=start)) == 0


@pytest.mark.parametrize("every", [1e-9, 1e-300])
def test_steps_shorter_than_frames_give_all_frames(clip: Clip, every: float) -> None:
    assert len(read_all(clip.path, every=every)[0]) == 50
    assert count_frames(str(clip.path), selection=FrameSelection(every=every)) == 50


@pytest.mark.linux
def test_a_name_that_is_no_text(clip: Clip, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    path.write_bytes(b"")
    assert "caf\ufffd.mp4 cannot be read" in read_all(path)[1]
    path.write_bytes(clip.path.read_bytes())
    frames, _ = read_all(path)
    assert (len(frames), frames[0].source) == (50, str(tmp_path / "caf\ufffd.mp4"))


class Unplugged:
    """A camera that gives some packets of a clip, and then is gone."""

    def __init__(self, clip: Clip, packets: int) -> None:
        self._container = av.open(str(clip.path))
        self._packets = packets
        self.streams, self.format = self._container.streams, self._container.format
        self.duration, self.size = None, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def demux(self, stream: av.VideoStream) -> "Iterator[av.Packet[av.VideoStream]]":
        for number, packet in enumerate(self._container.demux(stream)):
            if number == self._packets:
                raise OSError(19, "No such device")
            yield packet


def test_an_unplugged_camera_gives_what_it_saw(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Unplugged(clip, 40)
    monkeypatch.setattr(av, "open", lambda *_, **__: camera)
    frames, error = read_all(Path("webcam:0"))
    assert 10 < len(frames) <= 40
    assert (frames[0].seconds, frames[0].live) == (0, True)
    assert error.startswith("webcam:0 was not read whole: it stopped after 1.")
    assert error.endswith("seconds: No such device")


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    def log_message(self, *_: object) -> None: ...


def test_a_video_is_read_from_a_server_whole_and_in_part(clip: Clip, tmp_path: Path) -> None:
    fast_start(clip.path, tmp_path / "ä.mp4")
    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        name = f"http://127.0.0.1:{server.server_port}/{quote('ä.mp4')}"
        frames = list(read_video(name))
        assert [frame.seconds for frame in frames] == pytest.approx(clip.seconds, abs=1e-4)
        assert {(frame.source, frame.live) for frame in frames} == {(name, False)}
        assert len(list(read_video(name, selection=FrameSelection(end=0.2)))) == 5
        with pytest.raises(DataError, match=r"none\.mp4: the stream cannot be opened: .*404"):
            next(read_video(f"http://127.0.0.1:{server.server_port}/none.mp4"))
        server.shutdown()


def test_a_camera_or_stream_that_is_not_there_is_refused() -> None:
    assert read_all(Path("webcam:97"))[1].startswith("webcam:97: the camera cannot be opened: ")
    with pytest.raises(DataError, match=r"^rtsp://127\.0\.0\.1:9/x: the stream cannot be opened: "):
        next(read_video("rtsp://127.0.0.1:9/x"))
    assert count_frames("webcam:97") == 0


@pytest.mark.parametrize(
    ("platform", "which", "expected"),
    [
        ("linux", "2", ("/dev/video2", "v4l2")),
        ("linux", "/dev/v4l/by-id/x", ("/dev/v4l/by-id/x", "v4l2")),
        ("darwin", "0", ("0", "avfoundation")),
        ("win32", "Integrated Camera", ("video=Integrated Camera", "dshow")),
    ],
)
def test_each_system_opens_cameras_in_its_way(
    platform: str, which: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def refuse(name: str, **options: object) -> None:
        asked.append((name, str(options["format"])))
        raise OSError(2, "nothing here")

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(av, "open", refuse)
    assert read_all(Path(f"webcam:{which}"))[1] == f"webcam:{which}: the camera cannot be opened: nothing here"
    assert asked == [expected]


def test_without_pyav_the_extra_is_named(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ExtraError, match="videos needs more packages"):
        next(read_video(str(clip.path)))
