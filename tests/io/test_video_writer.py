import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from clips import Actor, Clip, at, write_clip
from mien.errors import ExtraError, OutputError
from mien.io.frame import FrameSelection
from mien.io.video_reader import read_video
from mien.io.video_writer import video_writer

resource: Any = pytest.importorskip("resource") if sys.platform != "win32" else None


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    return write_clip(path, [Actor(at(160, 120))], cuts=(0.5, 1.0), sound=True)


def copy(clip: Clip, path: Path, *, sound: bool = True, **options: Any) -> None:
    with video_writer(path, sound=str(clip.path) if sound else None) as writer:
        for frame in read_video(str(clip.path), selection=FrameSelection(**options)):
            writer.write(frame.picture, seconds=frame.seconds)


def sounds(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.dts is not None]
        return [(float((packet.pts or 0) * packet.time_base), bytes(packet)) for packet in packets]


def frames(path: Path) -> list[NDArray[np.uint8]]:
    return [frame.picture for frame in read_video(str(path))]


def test_browsers_can_play_it(clip: Clip, tmp_path: Path) -> None:
    copy(clip, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert "mp4" in container.format.name
        (stream,) = container.streams.video
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it plays before all of it is there
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_pictures_times_and_colours_come_back(clip: Clip, tmp_path: Path) -> None:
    copy(clip, tmp_path / "out.mp4")
    seen = list(read_video(str(tmp_path / "out.mp4")))
    assert [frame.seconds for frame in seen] == pytest.approx(clip.seconds, abs=1e-4)
    for frame, truth in zip(seen, clip.pictures, strict=True):
        shift = (frame.picture.astype(int) - truth).mean(axis=(0, 1))
        assert np.abs(shift).max() < 3
        assert np.abs(frame.picture.astype(int) - truth).mean() < 6


def test_pure_colours_are_told_to_players_as_hd_colours(tmp_path: Path) -> None:
    patches = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)
    picture = patches.repeat(120, axis=0).repeat(160, axis=1)
    with video_writer(tmp_path / "out.mp4") as writer:
        writer.write(picture, seconds=0)
    with av.open(str(tmp_path / "out.mp4")) as container:
        (frame,) = container.decode(video=0)
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
    luma = frame.to_ndarray()[:240][[60, 60, 180, 180], [80, 240, 80, 240]]
    weights = np.array([0.2126, 0.7152, 0.0722])  # of ITU-R 709
    assert luma == pytest.approx(16 + 219 / 255 * (patches.reshape(4, 3) @ weights), abs=3)


def test_the_sound_is_copied_bit_for_bit(clip: Clip, tmp_path: Path) -> None:
    copy(clip, tmp_path / "out.mp4")
    before, after = sounds(clip.path), sounds(tmp_path / "out.mp4")
    assert len(after) >= len(before) - 2
    assert [content for _, content in after] == [content for _, content in before[: len(after)]]
    assert [at for at, _ in after] == pytest.approx([at for at, _ in before[: len(after)]], abs=1e-3)


def film(path: Path, codec: str, *, rate: int = 44_100, stamp: Callable[[int], int] | None = None) -> Path:
    """Two seconds of pictures and a tone, its packets' times in milliseconds changed where `stamp` gives others."""
    picture = np.full((48, 64, 3), 90, np.uint8)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        tone: Any = file.add_stream(codec, rate=rate, layout="stereo")
        for _ in range(50):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode())
        wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave.repeat(2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(tone.format, tone.layout, rate, frame_size=tone.frame_size or 1024)
        packets = [packet for part in [*resampler.resample(frame), None] for packet in tone.encode(part)]
        for number, packet in enumerate(packets):
            if stamp is not None:
                packet.pts = packet.dts = stamp(number)
                packet.time_base = Fraction(1, 1000)
            file.mux(packet)
    return path


def drawn(source: Path, target: Path) -> list[str]:
    """Write a copy of a film, and return what was said of its sound."""
    said: list[str] = []
    with video_writer(target, sound=str(source), warn=said.append) as writer:
        for frame in read_video(str(source)):
            writer.write(frame.picture, seconds=frame.seconds)
    return said


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.mp4", "libmp3lame", 44_100),
        ("a.avi", "libmp3lame", 44_100),
        ("a.avi", "aac", 44_100),
        ("a.avi", "ac3", 48_000),
        ("a.mkv", "flac", 44_100),
        ("a.mkv", "alac", 44_100),
        ("a.mkv", "libopus", 48_000),
        ("a.ts", "aac", 44_100),
        ("a.mkv", "eac3", 48_000),
    ],
)
def test_sound_that_browsers_play_is_kept(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    assert drawn(film(tmp_path / name, codec, rate=rate), tmp_path / "out.mp4") == []
    before, after = sounds(tmp_path / name), sounds(tmp_path / "out.mp4")
    assert len(after) >= len(before) - 3
    assert 1.8 < after[-1][0] < 2.05
    assert len(frames(tmp_path / "out.mp4")) == 50


def test_packets_of_sound_at_one_time_follow_one_another(tmp_path: Path) -> None:
    """As containers give them that count time in steps longer than a packet."""
    source = film(tmp_path / "a.mkv", "aac", stamp=lambda number: number * 1024 * 1000 // 44_100 // 100 * 100)
    assert len({at for at, _ in sounds(source)}) < len(sounds(source)) / 3
    assert drawn(source, tmp_path / "out.mp4") == []
    after = sounds(tmp_path / "out.mp4")
    assert [content for _, content in after] == [content for _, content in sounds(source)][: len(after)]
    assert np.diff([at for at, _ in after]).min() > 0
    assert [at for at, _ in after] == pytest.approx([n * 1024 / 44_100 for n in range(len(after))], abs=0.1)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "pcm_s16le"), ("a.mov", "pcm_s16le"), ("a.mkv", "mp2"), ("a.flv", "adpcm_swf")]
)
def test_other_sound_is_left_out_with_a_remark(tmp_path: Path, name: str, codec: str) -> None:
    source = film(tmp_path / name, codec)
    assert drawn(source, tmp_path / "out.mp4") == [f"{source}: its sound is left out, since MP4 does not take {codec}"]
    assert len(frames(tmp_path / "out.mp4")) == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["out.mp4", name])


