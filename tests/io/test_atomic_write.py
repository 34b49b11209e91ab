"""Whole or not at all, whatever stops the writing."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.formats.npz import save_faces
from mien.errors import OutputError
from mien.io.atomic_write import atomic_path, atomic_write, find_parts, require_writable, truncate_utf8, write_text
from mien.io.row_writers import RowSchema, row_writer
from mien.io.video_writer import video_writer
from mien.visualize.annotate import save_picture
from support import random_faces

IN_MEMORY = Path("/dev", "shm")


def test_what_was_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"one ")
        file.write(b"two")
        assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / "a.bin").read_bytes() == b"one two"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_text(str(tmp_path / "a.txt"), "é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OutputError("of another file")])
def test_an_error_leaves_what_was_there_and_is_passed_on(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with atomic_write(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)) as caught:
        write()
    assert caught.value is error
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*a\.txt: No space left on device"):
        write_text(tmp_path / "a.txt", "new")
    assert not list(tmp_path.iterdir())


@pytest.mark.linux
def test_a_device_that_is_full_is_said() -> None:
    with pytest.raises(OutputError, match="No space left on device"):
        write_text("/dev/full", "new")


def test_the_mode_of_what_is_replaced_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    path.chmod(0o640)
    write_text(path, "new")
    assert path.stat().st_mode & 0o777 == 0o640


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_write(path) as one:
        one.write(b"one")
        with atomic_write(path) as other:
            other.write(b"other")
        assert path.read_bytes() == b"other"
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_part_is_never_written_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["0" * 8, "1" * 8])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(names))
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / f"a.txt.{'0' * 8}.part").symlink_to("mine.txt")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_long_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("顔" * 85)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_library_may_open_the_part_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    with atomic_path(tmp_path / "a.bin") as part:
        part.write_bytes(b"new")
        assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    with pytest.raises(ValueError, match="early"), atomic_path(tmp_path / "a.bin"):
        raise ValueError("early")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a.bin", b"new")]


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for place, said in (
        ("no/a.txt", "No such file or directory"),
        ("file/a.txt", "Not a directory"),
        ("folder", "it is a folder"),
        ("x" * 300, "File name too long"),
    ):
        with pytest.raises(OutputError, match=f"cannot write .*{place}: {said}"):
            write_text(tmp_path / place, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_killed_writer_leaves_what_was_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    killed = f"""
import os, signal
from mien.io.atomic_write import atomic_write
with atomic_write({str(path)!r}) as file:
    file.write(b"new" * 100_000)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "newer")
    assert path.read_text() == "newer"
    (left,) = find_parts(path)
    require_writable(path)
    assert caplog.messages == [f"{left} is of a command that was stopped, or that still runs"]


@pytest.mark.linux
def test_open_files_are_written_to_by_the_systems_names_for_them(tmp_path: Path) -> None:
    say = "from mien.io.atomic_write import write_text; write_text('/dev/stdout', 'new')"
    piped = subprocess.run([sys.executable, "-c", say], capture_output=True, check=True)
    assert piped.stdout == b"new"
    (tmp_path / "log.txt").write_text("old ")
    with (tmp_path / "log.txt").open("a") as log:
        subprocess.run([sys.executable, "-c", say], stdout=log, check=True)
    assert (tmp_path / "log.txt").read_text() == "old new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt"]


@pytest.mark.linux
def test_files_in_memory_are_replaced_like_any() -> None:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        path = Path(folder) / "a.txt"
        write_text(path, "old")
        write_text(path, "new")
        assert path.read_text() == "new"


@pytest.mark.linux
def test_a_link_stays_and_a_pipe_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("a.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "a.txt").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        write_text(tmp_path / "pipe", "through")
        assert reader.communicate()[0] == b"through"
    assert (tmp_path / "pipe").is_fifo()


def _write_rows(path: Path) -> None:
    with row_writer(path, RowSchema({"source": str})) as write:
        write([{"source": "a"}])


def _write_video(path: Path) -> None:
    with video_writer(path) as video:
        video.write(np.zeros((48, 64, 3), np.uint8), seconds=0)


@pytest.mark.linux
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("faces.npz", lambda path: save_faces(random_faces(3), path)),
        ("faces.parquet", lambda path: save_faces(random_faces(3), path)),
        ("rows.parquet", _write_rows),
        ("rows.csv", _write_rows),
        ("picture.png", lambda path: save_picture(np.zeros((9, 9, 3), np.uint8), path)),
        ("video.mp4", _write_video),
    ],
)
def test_every_writer_writes_into_a_pipe(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    (tmp_path / "a").mkdir()
    write(tmp_path / "a" / name)
    pipe = tmp_path / name
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        write(pipe)
        came = reader.communicate()[0]
    assert len(came) >= (tmp_path / "a" / name).stat().st_size  # archives that cannot be sought in are longer
    assert came[:4] == (tmp_path / "a" / name).read_bytes()[:4]
    assert pipe.is_fifo()
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["a", name])


