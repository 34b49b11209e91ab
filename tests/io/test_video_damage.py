"""Videos that are broken, odd or too large: a line says what is wrong, and what can be read is there."""

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from clips import Clip, difference, fast_start, read_all
from mien.errors import DataError
from mien.io.video_reader import count_frames


def test_what_is_no_video_is_refused_in_a_line(clip: Clip, tmp_path: Path) -> None:
    whole = clip.path.read_bytes()
    for name, content in {
        "text.mp4": b"not a video\n" * 99,
        "empty.mp4": b"",
        "half.mp4": whole[: len(whole) // 2],
    }.items():
        (tmp_path / name).write_bytes(content)
        frames, error = read_all(tmp_path / name)
        assert frames == []
        assert error == f"{tmp_path / name} cannot be read: it is no video, is cut short, or is broken at its start"
    assert read_all(tmp_path / "none.mp4")[1] == f"{tmp_path / 'none.mp4'}: there is no such file"
    (tmp_path / "folder.mp4").mkdir()
    assert "folder.mp4 cannot be read" in read_all(tmp_path / "folder.mp4")[1]


def test_a_list_of_other_files_is_no_video(clip: Clip, tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(clip.path.read_bytes())
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with av.open(str(tmp_path / "list.mp4")) as followed:  # as FFmpeg does unless it is told not to
        assert next(followed.decode(video=0)).width > 0
    frames, error = read_all(tmp_path / "list.mp4")
    assert frames == []
    assert error.endswith("list.mp4 cannot be read: it is no video, is cut short, or is broken at its start")


def test_a_video_cut_short_gives_what_there_is(clip: Clip, tmp_path: Path) -> None:
    content = fast_start(clip.path, tmp_path / "whole.mp4")
    assert read_all(tmp_path / "whole.mp4")[1] == ""
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 6 // 10])
    frames, error = read_all(tmp_path / "cut.mp4")
    assert 5 < len(frames) < 45
    assert all(difference(frame.picture, clip.pictures[n]) < 4 for n, frame in enumerate(frames))
    assert "cut.mp4 was not read whole: it ends after" in error
    assert "of 2.0 seconds" in error
    assert read_all(tmp_path / "cut.mp4", end=0.2)[1] == ""


def test_broken_frames_are_left_out_and_counted(clip: Clip, tmp_path: Path) -> None:
    content = bytearray(fast_start(clip.path, tmp_path / "whole.mp4"))
    with av.open(str(tmp_path / "whole.mp4")) as container:
        packets = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    for number in (20, 30):
        place, size = packets[number]
        content[place : place + size] = b"\xff" * size
    (tmp_path / "broken.mp4").write_bytes(content)
    frames, error = read_all(tmp_path / "broken.mp4")
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
        read_all(tmp_path / "sound.mp4")[1]
        == f"{tmp_path / 'sound.mp4'} must be a video, got a file without moving pictures"
    )
    (tmp_path / "none.y4m").write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n")
    assert read_all(tmp_path / "none.y4m")[1] == f"{tmp_path / 'none.y4m'} holds no frame that can be read"


def test_frames_too_large_are_refused_before_they_are_made(tmp_path: Path) -> None:
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W20000 H20000 F25:1 Ip A1:1 C420jpeg\nFRAME\n")
    frames, error = read_all(tmp_path / "a.y4m")
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
    frames, error = read_all(tmp_path / "a.avi")
    assert [frame.picture.shape for frame in frames] == [(176, 192, 3)] * 5
    assert error.endswith("was not read whole: 1 broken frame left out")


@pytest.mark.parametrize(
    ("aspect", "message"),
    [
        (Fraction(20000), "must have frames of at most 35,651,584 pixels"),
        (Fraction(1, 100_000), "has pixels 100,000 times as high as wide, and so no picture"),
    ],
)
def test_odd_shapes_of_pixels_are_refused_in_a_line(tmp_path: Path, aspect: Fraction, message: str) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((120, 160, 3), 90, np.uint8), "rgb24")))
        file.mux(stream.encode())
    content = (tmp_path / "a.mp4").read_bytes()
    stated = struct.pack(">4s2I", b"pasp", aspect.numerator, aspect.denominator)
    (tmp_path / "a.mp4").write_bytes(content.replace(struct.pack(">4s2I", b"pasp", 3, 1), stated))
    frames, error = read_all(tmp_path / "a.mp4")
    assert frames == []
    assert message in error


def test_an_unknown_codec_is_refused_in_a_line(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(clip.path.read_bytes().replace(b"avc1", b"qqqq"))
    assert read_all(path) == ([], f"{path} cannot be read: its pictures are coded in a way that FFmpeg does not know")
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
        image = av.Packet(cover.getvalue())
        image.stream, image.pts, image.dts, image.time_base = picture, 0, 0, Fraction(1)
        new.mux(image)
        for packet in old.demux(audio=0):
            if packet.dts is not None:
                packet.stream = sound
                new.mux(packet)
    assert read_all(song) == ([], f"{song} must be a video, got a file without moving pictures")
