"""The container: its steps, run without Docker in a scratch root (see tests/container.py), and its compose file."""

import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
import yaml

import container
from clips import background, write_video

_ASK = """
import base64, json, sys, time
from pathlib import Path
from urllib.request import urlopen
base = "http://127.0.0.1:8000"
ask = lambda path, body=None: json.load(urlopen(base + path, body, timeout=60))
portrait = Path(sys.prefix).glob("lib/python*/site-packages/mien/assets/portrait.jpg")
picture = ask("/v1/predict", next(portrait).read_bytes())
job = ask("/v1/video", base64.b64decode(sys.argv[1]))
while job["state"] in ("queued", "running"):
    time.sleep(0.05)
    job = ask(job["url"])
assert b"<html" in urlopen(base + "/").read()
print(json.dumps([picture["pictures"][0]["rows"][0]["expression"], job["state"], job["frames"]]))
"""
_LOOK = """
id -u; id -g; echo "home:$HOME"; pwd
touch /opt/mien/a 2>/dev/null && echo written; touch /etc/a 2>/dev/null && echo written
grep -h CapEff /proc/self/status; grep -h NoNewPrivs /proc/self/status
"""


def _may_make_name_spaces() -> bool:
    command = ["unshare", "--net", "--mount", "true"]
    try:
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.linux
@pytest.mark.skipif(not _may_make_name_spaces(), reason="needs root's right to make name spaces")
def test_the_steps_of_the_container_make_a_service_that_answers(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_video(clip, [background(0)] * 5, [frame / 25 for frame in range(5)])
    questions = [_LOOK, f"python - {b64encode(clip.read_bytes()).decode()} <<'END'\n{_ASK}\nEND"]
    command = ["unshare", "--net", "--mount", sys.executable, container.__file__, str(tmp_path / "root"), *questions]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    came = json.loads(ran.stdout)
    assert came["healthy"], came
    look, answers = came["answers"]
    assert look.split() == ["10001", "10001", "home:", "/tmp", "CapEff:", "0" * 16, "NoNewPrivs:", "1"]  # noqa: S108
    assert json.loads(answers) == ["happy", "done", 5]
    assert came["said"].count("\n") == 2, came["said"]  # where it serves, and that everybody may use it
    assert (came["code"], came["left"]) == (143, [])


def test_compose_leaves_the_service_no_rights() -> None:
    (service,) = yaml.safe_load((container.CHECKOUT / "compose.yaml").read_text())["services"].values()
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [port.rpartition(":")[0] for port in service["ports"]] == ["127.0.0.1:8000"]
    assert service["command"] == ["--allow-host", "localhost"]
    (temporary,) = service["tmpfs"]
    assert {"noexec", "nosuid", "nodev"} <= set(temporary.partition(":")[2].split(","))
    assert "volumes" not in service
    assert "privileged" not in service


def test_the_image_runs_as_nobody_in_particular() -> None:
    image = container.Image.read(container.CHECKOUT / "Dockerfile")
    assert all(int(number) >= 10_000 for number in image.last("USER").split(":"))
    assert image.health_command()[0] == "python"
    assert image.environment()["TMPDIR"] == "/tmp"  # noqa: S108  # it is a file system of the container alone
    copied = {source for key, value in image.steps if key == "COPY" for source in value.split()[:-1]}
    allowed = {line[1:] for line in (container.CHECKOUT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert {source.removeprefix("./") for source in copied if not source.startswith(("--", "/"))} == allowed