def test_sound_that_fails_costs_no_picture(tmp_path: Path) -> None:
    """AAC whose description is missing, so that no player knows it."""
    source = film(tmp_path / "a.avi", "aac")
    content = bytearray(source.read_bytes())
    extra = content.rindex(b"strf") + 8 + 16  # how long the description is
    assert content[extra : extra + 2] == b"\x05\x00"
    content[extra] = 0
    source.write_bytes(content)
    (remark,) = drawn(source, tmp_path / "out.mp4")
    assert remark.startswith(f"{source}: its sound is left out, since it cannot be copied: ")
    assert len(frames(tmp_path / "out.mp4")) == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.avi", "out.mp4"]


def test_a_part_keeps_picture_and_sound_together(clip: Clip, tmp_path: Path) -> None:
    copy(clip, tmp_path / "out.mp4", start=0.48, end=1.2)
    seen = list(read_video(str(tmp_path / "out.mp4")))
    assert [frame.seconds for frame in seen] == pytest.approx([n / 25 for n in range(18)], abs=1e-3)
    assert np.abs(seen[0].picture.astype(int) - clip.pictures[12]).mean() < 6
    before = {content: at for at, content in sounds(clip.path)}
    after = sounds(tmp_path / "out.mp4")
    assert [at for at, _ in after] == pytest.approx([before[content] - 0.48 for _, content in after], abs=2e-3)
    assert after[0][0] < 0.08
    assert 0.6 < after[-1][0] < 0.85


def test_times_of_fewer_frames_stay_true(clip: Clip, tmp_path: Path) -> None:
    copy(clip, tmp_path / "out.mp4", every=0.4)
    assert [frame.seconds for frame in read_video(str(tmp_path / "out.mp4"))] == pytest.approx([0, 0.4, 0.8, 1.2, 1.6])


def test_silent_and_odd_ones(tmp_path: Path) -> None:
    silent = write_clip(tmp_path / "silent.mp4", [Actor(at(160, 120))], duration=0.2)
    copy(silent, tmp_path / "out.mp4")
    assert len(frames(tmp_path / "out.mp4")) == 5
    with video_writer(tmp_path / "odd.mp4") as writer:
        for shape in ((121, 161, 3), (60, 80, 3)):
            writer.write(np.full(shape, 90, np.uint8), seconds=0)
    assert [picture.shape for picture in frames(tmp_path / "odd.mp4")] == [(120, 160, 3)] * 2


@pytest.mark.parametrize("count", [0, 3])
def test_an_error_leaves_what_was_there(tmp_path: Path, count: int) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")

    def fail() -> None:
        with video_writer(path) as writer:
            for number in range(count):
                writer.write(np.zeros((48, 64, 3), np.uint8), seconds=number)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_without_frames_there_is_no_file(tmp_path: Path) -> None:
    with video_writer(tmp_path / "out.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [("none/out.mp4", "cannot write .*out.mp4: "), ("out.gif", "must end in .mp4, .m4v, .mov, got")],
)
def test_what_cannot_be_written_is_said_before_any_work(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(OutputError, match=message), video_writer(tmp_path / name):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.linux
def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)

    def fill() -> None:
        with video_writer(tmp_path / "out.mp4") as writer:
            for number in range(30):
                writer.write(noise.integers(0, 256, (240, 320, 3), np.uint8), seconds=number)

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*out\.mp4"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ExtraError, match="videos needs more packages"), video_writer(tmp_path / "out.mp4"):
        pytest.fail("the block must not run")
