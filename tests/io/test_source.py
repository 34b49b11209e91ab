import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.errors import DataError
from mien.io.frame import Frame
from mien.io.reader import read_frames
from mien.io.source import OnError, Sources, display_name, find_sources, is_live, is_video, log_error
from support import lock_folder


def frames_of(sources: Sources, *, on_error: OnError = log_error) -> Iterator[Frame]:
    """The frames of all sources; what cannot be read goes to `on_error`."""
    for name in find_sources(sources):
        try:
            yield from read_frames(name)
        except DataError as error:
            on_error(name, error)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with pictures at two depths, one that is hidden and files that are none."""
    for number, name in enumerate(["b.png", "a.jpg", "Zürich am See.PNG", "inner/c.webp", ".hidden.png", ".git/d.png"]):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 4), number * 10).save(path)
    (tmp_path / "photos" / "notes.txt").write_text("none")
    return tmp_path / "photos"


def test_a_folder_stands_for_its_pictures_in_order(photos: Path) -> None:
    names = [os.path.relpath(name, photos) for name in find_sources(photos)]
    assert names == ["Zürich am See.PNG", "a.jpg", "b.png", "inner/c.webp"]


def test_names_stay_as_they_were_spelt(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert list(find_sources("./inner")) == ["./inner/c.webp"]
    assert list(find_sources("inner/")) == ["inner/c.webp"]
    assert list(find_sources(Path("a.jpg"))) == ["a.jpg"]
    assert list(find_sources(["b.png", "*.jpg", "-", "inner"])) == ["b.png", "a.jpg", "-", "inner/c.webp"]


def test_patterns_match_pictures_only(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert list(find_sources("*")) == ["Zürich am See.PNG", "a.jpg", "b.png"]
    assert list(find_sources("**/*.webp")) == ["inner/c.webp"]


def test_a_file_is_taken_by_its_name_whatever_is_in_it(photos: Path) -> None:
    strange = photos / "a[1]*.data"
    strange.write_bytes((photos / "b.png").read_bytes())
    assert list(find_sources(strange)) == [str(strange)]


def test_videos_go_by_name_and_by_pattern_but_not_by_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    for name in ("a.mp4", "B.MOV"):
        Path(name).touch()
    assert not {"a.mp4", "B.MOV"} & set(find_sources("../photos"))
    assert list(find_sources(["a.mp4", "*.M*", "a.*"])) == ["a.mp4", "B.MOV", "a.jpg", "a.mp4"]
    Path("films").mkdir()
    Path("films/a.mp4").touch()
    with pytest.raises(DataError, match=r"its videos are named by a pattern, such as 'films/\*\.mp4'"):
        list(find_sources("films"))


@pytest.mark.parametrize(
    ("name", "live", "moving"),
    [
        ("webcam:0", True, True),
        ("rtsp://user:word@host/stream", True, True),
        ("https://host/a.mp4", True, True),
        ("HTTP://host/a", True, True),
        ("a.mp4", False, True),
        ("folder/A.MKV", False, True),
        ("a.gif", False, False),
        ("a.jpg", False, False),
        ("C:/a.jpg", False, False),
        ("webcam", False, False),
        ("-", False, False),
    ],
)
def test_what_gives_many_frames_and_what_is_live(name: str, live: bool, moving: bool) -> None:
    assert (is_live(name), is_video(name)) == (live, moving)
    if live:
        assert list(find_sources(name)) == [name]


def test_a_list_names_sources_and_the_missing_are_told_of_later(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    Path("names.txt").write_text("b.png\n\n  inner  \ngone.png\n*.PNG\nwebcam:1\n", encoding="utf-8")
    found = list(find_sources("@names.txt"))
    assert found == ["b.png", "inner/c.webp", "gone.png", "Zürich am See.PNG", "webcam:1"]
    assert list(find_sources(found)) == found
    Path("@names.txt").touch()
    assert list(find_sources("@names.txt")) == ["@names.txt"]  # what exists goes by its name
    told: list[str] = []
    list(frames_of(["b.png", found[2]], on_error=lambda name, _: told.append(name)))
    assert told == ["gone.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"\n \n", "got none"), (b"\xff\xfe\x00", "got other content")],
)
def test_lists_that_are_none(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(DataError, match=f"@.*names.txt must .*{message}"):
        list(find_sources(f"@{tmp_path / 'names.txt'}"))


@pytest.mark.linux
def test_a_list_without_an_end_is_refused() -> None:
    with pytest.raises(DataError, match=r"@/dev/zero must be a text file .*, got other content"):
        list(find_sources("@/dev/zero"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.png", "none.png: there is no such file or folder"),
        (lambda folder: folder / "*.bmp", "must match pictures or videos, got nothing"),
        (lambda folder: folder / "*.txt", "must match pictures or videos, got 1 other file"),
        (lambda folder: folder / ".git" / "empty", "must hold pictures"),
    ],
)
def test_a_source_that_gives_nothing_is_an_error(photos: Path, make: Callable[[Path], Path], message: str) -> None:
    (photos / ".git" / "empty").mkdir()
    with pytest.raises(DataError) as error:
        list(find_sources(make(photos)))
    assert message in str(error.value)


def test_frames_are_read_one_by_one(photos: Path) -> None:
    frames = frames_of([photos / "b.png", photos / "a.jpg"])
    (photos / "a.jpg").write_bytes((photos / "inner" / "c.webp").read_bytes())  # after the stream has begun
    first, second = frames
    assert (first.source, first.seconds, first.picture.shape) == (str(photos / "b.png"), 0.0, (4, 6, 3))
    assert (second.picture > 25).all()


def test_what_cannot_be_read_is_reported_and_the_rest_goes_on(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    (photos / "a.jpg").write_bytes(b"\xff\xd8\xff nothing")
    told: list[tuple[str, str]] = []
    frames = list(frames_of(photos, on_error=lambda name, error: told.append((name, str(error)))))
    assert len(frames) == 3
    assert [name for name, _ in told] == [str(photos / "a.jpg")]
    assert "a.jpg" in told[0][1]
    assert len(list(frames_of(photos))) == 3
    assert "left out" in caplog.text


def test_a_folder_that_cannot_be_read_does_not_stop_the_rest(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_folder(monkeypatch, "inner")
    told: list[str] = []
    assert len(list(frames_of(photos, on_error=lambda _, error: told.append(str(error))))) == 3
    assert told == [f"{photos / 'inner'} cannot be read: it is a folder that does not tell what is in it"]


def test_a_list_may_begin_with_a_mark_of_its_encoding(photos: Path) -> None:
    (photos / "list.txt").write_text(f"{photos / 'b.png'}\n", encoding="utf-8-sig")
    assert list(find_sources(f"@{photos / 'list.txt'}")) == [str(photos / "b.png")]


def test_a_dash_is_standard_input(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO((photos / "b.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
    (frame,) = frames_of("-")
    assert frame.source == "-"
    assert frame.picture.shape == (4, 6, 3)


@pytest.mark.linux
def test_a_name_that_is_no_text_is_read_and_told_of_as_text(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    image = io.BytesIO()
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(image, "PNG")
    Path(os.fsdecode(name)).write_bytes(image.getvalue())
    (frame,) = frames_of(tmp_path)
    assert frame.source == str(tmp_path / "caf\ufffd.png")
    assert display_name(os.fsdecode(name)) == frame.source


def test_pictures_that_cannot_be_read_are_not_passed_over(tmp_path: Path) -> None:
    """As a phone's folder has them."""
    for name in ("a.heic", "c.txt"):
        (tmp_path / name).write_bytes(b"ftypheic")
    Image.new("RGB", (60, 60)).save(tmp_path / "b.png")
    told: list[str] = []
    frames = list(frames_of(tmp_path, on_error=lambda name, _: told.append(Path(name).name)))
    assert [Path(frame.source).name for frame in frames] == ["b.png"]
    assert told == ["a.heic"]
    (tmp_path / "b.png").unlink()
    told.clear()
    assert not list(frames_of(tmp_path, on_error=lambda _, error: told.append(str(error))))
    assert len(told) == 1
    assert "a.heic" in told[0]


