"""The private folder of a service: who may enter it, and how it goes when services end, crash or live on."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from clips import background, write_video
from mien.errors import OutputError
from mien.serve.video.folder import JobFolder, remove_abandoned
from serving import serving

pytestmark = pytest.mark.linux


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    """A clip of ten frames without a face."""
    path = tmp_path / "blank.mp4"
    write_video(path, [background(0)] * 10, [frame / 25 for frame in range(10)])
    return path.read_bytes()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of the services that a test starts."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def service(stack: ExitStack) -> tuple[subprocess.Popen[str], str]:
    """Start a service, and return its process and its address."""
    process, address, _ = stack.enter_context(
        serving("-m", "mien", "serve", "--port", "0", "-m", "swift-nano", "--workers", "2")
    )
    httpx.get(f"{address}/healthz", timeout=30).raise_for_status()  # it answers once it has started
    return process, address


def test_a_folder_goes_when_its_service_ends(temporary: Path, clip: bytes) -> None:
    with ExitStack() as stack:
        process, address = service(stack)
        assert list(temporary.iterdir()) == []
        job = httpx.post(f"{address}/v1/video", files={"a": ("b.mp4", clip)}).json()
        (folder,) = temporary.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
        assert job["id"] not in folder.name
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert list(temporary.iterdir()) == []


def test_clips_that_break_off_leave_nothing(temporary: Path, clip: bytes) -> None:
    head = b"POST /v1/video HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(clip)
    chunked = b"POST /v1/video HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with ExitStack() as stack:
        process, address = service(stack)
        port = int(address.rpartition(":")[2])
        for sent in [head, head + clip[:1000], head + clip[:-1], chunked + b"5\r\nabcde\r\n", chunked + b"zz\r\n"] * 3:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as hasty:
                hasty.sendall(sent)
        assert httpx.post(f"{address}/v1/video", content=b"no video").status_code == 422
        (folder,) = temporary.iterdir()
        assert [file.name for file in folder.iterdir()] == ["lock"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert list(temporary.iterdir()) == []


def test_a_folder_that_was_cleaned_away_is_made_again(temporary: Path, clip: bytes) -> None:
    with ExitStack() as stack:
        process, address = service(stack)
        httpx.post(f"{address}/v1/video", content=clip).raise_for_status()
        (old,) = temporary.iterdir()
        shutil.rmtree(old)
        job = httpx.post(f"{address}/v1/video", content=clip)
        assert (job.status_code, job.json()["state"]) == (202, "queued")
        (new,) = temporary.iterdir()
        assert (new / "lock").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert list(temporary.iterdir()) == []


def test_a_folder_of_a_killed_service_goes_at_the_next_start(temporary: Path, clip: bytes) -> None:
    with ExitStack() as stack:
        dead, dead_address = service(stack)
        living, living_address = service(stack)
        for address in (dead_address, living_address):
            assert httpx.post(f"{address}/v1/video", content=clip).status_code == 202
        before = set(temporary.iterdir())
        assert len(before) == 2
        dead.kill()
        dead.wait()
        service(stack)
        (left,) = temporary.iterdir()
        httpx.post(
            f"{living_address}/v1/video", content=clip
        ).raise_for_status()  # into its folder, which is still there
        assert set(temporary.iterdir()) == {left}
        assert len(list(left.iterdir())) >= 2
        living.send_signal(signal.SIGTERM)
        assert living.wait(30) == 143
        assert list(temporary.iterdir()) == []


_LOCKING = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


def test_a_service_stopped_while_it_locks_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "mien-serve-stopped"
    folder.mkdir()
    command = [sys.executable, "-c", _LOCKING, str(folder / "lock.new")]  # the name that a lock has before it is ready
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stopped:
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == b"\n"
        os.utime(folder, (0, 0))  # long ago
        assert remove_abandoned() == []
        assert folder.exists()
        stopped.kill()
    assert remove_abandoned() == [folder]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_taken_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    make = tempfile.mkdtemp

    def make_and_lose(**more: str) -> str:
        path = make(**more)
        os.utime(path, (0, 0))  # as if the computer had slept here
        assert remove_abandoned() == [Path(path)]
        return path

    jobs = JobFolder()
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkdtemp", make_and_lose)
        with pytest.raises(OutputError, match="the service cannot keep a clip"):
            jobs.write("a.mp4", b"clip")
    path = jobs.write("a.mp4", b"clip")
    assert remove_abandoned() == []
    assert path.read_bytes() == b"clip"
    jobs.close()
    assert list(tmp_path.iterdir()) == []


def test_what_only_looks_like_such_a_folder_stays(temporary: Path, tmp_path: Path) -> None:
    (temporary / "mien-serve-file").write_text("a file")
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "lock").touch()
    (temporary / "mien-serve-link").symlink_to(treasure)
    (temporary / "mien-serve-new").mkdir()  # a service that starts at this moment has no lock in it yet
    (temporary / "mien-serve-old").mkdir()
    long_ago = time.time() - 3600
    os.utime(temporary / "mien-serve-old", (long_ago, long_ago))
    (temporary / "others").mkdir()
    with ExitStack() as stack:
        service(stack)
    left = sorted(path.name for path in temporary.iterdir())
    assert left == ["mien-serve-file", "mien-serve-link", "mien-serve-new", "others"]
    assert (treasure / "lock").exists()


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="only root makes files of others")
def test_a_folder_of_another_user_stays(temporary: Path) -> None:
    theirs = temporary / "mien-serve-theirs"
    theirs.mkdir()
    (theirs / "lock").touch()
    os.chown(theirs, 65534, 65534)
    with ExitStack() as stack:
        service(stack)
    assert (theirs / "lock").exists()
