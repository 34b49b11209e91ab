"""Odd videos among good ones, from the command line: each is named and left out, and the rest goes on."""

import csv
import struct
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest

from clips import Actor, Clip, at, write_clip
from support import run_mien


def sound_packets(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.demux(audio=0)) if container.streams.audio else 0


def write_wide(name: str, aspect: int) -> None:
    """A video whose pixels are said to be `aspect` times as wide as high."""
    with av.open(name, "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((120, 160, 3), 90, np.uint8), "rgb24")))
        file.mux(stream.encode())
    old, new = (struct.pack(">4s2I", b"pasp", each, 1) for each in (3, aspect))
    Path(name).write_bytes(Path(name).read_bytes().replace(old, new))


@pytest.mark.parametrize("options", [[], ["--every", "0.2s"], ["--every", "1e-9"], ["--draw", "drawn"]])
def test_odd_videos_do_not_end_the_command(
    clip: Clip, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    content = clip.path.read_bytes()
    Path("codec.mp4").write_bytes(content.replace(b"avc1", b"qqqq"))
    write_wide("wide.mp4", 20_000)
    Path("noise.avi").write_bytes(b"RIFF\xff\xff\xff\x7fAVI LIST" + bytes(range(256)) * 20)
    odd = ["codec.mp4", "wide.mp4", "noise.avi"]
    outcome = run_mien("predict", odd[0], clip.path, *odd[1:], "-m", model, "-o", "rows.csv", *options)
    assert outcome.code == 1
    assert outcome.err.endswith("mien: 3 of 4 sources could not be read whole; they are named above\n")
    assert all(f"left out: {name}" in outcome.err for name in odd)
    with Path("rows.csv").open() as file:
        assert {row["source"] for row in csv.DictReader(file)} == {str(clip.path)}


def test_a_start_beyond_all_time_names_the_video(clip: Clip, model: Path) -> None:
    outcome = run_mien("predict", clip.path, "-m", model, "--start", "1e15")
    assert outcome.code == 1
    assert outcome.err.endswith(f"{clip.path} is over before 1000000000000000.0 seconds, where it should start\n")


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    def log_message(self, *_: object) -> None: ...


def test_the_copy_of_a_video_by_http_keeps_its_sound(model: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", [Actor(at(160, 120))], duration=1, sound=True)
    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        name = f"http://127.0.0.1:{server.server_port}/a.mp4"
        outcome = run_mien("predict", name, "-m", model, "-o", tmp_path / "p.csv", "--draw", tmp_path / "out.mp4")
        server.shutdown()
    assert outcome.code == 0, outcome.err
    assert sound_packets(tmp_path / "out.mp4") >= sound_packets(tmp_path / "a.mp4") - 2