def test_what_a_folder_holds_and_is_not_read_is_said(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.pdf", "b.pdf", "a.mp4", "README"):
        (photos / name).write_bytes(b"%PDF")
    (photos / "from a phone").write_bytes((photos / "b.png").read_bytes())
    names = [Path(name).name for name in find_sources(photos)]
    assert names == ["Zürich am See.PNG", "a.jpg", "b.png", "from a phone", "c.webp"]
    (message,) = caplog.messages
    assert message.startswith(f"{photos} also holds files that are not read: 2 .pdf, ")
    for part in ("1 .mp4", "1 .txt", "1 without a suffix", f"a pattern, such as '{photos / '*.mp4'}'"):
        assert part in message


def test_a_folder_of_other_files_says_what_they_are(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf", "a.docx"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"must hold pictures .*, got 2 \.pdf, 1 \.docx$"):
        list(find_sources(tmp_path))


@pytest.mark.linux
def test_only_files_are_read_from_folders_and_no_folder_twice(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(photos / "pipe.jpg")
    (photos / "zero.png").symlink_to("/dev/zero")
    (photos / "gone.png").symlink_to("gone")
    (photos / "inner" / "back").symlink_to("..")
    (photos / "again").symlink_to("inner")
    other = photos.parent / "other"
    other.mkdir()
    (photos / "b.png").rename(other / "b.png")
    (photos / "linked").symlink_to(other)
    monkeypatch.chdir(photos)
    pictures = ["Zürich am See.PNG", "a.jpg", "again/c.webp", "linked/b.png"]
    assert [os.path.relpath(name) for name in find_sources(".")] == pictures
    assert list(find_sources("**/*")) == pictures
    assert list(find_sources("*.[jp][pn]g")) == ["a.jpg"]


@pytest.mark.parametrize(
    "sources", [b"\xff\xd8\xff" * 9000, [b"\xff\xd8\xff" * 9000], [np.zeros((4, 4, 3))], 3, [None]]
)
def test_what_is_no_name_is_refused_by_its_type(sources: object) -> None:
    with pytest.raises(DataError, match=r"must be .*paths?, .*, got (bytes|ndarray|int|NoneType)") as error:
        list(find_sources(cast("Sources", sources)))
    assert len(str(error.value)) < 200


def test_a_name_with_a_zero_byte_is_of_no_source() -> None:
    with pytest.raises(DataError, match="there is no such file"):
        list(find_sources("a\0*.png"))


@pytest.mark.linux
def test_a_list_may_have_names_that_are_no_text(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9\xe2\x80\xa8.png")  # with a separator of lines, by Unicode, in it
    Image.new("RGB", (60, 60)).save(tmp_path / odd)
    (tmp_path / "names.txt").write_bytes(os.fsencode(tmp_path / odd) + b"\n")
    (frame,) = frames_of(f"@{tmp_path / 'names.txt'}")
    assert frame.source.endswith(".png")


def test_a_streams_password_is_told_to_nobody() -> None:
    assert display_name("rtsp://user:se/cr?t@cam/1") == "rtsp://cam/1"
    assert display_name("http://host:8080/a@b.mp4") == "http://host:8080/a@b.mp4"
    assert display_name("rtsp://user:s@cret@cam:554/1?a=b@c") == "rtsp://cam:554/1?a=b@c"
    assert display_name("https://host/a@b.mp4") == "https://host/a@b.mp4"
    assert display_name("a//b@c.png") == "a//b@c.png"


@given(st.lists(st.sampled_from(["a", "b.png", "c.jpg", ".h.png", "d"]), min_size=1, max_size=3), st.integers(0, 3))
@settings(max_examples=40)
def test_a_pattern_matches_what_glob_matches(names: list[str], star: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, *names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff")
        pattern = os.path.join(folder, *names[:star], "**", "*")  # noqa: PTH118
        expected = [name for name in glob(pattern, recursive=True) if os.path.isfile(name)]  # noqa: PTH113, PTH207
        try:
            found = list(find_sources(pattern))
        except DataError:
            found = []
        assert found == sorted(expected)


@given(st.text())
def test_any_name_is_a_source_or_refused(name: str) -> None:
    try:
        assert all(isinstance(each, str) for each in find_sources(name + "\N{CJK UNIFIED IDEOGRAPH-9854}"))
    except DataError:
        return


@given(st.text(st.characters(exclude_characters="/?#@:")), st.text(st.characters(exclude_characters="?#@")))
@example("", "0/")
def test_no_password_is_ever_told(user: str, password: str) -> None:
    assume(not (user and re.match(r"\d+/", password)))  # that is a host, a port and a path
    told = display_name(f"rtsp://{user}:{password}@cam:554/1")
    assert told == "rtsp://cam:554/1"
