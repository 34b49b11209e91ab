"""The steps of the Dockerfile without Docker: they run in a scratch root, in name spaces of their own.

    unshare --net --mount python tests/container.py ROOT QUESTIONS...

The tests run it as root. The scratch root borrows this system's programs and this Python, all read-only; the image has
those of `python:3.13-slim` there. Packages come from this Python, too, since there is no network: pip finds each there
in the version that constraints.txt asks for. Everything else is as in the image: the copied files, the commands, the
variables and no others, the user, and a root file system that nobody may write to, with a small /tmp in memory.
"""

import fcntl
import json
import shutil
import signal
import site
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/dev", "/proc")
_OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # pip takes 0 for: no isolation
_CHROOT = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot"
_READ_ONLY_FLAGS = "remount,bind,ro"


@dataclass
class Image:
    """What a Dockerfile says, in its order."""

    steps: list[tuple[str, str]] = field(default_factory=list)

    @staticmethod
    def read(path: Path) -> "Image":
        """Read a Dockerfile."""
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        text = "\n".join(lines).replace("\\\n", " ")
        return Image([(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line.strip()])

    def last(self, name: str) -> str:
        """Return the last instruction of a name."""
        return [value for key, value in self.steps if key == name][-1]

    def environment(self) -> dict[str, str]:
        """Return the variables of the last stage."""
        start = max(number for number, (key, _) in enumerate(self.steps) if key == "FROM")
        pairs = [pair for key, value in self.steps[start:] if key == "ENV" for pair in value.split()]
        return dict(pair.split("=", 1) for pair in pairs)

    def health_command(self) -> list[str]:
        """Return the command of the health check."""
        return list(json.loads(self.last("HEALTHCHECK").partition("CMD ")[2]))


def build(image: Image, root: Path) -> None:
    """Run the steps in a scratch root."""
    folder = "/"
    for key, value in image.steps:
        if key == "WORKDIR":
            folder = value
            _inside(root, folder).mkdir(parents=True, exist_ok=True)
        elif key == "COPY" and not value.startswith("--from="):  # both stages have the same root here
            *sources, target = value.split()
            for source in sources:
                _copy(CHECKOUT / source, _inside(root, folder) / target, whole=source.rstrip("/"))
        elif key == "RUN":
            command: list[str | Path] = [_CHROOT, root, "sh", "-ec", f"cd {folder} && {value}"]
            path = f"{sys.prefix}/bin:/usr/bin:/bin"  # which has a `python`, as the image does
            subprocess.run(command, check=True, env={"PATH": path, **_OFFLINE}, stdout=sys.stderr)
            for packages in (root / "opt/mien/lib").glob("python*/site-packages"):
                (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()))


def _copy(source: Path, target: Path, *, whole: str) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target / whole)


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def borrow_system(root: Path) -> None:
    """Make a root with this system's programs and this Python, read-only."""
    root.mkdir()
    _mount("--bind", root, root)
    for path in [*map(Path, _SYSTEM), Path(sys.base_prefix), Path(sys.prefix)]:
        target = _inside(root, str(path))
        if path.is_symlink():
            target.symlink_to(path.readlink())
        elif path.is_dir() and not target.exists():
            target.mkdir(parents=True)
            _mount("--rbind", path, target)
            _mount("-o", _READ_ONLY_FLAGS, target)
    (root / "tmp").mkdir()


def protect(root: Path) -> None:
    """Let nobody write to the root, but to a small /tmp in memory."""
    _mount("-t", "tmpfs", "-o", "mode=1777,size=512m,noexec,nosuid,nodev", "tmpfs", root / "tmp")
    _mount("-o", _READ_ONLY_FLAGS, root)


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def raise_loopback() -> None:
    """Switch the loopback device of this name space on: the only network that it has."""
    up, ask, tell = 0x1, 0x8913, 0x8914  # IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS
    with socket.socket() as any_socket:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(any_socket, ask, request))[1]
        fcntl.ioctl(any_socket, tell, struct.pack("16sH14s", b"lo", flags | up, b""))


def enter(image: Image, root: Path, command: list[str]) -> list[str | Path]:
    """Return the command line that runs a command in the container, as its user and without a capability."""
    user, group = image.last("USER").split(":")
    return [
        *(_CHROOT, root, "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"),
        *("--inh-caps=-all", "--bounding-set=-all"),
        *("sh", "-c", f'cd {image.last("WORKDIR")} && exec "$@"', "sh", *command),
    ]


def serve(image: Image, root: Path, questions: list[str]) -> dict[str, object]:
    """Run the service, ask it, and end it. Return what came of that."""
    environment = image.environment()
    command = enter(image, root, json.loads(image.last("ENTRYPOINT")))
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as service:
        try:
            healthy = _wait_until_healthy(enter(image, root, image.health_command()), environment)
            asked = [
                subprocess.run(
                    enter(image, root, ["sh", "-c", question]), env=environment, capture_output=True, check=False
                )
                for question in questions
            ]
        finally:
            service.send_signal(getattr(signal, image.last("STOPSIGNAL")))
        said = service.communicate(timeout=60)[1]
    answers = [one.stdout.decode() + one.stderr.decode() for one in asked]
    left = sorted(path.name for path in (root / "tmp").iterdir())
    return {"healthy": healthy, "answers": answers, "code": service.returncode, "said": said, "left": left}


def _wait_until_healthy(command: list[str | Path], environment: dict[str, str]) -> bool:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return True
        time.sleep(0.2)
    return False


def main() -> None:
    """Build and run the image, and print what came of it as JSON."""
    root, questions = Path(sys.argv[1]), sys.argv[2:]
    image = Image.read(CHECKOUT / "Dockerfile")
    borrow_system(root)
    build(image, root)
    protect(root)
    raise_loopback()
    sys.stdout.write(json.dumps(serve(image, root, questions)))


if __name__ == "__main__":
    main()
