import io
import os
import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self
from urllib.parse import quote

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clips import Actor, Clip, at, scene, write_clip
from mien.errors import DataError, ExtraError
from mien.io import video_reader as video
from mien.io.frame import Frame, FrameSelection
from mien.io.video_reader import count_frames, read_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Two seconds, with sound; a new background every half second tells times apart."""
    path = tmp_path_factory.mktemp("clips") / "größer 1:2.mp4"
    return write_clip(path, [Actor(at(160, 120))], cuts=(0.5, 1.0, 1.5), sound=True)


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


def read(path: Path, **options: float) -> tuple[list[Frame], str]:
    """All frames, and what the error after them says."""
    frames = []
    try:
        for frame in read_video(str(path), selection=FrameSelection(**options)):
            frames.append(frame)  # noqa: PERF402  # those before the error count
    except DataError as error:
        return frames, str(error)
    return frames, ""


def fast_start(source: Path, target: Path) -> bytes:
    """The same video with its index at its front, so that it can be cut short."""
    with av.open(str(source)) as old, av.open(str(target), "w", options={"movflags": "+faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return target.read_bytes()


def test_all_frames_come_with_their_times(clip: Clip) -> None:
    frames, error = read(clip.path)
    assert error == ""
    assert [frame.seconds for frame in frames] == pytest.approx(clip.seconds, abs=1e-4)
    assert {(frame.source, frame.moving) for frame in frames} == {(str(clip.path), True)}
    assert all(difference(frame.picture, truth) < 4 for frame, truth in zip(frames, clip.pictures, strict=True))
    assert count_frames(str(clip.path)) == len(frames)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_frames_are_turned_upright(tmp_path: Path, rotation: int) -> None:
    clip = write_clip(tmp_path / "a.mp4", [Actor(at(80, 90))], duration=0.2, rotation=rotation)
    frames, _ = read(clip.path)
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
    frames, _ = read(path)
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
    frames, _ = read(tmp_path / "a.mov")
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
def test_some_frames_are_taken_by_time(clip: Clip, options: dict[str, float], expected: list[float]) -> None:
    frames, error = read(clip.path, **options)
    assert [frame.seconds for frame in frames] == pytest.approx(expected, abs=1e-3)
    assert error == ""
    for frame in frames:
        assert difference(frame.picture, clip.pictures[round(frame.seconds * 25)]) < 4
    if options != {"every": 0.001, "end": 0.1}:  # more often than there are frames
        assert count_frames(str(clip.path), selection=FrameSelection(**options)) == pytest.approx(len(expected), abs=1)


def test_frames_are_made_smaller_when_asked_for(clip: Clip) -> None:
    frames, _ = read(clip.path, max_side=160, end=0.2)
    by_hand = clip.pictures[0].reshape(120, 2, 160, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    assert difference(frames[0].picture, by_hand) < 4


def test_frames_are_read_as_they_are_asked_for_and_the_file_let_go_of(clip: Clip) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs the list of open files")

    def is_open() -> bool:
        return clip.path in [each.resolve() for each in Path("/proc/self/fd").iterdir()]

    frames = read_video(str(clip.path))
    assert not is_open()
    next(frames)
    assert is_open()
    frames.close()
    assert not is_open()


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 90, np.uint8), "rgb24")
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    frames, _ = read(tmp_path / "a.mp4")
    assert frames[0].picture.shape == (120, 320, 3)


def test_what_is_no_video_is_refused_in_a_line(clip: Clip, tmp_path: Path) -> None:
    whole = clip.path.read_bytes()
    for name, content in {
        "text.mp4": b"not a video\n" * 99,
        "empty.mp4": b"",
        "half.mp4": whole[: len(whole) // 2],
    }.items():
        (tmp_path / name).write_bytes(content)
        frames, error = read(tmp_path / name)
        assert frames == []
        assert error == f"{tmp_path / name} cannot be read: it is no video, is cut short, or is broken at its start"
    assert read(tmp_path / "none.mp4")[1] == f"{tmp_path / 'none.mp4'}: there is no such file"
    (tmp_path / "folder.mp4").mkdir()
    assert "folder.mp4 cannot be read" in read(tmp_path / "folder.mp4")[1]


def test_a_video_that_was_cut_short_gives_what_there_is_and_says_so(clip: Clip, tmp_path: Path) -> None:
    content = fast_start(clip.path, tmp_path / "whole.mp4")
    assert read(tmp_path / "whole.mp4")[1] == ""
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 6 // 10])
    frames, error = read(tmp_path / "cut.mp4")
    assert 5 < len(frames) < 45
    assert all(difference(frame.picture, clip.pictures[n]) < 4 for n, frame in enumerate(frames))
    assert "cut.mp4 was not read whole: it ends after" in error
    assert "of 2.0 seconds" in error
    assert read(tmp_path / "cut.mp4", end=0.2)[1] == ""


def test_broken_frames_are_left_out_and_counted(clip: Clip, tmp_path: Path) -> None:
    content = bytearray(fast_start(clip.path, tmp_path / "whole.mp4"))
    with av.open(str(tmp_path / "whole.mp4")) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for number in (20, 30):
        place, size = packets[number]
        content[place : place + size] = b"\xff" * size
    (tmp_path / "broken.mp4").write_bytes(content)
    frames, error = read(tmp_path / "broken.mp4")
    assert len(packets) - 12 <= len(frames) < len(packets)
    assert error.startswith(f"{tmp_path / 'broken.mp4'} was not read whole: ")
    assert "broken frame" in error
    times = [frame.seconds for frame in frames]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(clip.seconds[-1], abs=1e-3)


def test_videos_without_a_frame(clip: Clip, tmp_path: Path) -> None:
    with av.open(str(clip.path)) as old, av.open(str(tmp_path / "sound.mp4"), "w") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(old.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    assert (
        read(tmp_path / "sound.mp4")[1]
        == f"{tmp_path / 'sound.mp4'} must be a video, got a file without moving pictures"
    )
    (tmp_path / "none.y4m").write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n")
    assert read(tmp_path / "none.y4m")[1] == f"{tmp_path / 'none.y4m'} holds no frame that can be read"


def test_a_start_beyond_the_end(clip: Clip) -> None:
    assert read(clip.path, start=9) == ([], f"{clip.path} is over before 9 seconds, where it should start")


def test_frames_that_are_too_large_are_refused_before_they_are_made(tmp_path: Path) -> None:
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W20000 H20000 F25:1 Ip A1:1 C420jpeg\nFRAME\n")
    frames, error = read(tmp_path / "a.y4m")
    assert frames == []
    assert "a.y4m" in error
    assert len(error.splitlines()) == 1


def test_later_frames_that_are_too_large_are_left_out(tmp_path: Path) -> None:
    """The header of a video says how large its first frame is."""
    with av.open(str(tmp_path / "a.avi"), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 176, "yuvj420p"
        for number, (width, height) in enumerate([(192, 176)] * 3 + [(16000, 16000)] + [(192, 176)] * 2):
            content = io.BytesIO()
            Image.new("L", (width, height), 90).save(content, "JPEG")
            packet = av.Packet(content.getvalue())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 25)
            file.mux(packet)
    frames, error = read(tmp_path / "a.avi")
    assert [frame.picture.shape for frame in frames] == [(176, 192, 3)] * 5
    assert error.endswith("was not read whole: 1 broken frame left out")


@pytest.mark.parametrize(
    ("aspect", "message"),
    [
        (Fraction(20000), "must have frames of at most 67,108,864 pixels"),
        (Fraction(1, 100_000), "has pixels 100,000 times as high as wide, and so no picture"),
    ],
)
def test_odd_shapes_of_pixels_are_refused_in_a_line(tmp_path: Path, aspect: Fraction, message: str) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 3
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((120, 160, 3), 90, np.uint8), "rgb24")))
        file.mux(stream.encode())
    content = (tmp_path / "a.mp4").read_bytes()
    stated = struct.pack(">4s2I", b"pasp", aspect.numerator, aspect.denominator)
    (tmp_path / "a.mp4").write_bytes(content.replace(struct.pack(">4s2I", b"pasp", 3, 1), stated))
    frames, error = read(tmp_path / "a.mp4")
    assert frames == []
    assert message in error


def test_an_unknown_codec_is_refused_in_a_line(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(clip.path.read_bytes().replace(b"avc1", b"qqqq"))
    assert read(path) == ([], f"{path} cannot be read: its pictures are coded in a way that FFmpeg does not know")
    with pytest.raises(DataError, match="FFmpeg does not know"):
        count_frames(str(path))


def test_the_cover_of_a_song_is_no_video(clip: Clip, tmp_path: Path) -> None:
    song, cover = tmp_path / "song.mp4", io.BytesIO()
    Image.new("RGB", (64, 64)).save(cover, "PNG")
    with av.open(str(clip.path)) as old, av.open(str(song), "w") as new:
        sound = new.add_stream_from_template(old.streams.audio[0])
        picture = new.add_stream("png", rate=1)
        picture.width = picture.height = 64
        picture.pix_fmt, picture.disposition = "rgb24", av.stream.Disposition.attached_pic
        packet = av.Packet(cover.getvalue())
        packet.stream, packet.pts, packet.dts, packet.time_base = picture, 0, 0, Fraction(1)
        new.mux(packet)
        for packet in old.demux(audio=0):
            if packet.dts is not None:
                packet.stream = sound
                new.mux(packet)
    assert read(song) == ([], f"{song} must be a video, got a file without moving pictures")


@pytest.mark.parametrize("start", [1e15, 1e300])
def test_a_start_beyond_all_time_is_over(clip: Clip, start: float) -> None:
    assert read(clip.path, start=start) == ([], f"{clip.path} is over before {start} seconds, where it should start")
    assert count_frames(str(clip.path), selection=FrameSelection(start=start)) == 0


@pytest.mark.parametrize("every", [1e-9, 1e-300])
def test_steps_shorter_than_frames_give_all_frames(clip: Clip, every: float) -> None:
    assert len(read(clip.path, every=every)[0]) == 50
    assert count_frames(str(clip.path), selection=FrameSelection(every=every)) == 50


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_text(clip: Clip, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    path.write_bytes(b"")
    assert "caf\ufffd.mp4 cannot be read" in read(path)[1]
    path.write_bytes(clip.path.read_bytes())
    frames, _ = read(path)
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

    def demux(self, stream: av.VideoStream) -> Iterator[av.Packet]:
        for number, packet in enumerate(self._container.demux(stream)):
            if number == self._packets:
                raise OSError(19, "No such device")
            yield packet


def test_a_camera_that_is_unplugged_gives_what_it_saw_and_says_so(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_open", lambda _: Unplugged(clip, 40))
    frames, error = read(Path("webcam:0"))
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
    assert read(Path("webcam:97"))[1].startswith("webcam:97: the camera cannot be opened: ")
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
    assert read(Path(f"webcam:{which}"))[1] == f"webcam:{which}: the camera cannot be opened: nothing here"
    assert asked == [expected]


def test_without_pyav_the_extra_is_named(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ExtraError, match=r"\[video\]"):
        next(read_video(str(clip.path)))