def test_a_place_without_a_name_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=r"cannot write \.: it is a folder"):
        write_text(".", "new")


def test_what_could_not_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("")
    (tmp_path / "link.txt").symlink_to("in.txt")
    require_writable(tmp_path / "out.txt", None, inputs=(tmp_path / "in.txt", None, tmp_path / "none.txt"))
    for place, said in (("no/a.txt", "there is no folder"), (".", "a folder"), ("link.txt", "it is an input")):
        with pytest.raises(OutputError, match=said):
            require_writable(tmp_path / place, inputs=(tmp_path / "in.txt",))


def test_no_file_of_an_input_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("last.safetensors", "model.onnx"):
        (tmp_path / "run" / name).touch()
    (tmp_path / "same.safetensors").hardlink_to(tmp_path / "run" / "last.safetensors")
    for place in ("run/last.safetensors", "same.safetensors"):
        with pytest.raises(OutputError, match="it is an input"):
            require_writable(tmp_path / place, inputs=(tmp_path / "run",))
    require_writable(tmp_path / "run" / "model.onnx", tmp_path / "run" / "new.png", inputs=(tmp_path / "run",))


def test_no_two_outputs_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to("a.png")
    for other in ("a.png", "link.png"):
        with pytest.raises(OutputError, match="two outputs"):
            require_writable(tmp_path / "a.png", tmp_path / other)


def test_what_a_link_leads_to_is_looked_at_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "dangling.txt").symlink_to("none/a.txt")
    with pytest.raises(OutputError, match=r"dangling\.txt: there is no folder .*none"):
        require_writable(tmp_path / "dangling.txt")


def test_a_folder_that_takes_no_file_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writable as the file itself may be: it would be replaced by another."""
    (tmp_path / "a.txt").touch()
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    with pytest.raises(OutputError, match=r"a\.txt: the folder takes no new file"):
        require_writable(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("name", "kept"), [("a" * 300, "a" * 9), ("日本語の顔", "日本語"), ("café", "café"), ("é" * 5, "é" * 4)]
)
def test_names_are_cut_between_letters(name: str, kept: str) -> None:
    assert truncate_utf8(name, 9) == kept


CALLS = ("os.fsync", "pathlib.Path.replace", "pathlib.Path.open", "pathlib.Path.chmod")
FAILURES = st.tuples(st.sampled_from(CALLS), st.sampled_from([errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS]))


@given(old=st.none() | st.binary(), new=st.lists(st.binary()), failure=st.none() | FAILURES, stops=st.booleans())
@settings(max_examples=60)
def test_a_file_is_the_old_one_or_the_new_one_whatever_fails(
    old: bytes | None, new: list[bytes], failure: tuple[str, int] | None, stops: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.bin"
        if old is not None:
            path.write_bytes(old)
        error: BaseException | None = None
        with ExitStack() as stack:
            if failure is not None:
                stack.enter_context(mock.patch(failure[0], side_effect=OSError(failure[1], "no")))
            try:
                with atomic_write(path) as file:
                    for part in new:
                        file.write(part)
                    if stops:
                        raise KeyboardInterrupt
            except (OutputError, KeyboardInterrupt) as caught:
                error = caught
        whole = b"".join(new)
        assert (path.read_bytes() if path.exists() else None) == (old if error else whole)
        assert [each.name for each in Path(folder).iterdir()] == ["a.bin"] * path.exists()
        assert bool(error) == (stops or (failure is not None and failure[0] != "pathlib.Path.chmod"))


@given(st.text(), st.integers(0, 40))
def test_a_cut_name_is_the_beginning_of_the_name(name: str, count: int) -> None:
    cut = truncate_utf8(name, count)
    sound = name.encode("utf-8", "replace").decode()
    assert sound.startswith(cut)
    assert len(cut.encode()) <= count
    assert len(cut.encode()) > count - 4 or cut == sound
